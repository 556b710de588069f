"""Entries that say to be of a time that has not come: the verifier has a clock too, and says whose it was.

Either of the two clocks may be wrong, so nobody is accused.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryoflux.claims.check import check_claim
from cryoflux.claims.making import make_claim
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Report, Status
from cryoflux.verification.topics import Topic
from cryoflux.verification.verified import Trust
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

LATER = "2039-11-23T01:06:04Z"


def seconds(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()


NOW_S = seconds(2027, 3, 1, 12)


def asked(report: Report) -> list[str]:
    assert report.ok
    found = [c for c in report.checks if c.status is Status.UNKNOWN and "have not come yet" in c.detail]
    assert all((c.number, c.topics) == (5, (Topic.TIMES,)) for c in found)
    return [c.detail for c in found]


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.policy = "uniform/v1"
    return found


@pytest.mark.parametrize("field", ["finished_at", "started_at"])
def test_an_attempt_of_years_to_come_is_a_question_that_says_by_whose_clock(
    made: SyntheticState, field: str
) -> None:
    entry = made.attempt(0.05, **{field: LATER})
    report = verify_target(made.finish(), now_s=NOW_S)
    (said,) = asked(report)
    by = "by the clock of this machine, which shows 2027-03-01T12:00:00Z"
    what = f"{entry.name} says {LATER}, more than a day later; one of the two is wrong"
    assert said == f"have not come yet {by}: {what}"
    assert Topic.TIMES in report.open
    if field == "finished_at":  # else the attempt has ended before it began, which is said first
        assert f"when it was (times have not come yet {by})" in report.exceptions


def test_the_machines_own_clock_is_looked_at_where_none_is_given(made: SyntheticState) -> None:
    made.attempt(0.05, finished_at="9999-11-23T01:06:04Z")
    assert len(asked(verify_target(made.finish()))) == 1


def test_any_entry_may_be_the_one_and_only_the_latest_is_named(made: SyntheticState) -> None:
    first = made.head
    made.attempt(0.05, finished_at=LATER)
    made.move(first, moved_at="2040-01-01T00:00:00Z")
    made.session(ended_at="2038-01-01T00:00:00Z")
    (said,) = asked(verify_target(made.finish(), now_s=NOW_S))
    assert "2040-01-01T00:00:00Z" in said


def test_a_claim_over_it_asks_too(made: SyntheticState) -> None:
    made.attempt(0.05, finished_at=LATER)
    content = make_claim(made.finish(), "kept == 1").content
    assert len(asked(check_claim(content, Path("claim.json"), now_s=NOW_S).report)) == 1
    assert asked(check_claim(content, Path("claim.json"), now_s=seconds(2039, 12, 1)).report) == []


def test_what_was_asked_is_settled_by_time_also_where_older_entries_are_trusted(
    made: SyntheticState, tmp_path: Path
) -> None:
    made.attempt(0.05, finished_at="2027-03-05T12:00:00Z")
    state = made.finish()
    known = {"key": load_public_key(state / "keys" / "receipt.pub"), "heads": tmp_path / "heads"}
    assert len(asked(verify_target(state, now_s=NOW_S, **known))) == 1
    later = verify_target(state, now_s=NOW_S + 7 * 86_400, trust=Trust.READ, **known)
    assert later.remembered
    assert asked(later) == []


def test_a_clock_that_runs_fast_by_hours_is_not_even_told(made: SyntheticState) -> None:
    made.attempt(0.05, finished_at="2027-03-02T11:00:00Z")
    assert asked(verify_target(made.finish(), now_s=NOW_S)) == []


@pytest.mark.parametrize("now_s", [0.0, seconds(2020, 1, 1)])
def test_a_verifier_whose_clock_was_never_set_accuses_no_log(made: SyntheticState, now_s: float) -> None:
    made.attempt(0.05)
    assert asked(verify_target(made.finish(), now_s=now_s)) == []


def test_a_verifier_whose_clock_is_behind_is_told_that_it_may_be(made: SyntheticState) -> None:
    made.attempt(0.05, finished_at="2027-03-01T12:00:00Z")
    (said,) = asked(verify_target(made.finish(), now_s=0.0))
    assert "by the date of this program, 2026-11-28T00:00:00Z, which is later than the clock of this" in said
    assert "which shows 1970-01-01T00:00:00Z: entry 1" in said
    assert said.endswith("one of the two is wrong")
