"""A node that says of offers, rounds and guest holdouts what does not follow from its log is refuted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import (
    GuestOpening,
    Node,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.verification.result import Status
from node_log import NodeLog, node_log
from plain_log import StoredLog, model
from synthetic_parts import digest_of
from verifying import verify_target

OTHER = digest_of("other")
FORGED: dict[str, tuple[type, Callable, str]] = {
    "another genesis": (Node, lambda s: s.but(genesis=model("x")), "another genesis"),
    "a name without its past": (Node, lambda s: s.but(supersedes=OTHER), "said of itself before"),
    "the key of another log": (Node, lambda s: s.but(log_key="log.example+0+A"), "key of another log"),
    "an offer of nobody's receipt": (UpdateOffer, lambda s: s.but(receipt=OTHER), "did not make"),
    "an offer of a later receipt": (UpdateOffer, lambda s: s.but(receipt_at=9_999), "did not make"),
    "another adapter offered": (
        UpdateOffer,
        lambda s: s.but(update=s.update.but(adapter=OTHER)),
        "offers another update",
    ),
    "another parent offered": (
        UpdateOffer,
        lambda s: s.but(update=s.update.but(genesis=OTHER)),
        "trained on another version",
    ),
    "a lower bar": (RoundIntent, lambda s: s.but(guest=s.guest.but(needed_milli=1)), "or another bar"),
    "another guest holdout": (RoundIntent, lambda s: s.but(guest=s.guest.but(root=OTHER)), "or another bar"),
    "a look left out": (RoundIntent, lambda s: s.but(guest=s.guest.but(looks=7)), "or another bar"),
    "a look after its day": (
        RoundIntent,
        lambda s: s.but(announced_at="2027-01-02T01:00:00Z"),
        "was to be opened by 2027-01-01",
    ),
    "a stranger that a hundredth of the joules does not pay for": (
        RoundIntent,
        lambda s: s.but(candidates=[one.but(by_lottery=True) for one in s.candidates]),
        "considers more strangers than a hundredth",
    ),
    "an update considered twice": (
        RoundIntent,
        lambda s: s.but(candidates=[s.candidates[0], s.candidates[0]]),
        "twice",
    ),
    "a round from another head": (
        RoundIntent,
        lambda s: s.but(base=model("x")),
        "other version than the head",
    ),
    "a round from another list": (RoundIntent, lambda s: s.but(composed=OTHER), "than that of the head"),
    "a candidate left out": (RoundResult, lambda s: s.but(members=s.members[1:]), "what became of it"),
    "an adoption without a look": (
        RoundResult,
        lambda s: s.but(look=None, outcome=RoundOutcome.ACCEPTED, result=model("y")),
        "its look says another thing",
    ),
    "a level of its own": (
        RoundResult,
        lambda s: s.but(look=s.look.but(level=77)),
        "its look says another thing",
    ),
    "a refused update composed": (
        RoundResult,
        lambda s: s.but(members=[s.members[0].but(verdict=MemberVerdict.SCREENED), *s.members[1:]]),
        "that it refused",
    ),
    "a duplicate of nothing": (
        RoundResult,
        lambda s: s.but(members=[*s.members[:-1], s.members[-1].but(verdict=MemberVerdict.DUPLICATE)]),
        "without naming of what",
    ),
    "another list afterwards": (RoundResult, lambda s: s.but(composed=OTHER), "another list than its steps"),
    "a head moved by what was rejected": (
        RoundResult,
        lambda s: s if s.look.level else s.but(result=model("z")),
        "result is another version",
    ),
    "steps without a search": (RoundResult, lambda s: s.but(search=None), "no search"),
    "a search that found nothing": (
        RoundResult,
        lambda s: s.but(search=s.search.but(delta_nano_nat=0)),
        "did not help",
    ),
    "other sums opened": (
        GuestOpening,
        lambda s: s.but(rounds=[s.rounds[0].but(sums=s.rounds[1].sums), *s.rounds[1:]]),
        "other sums than were sealed",
    ),
    "another key opened": (GuestOpening, lambda s: s.but(key=OTHER), "other sums than were sealed"),
    "a look not opened": (GuestOpening, lambda s: s.but(rounds=s.rounds[:-1]), "does not open the looks"),
    "fewer examples opened": (GuestOpening, lambda s: s.but(count=s.count - 1), "were entered"),
    "a recall of what was not adopted": (Recall, lambda s: s.but(capsule=OTHER), "has not adopted"),
    "a recall to another list": (Recall, lambda s: s.but(composed=OTHER), "never adopted"),
}


def complaints(state: Path) -> list[str]:
    checks = verify_target(state).checks
    return [f"{c.number} {c.subject} {c.detail}" for c in checks if c.status is Status.FAIL]


def written(path: Path, forged: type | None = None, forge: Callable | None = None) -> Path:
    with closing(StoredLog(path)) as log:
        node_log(log, forged, forge) if forge else node_log(log)
    return path


def test_all_that_a_node_can_say_verifies(tmp_path: Path) -> None:
    state = written(tmp_path / "s")
    assert [line for line in complaints(state) if not line.startswith("9 ")] == []
    (line,) = [check.detail for check in verify_target(state).checks if check.number == 17]
    assert "2 rounds, 1 update adopted; 1 offered; 1 recalled; guest holdouts opened: 1" in line


@pytest.mark.parametrize(("kind", "forge", "words"), FORGED.values(), ids=list(FORGED))
def test_what_does_not_follow_from_the_log_is_refuted(
    kind: type, forge: Callable, words: str, tmp_path: Path
) -> None:
    found = complaints(written(tmp_path / "s", kind, forge))
    assert any(words in line for line in found), found


def test_a_level_that_the_sealed_losses_do_not_certify_is_found_when_it_is_opened(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        node = NodeLog(log, RoundResult, lambda said: said.but(look=said.look.but(level=250_000_000)))
        node.train()
        node.introduce()
        node.enter()
        node.record(node.announce([node.candidate()]))
        assert [line for line in complaints(log.path) if line.startswith("17 ")] == []
        node.open()
    found = complaints(tmp_path / "s")
    assert any("its sums certify 50000000" in line for line in found), found


def test_rules_that_this_version_does_not_know_leave_a_question_open(tmp_path: Path) -> None:
    def later(said: RoundIntent) -> RoundIntent:
        return said.but(rules=said.rules.but(judged="round/v9"))

    checks = verify_target(written(tmp_path / "s", RoundIntent, later)).checks
    found = [(check.status, check.detail) for check in checks if check.number == 17]
    assert any(status is Status.UNKNOWN and "round/v9" in detail for status, detail in found), found
