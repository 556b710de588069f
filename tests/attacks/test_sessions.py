"""Whoever signs the log tries to hide what a run cost beside its attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.energy.interface import SESSION
from cryoflux.verification.result import Check, Status
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.attempt(0.05)
    found.attempt(0.02)
    return found


def bad(made: SyntheticState) -> list[tuple[int, str]]:
    checks: tuple[Check, ...] = verify_target(made.finish()).checks
    return [(check.number, check.detail) for check in checks if check.status is Status.FAIL]


def test_sessions_in_order_verify_and_the_sum_is_told(made) -> None:
    made.session()
    made.session(1_000_000)
    made.attempt(0.01)
    made.session(2_000_000)
    report = verify_target(made.finish())
    assert report.ok
    (energy,) = (check for check in report.checks if check.number == 10)
    assert "33.0 J beside them in 3 sessions" in energy.detail
    (pairs,) = (check for check in report.checks if check.number == 5)
    assert "in 3 sessions" in pairs.detail


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attempts": 1}, "its attempts are #1 to #1"),
        ({"first_attempt": 2, "attempts": 2}, "its attempts are #2 to #3"),
        ({"opened_at": 9}, "is not behind the session before it"),
        ({"id": "session/1_7"}, "its id does not end in its place"),
        ({"id": "a0001_0"}, "its id does not end in its place"),
    ],
)
def test_a_session_counts_the_attempts_since_the_one_before_it(made, changes, message) -> None:
    made.session(**{"settles": "id" not in changes, **changes})
    assert any(number == 5 and message in detail for number, detail in bad(made))


def test_a_session_cannot_have_the_attempts_of_another(made) -> None:
    made.session()
    made.session(first_attempt=1, attempts=2)
    assert any(number == 5 and "those since the session before it" in detail for number, detail in bad(made))


def test_a_session_is_not_left_out_once_another_run_has_followed(made) -> None:
    made.settle(f"{SESSION}1_0", 30_000_000, made.log.origin)
    made.session(opened_at=4)
    (found,) = bad(made)
    assert found[0] == 10
    assert "session/1_0, which has no receipt" in found[1]


def test_what_was_charged_last_may_still_be_written_down(made) -> None:
    made.settle(f"{SESSION}1_0", 30_000_000, made.log.origin)
    report = verify_target(made.finish())
    assert report.ok
    open_questions = [check.detail for check in report.checks if check.status is Status.UNKNOWN]
    assert any("the next run adds it" in detail for detail in open_questions)


def test_a_session_cannot_say_less_than_the_account_was_charged(made) -> None:
    made.settle(f"{SESSION}1_0", 30_000_000, made.log.origin)
    made.session(1_000_000, settles=False)
    assert any(number == 10 and "settled" in detail for number, detail in bad(made))


def test_a_session_that_is_open_is_said_to_be(made) -> None:
    made.session()
    made.account.take(1_000_000, request_id=f"{SESSION}1_5", log=made.log.origin)
    report = verify_target(made.finish())
    assert report.ok
    assert any("a run goes on or has died" in c.detail for c in report.checks if c.status is Status.UNKNOWN)
