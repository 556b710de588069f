"""The choice of an arm is made again from the log, by what each receipt of it taught."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.decision.reason import Reason
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.scheduling.efficiency import Lesson
from cryoflux.scheduling.lessons import taught
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Status
from synthetic_parts import ARMS, figure, screen, training
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target


def found(made: SyntheticState, status: Status = Status.FAIL) -> list[tuple[int, str, str]]:
    checks = verify_target(made.finish()).checks
    return [(c.number, c.subject, c.detail) for c in checks if c.status is status]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": Reason(code="liked")}, "is not the one of prior-eta/v1"),
        ({"bucket_microjoules": 1}, "its bucket pays for none"),
        ({"arms": []}, "There is nothing to do"),
    ],
)
def test_a_choice_that_its_policy_does_not_give_is_named(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    said = made.due_schedule().but(**changes)
    made.conclude_attempt(made.announce(schedule=said), 0.02)
    (bad,) = found(made)
    assert bad[:2] == (7, "entry 2 (intent a0002_2)")
    assert words in bad[2]


def test_a_favourite_arm_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.arms = [ARMS[0], ARMS[0].but(name="r64", prior_microjoules=1_000_000)]
    made.conclude_attempt(made.announce(arm="r64"), 0.05)
    assert found(made) == []
    again = open_state(tmp_path / "again")
    again.arms = made.arms
    again.attempt(0.05)
    assert [(n, s) for n, s, _ in found(again)] == [(7, "entry 0 (intent a0001_0)")]


def fail_on(made: SyntheticState) -> None:
    for _ in range(20):
        made.screen_out()


def test_going_on_after_the_plateau_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    stale = made.due_schedule()
    with pytest.raises(AssertionError, match="uniform"):
        fail_on(made)
    made.uses -= 1
    last = made.screen_out(made.announce(schedule=stale))
    bad = [
        c for c in found(made) if c[1] == f"entry {last.index - 1} (intent a{made.uses:04}_{last.index - 1})"
    ]
    assert [number for number, *_ in bad] == [7]
    assert "No arm is expected to pay" in bad[0][2]


def test_a_gain_of_the_screen_that_was_made_up_moves_what_follows(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    honest = made.due_schedule()
    again = open_state(tmp_path / "again")
    again.attempt(0.05, training=training(screen=screen(0.2)))
    assert again.due_schedule().reason != honest.reason
    again.conclude_attempt(again.announce(schedule=honest), 0.02)
    assert [(n, s) for n, s, _ in found(again)] == [(7, "entry 2 (intent a0002_2)")]


def test_a_policy_that_is_not_known_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    said = made.due_schedule().but(policy="genius/v9")
    made.conclude_attempt(made.announce(schedule=said), 0.02)
    said = "is not known here: 1 choice of an arm was not made again"
    assert found(made, Status.UNKNOWN) == [(7, "policy 'genius/v9'", said)]


def test_a_log_in_the_old_form_still_verifies(tmp_path: Path) -> None:
    made = make_state(tmp_path / "state", old=True)
    report = verify_target(made.path, log_key=load_public_key(made.path / "keys" / "log.pub"))
    assert report.ok
    said, question = [c for c in report.checks if c.number == 7]
    assert [c for c in report.checks if c.status is not Status.OK] == [question]
    assert question.detail == "is not known here: 4 choices of arms were not made again"
    said = said.detail
    assert "evidence/v1 (Δ ≥ 0.002 nats, accuracy gain ≥ 1 points, z > 3.09) × 3" in said
    assert "0 of 4 choices made again" in said


def test_a_log_goes_on_in_the_new_form_and_remembers_the_old(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", old=True)
    new = open_state(tmp_path / "new")
    made.attempt(0.05)
    made.log.close()
    made.log = ReceiptLog.open(made.path)
    made.rule, made.recipe, made.arms = new.rule, new.recipe, new.arms
    made.attempt(0.02)
    assert [entry.version for entry in made.entries] == [1, 1, 2, 2]
    assert "untried" not in made.entries[2].statement.predicate.schedule.reason.numbers
    assert made.entries[2].statement.predicate.bar.looks == 1
    assert found(made) == []
    said = "is not known here: 1 choice of an arm was not made again"
    log_key, *others = sorted(found(made, Status.UNKNOWN), key=lambda one: one[1] != "log key")
    assert (log_key[1], others) == ("log key", [(7, "policy 'greedy-eta/v1'", said)])


def lesson(made: SyntheticState) -> Lesson | None:
    announced = {entry.leaf_hash: entry.intent for entry in made.entries if entry.intent}
    receipt = made.entries[-1].receipt
    assert receipt is not None
    return taught(announced[receipt.intent], receipt)


def test_a_receipt_teaches_verdict_screen_and_joules(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    kept = lesson(made)
    assert kept == Lesson("lora_delta", "r8", True, 54_687_500, 90_000_000, 110_000_000)
    made.screen_out()
    assert lesson(made) == Lesson("lora_delta", "r8", False, 0, 90_000_000, 110_000_000)
    made.finish()


@pytest.mark.parametrize(
    ("cause", "teaches"),
    [
        (Cause.EXHAUSTED, True),
        (Cause.FAILED, True),
        (Cause.CRASHED, False),
        (Cause.INTERRUPTED, False),
        (Cause.UNRESERVED, False),
    ],
)
def test_an_aborted_attempt_teaches_only_where_its_arm_failed(
    tmp_path: Path, cause: Cause, teaches: bool
) -> None:
    made = open_state(tmp_path / "state")
    made.abort(made.announce(), cause=cause, reason=Reason(code=cause.value), energy=figure())
    starved = 120_000_000 if cause is Cause.EXHAUSTED else 0
    expected = Lesson("lora_delta", "r8", False, None, 90_000_000, 110_000_000, starved, aborted=True)
    assert lesson(made) == (expected if teaches else None)
    made.finish()


def test_an_undecided_attempt_is_a_failure_like_any_other(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, outcome=Outcome.UNDECIDED, result=made.head)
    found_ = lesson(made)
    assert found_ is not None
    assert not found_.kept
    made.finish()
