"""Attempts at once: no more than were announced, each on the head that there is and with its own bar."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.receipts.entry import Entry
from cryoflux.verification.result import Check, Status
from synthetic_parts import BAR, decision
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def found(made: SyntheticState, status: Status = Status.FAIL) -> list[tuple[int, str]]:
    checks: tuple[Check, ...] = verify_target(made.finish()).checks
    return [(c.number, c.subject) for c in checks if c.status is status]


def announced(made: SyntheticState, count: int) -> list[Entry]:
    return [made.announce() for _ in range(count)]


def test_of_attempts_that_overlap_without_a_slot_the_older_one_was_left_out(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    first, second = announced(made, 2)
    made.conclude_attempt(first, -0.0005)
    made.conclude_attempt(second, -0.0006)
    assert (5, "entry 0 (intent a0001_0)") in found(made)


def test_attempts_of_the_first_form_never_overlap(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", old=True)
    first, second = announced(made, 2)
    made.conclude_attempt(first, -0.0005)
    made.conclude_attempt(second, -0.0006)
    assert {number for number, _ in found(made)} == {5}


def test_attempts_that_overlap_in_slots_are_fine_in_any_order(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = 2, "uniform/v1"
    first, second = announced(made, 2)
    made.conclude_attempt(second, -0.0005)
    third = made.announce()
    made.conclude_attempt(first, -0.0006)
    made.conclude_attempt(third, 0.05)
    assert found(made) == found(made, Status.UNKNOWN) == []


def test_one_more_than_there_are_slots_leaves_the_oldest_out(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = 2, "uniform/v1"
    first, *rest = announced(made, 3)
    for intent in rest:
        made.conclude_attempt(intent, -0.0005)
    assert (5, f"entry 0 (intent {first.statement.predicate.task.id})") in found(made)


def test_both_of_two_at_once_cannot_claim_the_same_look(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = 2, "uniform/v1"
    first, second = announced(made, 2)
    assert [entry.statement.predicate.bar for entry in (first, second)] == [BAR, BAR]
    made.conclude_attempt(first, -0.0005)
    made.conclude_attempt(second, -0.0006, decision=decision(accepted=False))
    assert (7, "entry 3 (receipt a0002_1)") in found(made)


def test_a_base_may_differ_from_the_announced_one_only_because_the_head_moved(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = 2, "uniform/v1"
    first, second = announced(made, 2)
    before = made.head
    made.conclude_attempt(first, 0.05)
    assert made.head != before
    made.conclude_attempt(second, 0.02)
    assert second.statement.predicate.base != made.entries[-1].statement.predicate.base
    assert found(made) == []


def test_a_base_that_is_not_the_head_any_more_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = 2, "uniform/v1"
    first, second = announced(made, 2)
    before = made.head
    made.conclude_attempt(first, 0.05)
    made.conclude_attempt(second, -0.0005, base=before)
    assert (8, "entry 3 (receipt a0002_1)") in found(made)


@pytest.mark.parametrize("slots", [1, 2])
def test_what_is_open_at_the_end_is_a_question(tmp_path: Path, slots: int) -> None:
    made = open_state(tmp_path / "state")
    made.slots, made.policy = slots, "uniform/v1"
    announced(made, slots)
    report = verify_target(made.finish())
    assert report.ok
    assert len([c for c in report.checks if (c.number, c.status) == (5, Status.UNKNOWN)]) == slots
