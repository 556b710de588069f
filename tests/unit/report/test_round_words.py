"""What a round came to is said in words: also what was kept where nothing that was offered was taken."""

from __future__ import annotations

from cryoflux.receipts.network_parts import Member, MemberVerdict
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind
from cryoflux.report.round_words import round_lines
from node_log import NodeLog
from plain_log import PlainLog
from synthetic_parts import digest_of


def test_a_round_that_keeps_another_weight_alone_says_so() -> None:
    node = NodeLog(PlainLog())
    node.train()
    node.introduce()
    node.enter()
    record = node.record(node.announce([node.candidate()])).round
    assert record is not None
    own = OfferedUpdate(adapter=digest_of("adapter 0"), genesis=record.steps[0].update.genesis)
    other_weight = ListStep(kind=StepKind.REWEIGHT, update=own, amount="5/4")
    (member,) = record.members
    screened = Member(capsule=member.capsule, verdict=MemberVerdict.SCREENED)
    said = f"         reweighted: {own.adapter[:16]}… times 5/4, of what our head had already"
    assert round_lines(record.but(steps=[*record.steps, other_weight]), 1)[2:] == [said]
    alone = round_lines(record.but(steps=[other_weight], members=[screened]), 1)
    assert alone[2:] == [f"{said}; nothing that was offered is in what was kept"]
