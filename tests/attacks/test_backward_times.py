"""Times that run backwards are a question, and never an accusation: a clock that was set back does it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.verification.result import Report, Status
from cryoflux.verification.topics import Topic
from synthetic_state import open_state
from verifying import verify_target

DAY_BEFORE = "2026-11-22T01:00:00Z"


def questions(report: Report) -> list[tuple[int, str, str]]:
    return [(c.number, c.subject, c.detail) for c in report.checks if c.status is Status.UNKNOWN]


def test_an_announcement_that_is_older_than_the_entry_before_it_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.conclude_attempt(made.announce(announced_at=DAY_BEFORE), 0.02)
    report = verify_target(made.finish())
    assert report.ok
    ((step, subject, said),) = questions(report)
    assert (step, subject) == (5, "times")
    assert said.startswith(
        f"run backwards once: entry 2 (intent a0002_2) says {DAY_BEFORE}, an entry before it"
    )
    assert report.exceptions == ("when it was (times run backwards once)",)
    assert Topic.ORDER in report.proven


def test_training_that_began_before_it_was_announced_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, started_at=DAY_BEFORE)
    report = verify_target(made.finish())
    assert report.ok
    assert any("before it was announced" in said for *_, said in questions(report))
    assert Topic.TIMES in report.open


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ended_at": DAY_BEFORE}, "before it started"),
        ({"began_at": "2026-13-01T00:00:00Z"}, "which is no time"),
    ],
)
def test_a_session_that_ends_before_it_began_is_a_question(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.session(**changes)
    report = verify_target(made.finish())
    assert report.ok
    assert any(words in said for *_, said in questions(report))


def test_a_head_that_moved_before_it_was_made_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    first = made.head
    made.attempt(0.05)
    made.move(first, moved_at=DAY_BEFORE)
    report = verify_target(made.finish())
    assert report.ok
    assert [(step, subject) for step, subject, _ in questions(report)] == [(5, "times")]


def test_a_clock_that_was_set_back_is_told_once_and_costs_nothing(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.conclude_attempt(
        made.announce(announced_at=DAY_BEFORE),
        0.02,
        started_at=DAY_BEFORE,
        finished_at="2026-11-22T01:02:00Z",
    )
    made.attempt(0.0005)
    report = verify_target(made.finish())
    assert report.ok
    ((_, _, said),) = questions(report)
    assert said.startswith("run backwards once")


def test_a_clock_that_is_put_right_by_seconds_is_not_even_told(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.conclude_attempt(made.announce(announced_at="2026-11-23T01:01:30Z"), 0.02)
    assert questions(verify_target(made.finish())) == []
