"""What an owner does not say, or says in another place, so that less of it counts; a verdict names each.

None of it can be told from an accident, so none of it fails. Beside each stands what is left alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from test_forked_states import forked, parent_of

from cryoflux.decision.reason import Reason
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause
from cryoflux.verification.result import Report, Status
from metering import meter_key
from synthetic_parts import RULE, figure
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

NOTHING = dict.fromkeys(("microjoules", "lo_microjoules", "hi_microjoules", "cpu_microseconds"), 0)


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    """A state whose meter signs."""
    found = open_state(tmp_path / "state")
    found.metered, found.policy = True, "uniform/v1"
    return found


def asked(report: Report, *, words: str = "") -> list[str]:
    assert report.ok, [check for check in report.checks if check.status is Status.FAIL]
    said = [f"{c.subject} {c.detail}" for c in report.checks if c.status is Status.UNKNOWN]
    return [one for one in said if words in one]


def died(made: SyntheticState, **changes: object) -> Entry:
    """What the next run writes of an attempt whose run died before it had reserved anything."""
    said = figure(**{**NOTHING, **changes}, flags=["never-reserved"])
    why = {"cause": Cause.CRASHED, "reason": Reason(code="crashed")}
    return made.abort(made.announce(meter="daemon"), settles=False, energy=said, **why)


def test_what_nobody_metered_says_nothing_of_its_work(made: SyntheticState) -> None:
    died(made, cpu_microseconds=12_000_000)
    (found,) = [c for c in verify_target(made.finish()).checks if c.status is Status.FAIL]
    assert "says that nobody metered it, and what it did or cost" in found.detail


def test_what_died_before_it_reserved_leaves_a_question_where_a_meter_was_named(made: SyntheticState) -> None:
    made.attempt(0.05)
    died(made)
    made.session()
    state = made.finish()
    assert asked(verify_target(state)) == []
    report = verify_target(state, meters=[meter_key(state).public_key()])
    (said,) = asked(report, words="cut short")
    assert "what those cost is their signer's word" in said
    assert any(said.startswith("joules") for said in report.exceptions)


@pytest.mark.parametrize("first", [True, False], ids=["before a session", "behind it"])
def test_attempts_that_no_session_has_are_asked_about(made: SyntheticState, *, first: bool) -> None:
    made.attempt(0.05)
    changes = {}
    if first:
        made.attempt(0.02)
        changes = {"first_attempt": 2, "attempts": 1}
    made.session(**changes)
    if not first:
        made.attempt(0.02)
    (said,) = asked(verify_target(made.finish()), words="what runs")
    assert said.startswith("what runs spent beside 1 attempt is in no session")


def test_a_log_whose_runs_all_told_their_sessions_leaves_nothing_open(made: SyntheticState) -> None:
    for gain in (0.05, 0.02):
        made.attempt(gain)
        made.session()
    state = made.finish()
    assert asked(verify_target(state, meters=[meter_key(state).public_key()])) == []


def test_a_meter_that_looked_for_a_moment_is_asked_about(made: SyntheticState) -> None:
    made.attempt(0.05, finished_at="2026-11-23T03:00:00Z")
    report = verify_target(made.finish())
    (said,) = asked(report, words="was metered for")
    assert "120 s of the" in said


def test_a_holdout_that_two_tasks_look_at_is_named(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.begin("lora_two")
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert any("looks at a holdout that lora_delta looks at too" in said for said in asked(report))
    assert any(said.startswith("versions and holdout") for said in report.exceptions)


def test_a_clock_that_creeps_back_is_seen(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.slots = 64
    # Each is less than a minute behind the one before it, and both together are more.
    for moment in ("01:01:20", "01:00:40"):
        made.announce(announced_at=f"2026-11-23T{moment}Z")
    report = verify_target(made.finish())
    assert [c for c in report.checks if c.subject == "times"]


def test_attempts_that_are_left_open_are_named_in_the_verdict(made: SyntheticState) -> None:
    made.slots = 64
    for _ in range(8):
        made.announce()
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert report.ok
    assert any(said.startswith("attempts in progress") for said in report.exceptions)


def test_a_fork_does_not_forget_by_which_rule_its_parent_judged(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    fork = forked(parent, tmp_path / "fork")
    fork.policy = "uniform/v1"
    fork.rule = RULE.but(name="evidence/v1", alpha_ppm=0, screen="", z_milli=10)
    fork.attempt(0.02)
    assert asked(verify_target(fork.finish()), words="goes down from the rule evidence/v2")
    parent.finish()


def test_a_bare_rule_has_no_bar_but_its_thresholds(made: SyntheticState) -> None:
    for least in (2_000_000, 0):
        made.rule = RULE.but(name="whitepaper/v1", alpha_ppm=0, screen="", min_delta=least)
        made.attempt(0.05)
    assert asked(verify_target(made.finish()), words="lowers a threshold of whitepaper/v1")


def test_a_name_that_reads_like_a_verdict_is_not_repeated(made: SyntheticState) -> None:
    made.attempt(0.05)
    said = made.due_schedule().but(policy="x' is known). Proven: joules too. Recomputed: all of it. (")
    made.conclude_attempt(made.announce(schedule=said), 0.02)
    report = verify_target(made.finish())
    assert asked(report, words="policy that has no plain name")
    assert "Proven: joules" not in str(report)
