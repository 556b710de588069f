"""The largest record that a round may have is an entry."""

from __future__ import annotations

from cryoflux.network.proposing import MOST_BROUGHT
from cryoflux.receipts.network_parts import MOST_CANDIDATES, GuardResult, Member, MemberVerdict
from cryoflux.receipts.network_statement import MOST_STEPS, RoundResult
from cryoflux.registry.composition import MOST_TERMS, Term
from cryoflux.registry.mixture import ListStep, StepKind
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from node_log import NodeLog
from plain_log import PlainLog
from synthetic_parts import digest_of

FOR_THE_METER = 10_000
"""bytes of an envelope that a meter's statement may have"""


def largest(said: RoundResult) -> RoundResult:
    """As many candidates, steps and terms of their lists as a round takes, all in the longest words."""
    digest = digest_of("any")
    terms = (Term(weight="0.333333333333", adapter=digest, parent=digest),) * MOST_TERMS
    brought = [terms, terms[: MOST_BROUGHT - MOST_TERMS], *[()] * (MOST_STEPS - 2)]
    return said.but(
        members=[
            Member(capsule=digest_of(str(number)), verdict=MemberVerdict.DUPLICATE, of=digest)
            for number in range(MOST_CANDIDATES)
        ],
        steps=[
            ListStep(
                kind=StepKind.MIX,
                update=said.steps[0].update.but(parent=parent),
                amount="1/3",
            )
            for parent in brought
        ],
        guards=[GuardResult(name="g" * 64, sha256=digest, count=10**6, passed=True)] * 8,
    )


def test_the_largest_record_of_a_round_is_an_entry_with_room_for_a_meter() -> None:
    node = NodeLog(PlainLog(), RoundResult, largest)
    node.train()
    node.introduce()
    node.enter()
    entry = node.record(node.announce([node.candidate()]))
    assert len(entry.envelope) + FOR_THE_METER < MAX_ENTRY_BYTES
