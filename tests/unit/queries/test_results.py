"""What a state has come to, against what was put into it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryoflux.energy.derived import Rates
from cryoflux.evaluation.cache import KnownLosses, LossCache
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.recall import ClassRecall
from cryoflux.log_view import open_log
from cryoflux.queries.comparison import compare
from cryoflux.queries.results import Results, results_of
from cryoflux.receipts.session import SessionEnd
from cryoflux.receipts.statement import Outcome
from cryoflux.report.comparison_words import verdict_text
from cryoflux.report.markdown import write_markdown
from cryoflux.report.results_words import headline, results_report
from cryoflux.runs.fork import fork_state
from cryoflux.state import StateFolder
from synthetic_parts import COUNT, losses_of
from synthetic_state import SyntheticState, open_state


def of(path: Path, rates: Rates = Rates()) -> Results:  # noqa: B008 - it is frozen
    return results_of(open_log(path), rates)


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    """Kept, stopped by the screen, undecided, kept, aborted, and a session."""
    state = open_state(tmp_path / "state")
    state.write_origin()
    state.attempt(0.05)
    state.screen_out()
    state.attempt(0.001, outcome=Outcome.UNDECIDED)
    state.attempt(0.02)
    state.abort(state.announce())
    state.session(30_000_000)
    state.finish()
    return state


def audited(state: SyntheticState, gain: float) -> None:
    """Let a run have left the losses of first version and head on the audit set."""
    cache = LossCache(StateFolder(state.path).cache / "losses")
    for version, lower in ((state.entries[0].intent.base.digest, 0.0), (state.head.digest, gain)):
        nano, right = losses_of(lower)
        cache.put(version, state.data.audit, 0, KnownLosses(Losses(tuple(nano), tuple(right)), 0))


def test_what_was_spent_is_attempts_and_what_is_beside_them(made: SyntheticState) -> None:
    spent = of(made.path, Rates(carbon_g_per_kwh=360.0, carbon_source="a grid")).spent
    assert spent.attempts is not None
    assert spent.beside is not None
    assert spent.all_in is not None
    assert (spent.attempts.uj, spent.beside.uj) == (500_000_000, 30_000_000)
    assert spent.known == spent.all_in
    assert spent.kwh == pytest.approx(530 / 3.6e6)
    assert spent.derived["carbon_g"] == pytest.approx(530 / 3.6e6 * 360)
    assert spent.derived["carbon_source"] == "a grid"


def test_a_report_says_when_where_and_what_a_gain_counts_from(made: SyntheticState) -> None:
    found = of(made.path)
    found = replace(found, began_at="2026-11-28T23:59:00Z", wall_s=96.0, software={"processor": "X 5, avx"})
    classes = (ClassRecall("a", 9, 0.0, 0.5), ClassRecall("b", 40, 1.0, 0.9))
    tasks = tuple(replace(task, recalls=classes) for task in found.tasks)
    said = write_markdown(results_report(replace(found, tasks=tasks), Rates()))
    assert re.search(r"1 run from 2026-11-28 to 20\d\d-\d\d-\d\d, 96 s in all, by the wall clock", said)
    assert "computed on X 5, by CryoFlux of an unknown version: attested, not proven" in said
    assert "The first version calls everything b:" in said
    assert "Less often right than at the start: b (100.0 → 90.0 %)." in said
    assert re.search(r"\| 530\.0 J \| 480\.0 J to 580\.0 J \| 147 mWh \|", said)


def test_without_its_session_what_it_cost_is_not_known(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    state.finish()
    found = of(state.path)
    assert (found.spent.all_in, found.spent.unrecorded) == (None, 1)
    assert found.spent.known == found.spent.attempts
    assert "at least 100.0 J" in headline(found)


def test_the_curve_stands_still_until_an_update_is_kept(made: SyntheticState) -> None:
    (task,) = of(made.path).tasks
    assert [point.attempt for point in task.curve] == [None, 1, 4]
    assert [point.joules for point in task.curve] == [0.0, 100.0, 400.0]
    assert [(point.joules_lo, point.joules_hi) for point in task.curve][1:] == [(90.0, 110.0), (360.0, 440.0)]
    losses = [sum(losses_of(gain)[0]) / COUNT / 1e9 for gain in (0.0, 0.05, 0.07)]
    assert [point.loss for point in task.curve] == pytest.approx(losses)
    assert task.holdout.before is not None
    assert task.holdout.after is not None
    assert task.holdout.delta == pytest.approx(losses[0] - losses[2])
    assert task.holdout.delta_lo_95 < task.holdout.delta < task.holdout.delta_hi_95


def test_a_head_that_was_moved_jumps_on_the_curve(made: SyntheticState, tmp_path: Path) -> None:
    state = open_state(tmp_path / "other")
    state.attempt(0.05)
    first = state.entries[0].intent.base
    state.move(first)
    state.finish()
    (task,) = of(state.path).tasks
    assert [(point.attempt, point.version == first.digest) for point in task.curve] == [
        (None, True),
        (1, False),
        (None, True),
    ]
    assert (task.total.taken_back, task.head) == (1, first.digest)
    assert "no update was kept" in headline(of(state.path))


def test_another_holdout_begins_a_line_of_its_own(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state", spares=1)
    state.attempt(0.05)
    state.rotate()
    state.attempt(0.02)
    state.finish()
    (task,) = of(state.path).tasks
    assert [point.attempt for point in task.curve] == [None, 1, None, 2]
    assert task.curve[1].holdout != task.curve[2].holdout
    assert task.holdout.before is None  # the first version was never judged on it
    document = write_markdown(results_report(of(state.path), Rates()))
    assert re.findall(r"^\| (\S.*?) \| \d", document.partition("over joules")[2], re.MULTILINE)[:4] == [
        *("begin", r"\#1", "new holdout", r"\#2"),
    ]


def test_the_audit_set_is_known_where_a_run_has_left_its_losses(made: SyntheticState) -> None:
    (before,) = of(made.path).tasks
    assert (before.audit.delta, before.audit.count) == (None, COUNT)
    audited(made, 0.06)
    (task,) = of(made.path).tasks
    assert task.audit.delta == pytest.approx(0.066, rel=0.01)
    assert task.audit.delta_lo_95 < task.audit.delta < task.audit.delta_hi_95
    assert "better on the audit set, 95 % [" in headline(of(made.path))


def test_reasons_are_counted_with_what_they_cost(made: SyntheticState) -> None:
    found = {(one.outcome, one.screened): one for one in of(made.path).not_kept}
    assert {key: (one.count, one.energy.uj) for key, one in found.items()} == {
        ("rejected", True): (1, 100_000_000),
        ("undecided", False): (1, 100_000_000),
        ("aborted", False): (1, 100_000_000),
    }
    assert found["undecided", False].newest == 3


def test_what_next_follows_from_how_the_last_run_ended(tmp_path: Path) -> None:
    for ended, word in ((SessionEnd.BUDGET, "--budget 1.20kJ"), (SessionEnd.PLATEAU, "uniform/v1")):
        state = open_state(tmp_path / ended.value)
        state.attempt(0.05)
        state.session(ended=ended)
        state.finish()
        advice = {one.code: one for one in of(state.path).next}
        assert word in advice[ended.value].command
        assert {"modelled", "no-audit"} <= set(advice)


def test_an_audit_set_that_shows_nothing_is_said(made: SyntheticState) -> None:
    audited(made, 0.0)
    assert "uncertain" in {one.code for one in of(made.path).next}
    audited(made, 0.001)
    assert "drift" in {one.code for one in of(made.path).next}


def test_nothing_at_all_is_a_result_too(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.announce()
    state.finish()
    found = of(state.path)
    assert (found.attempts, found.spent.known, found.not_kept) == ((), None, ())
    assert headline(found) == "Nothing has been tried yet."
    assert found.next[0].code == "nothing"


def test_states_of_the_same_data_are_compared_example_by_example(
    made: SyntheticState, tmp_path: Path
) -> None:
    other = made.fork(tmp_path / "fork")
    other.attempt(0.03)
    other.finish()
    found = compare(open_log(made.path), open_log(other.path), Rates())
    (pair,) = found.tasks
    assert (found.comparable, pair.differences) == (True, ())
    (holdout,) = pair.head_to_head
    assert (holdout.part, holdout.count) == ("holdout", COUNT)
    assert holdout.delta == pytest.approx(0.033, rel=0.01)
    assert holdout.lo_95 < holdout.delta < holdout.hi_95
    assert "B's head is better on the holdout set" in verdict_text(found)


def test_a_fork_counts_from_what_it_took_over(made: SyntheticState, tmp_path: Path) -> None:
    audited(made, 0.06)
    fork_state(made.path, tmp_path / "fork", datetime(2026, 11, 29, tzinfo=UTC))
    found = of(tmp_path / "fork")
    (task,) = found.tasks
    assert task.first == task.head == made.head.digest
    assert (task.audit.delta, found.parent) == (0.0, made.log.origin)
    assert f"goes on from another one, {found.parent}" in write_markdown(results_report(found, Rates()))
    said = write_markdown(results_report(found, Rates()))
    assert "Nothing has been tried since the fork." in said
    assert "no update kept" in said
    assert "+0.0000" not in said, "a version has no gain over itself"
    assert "looks at this holdout, which count here too" in said
    both = compare(open_log(made.path), open_log(tmp_path / "fork"), Rates())
    assert "fork" in {one.code for one in both.differences}
    assert (both.joules_comparable, both.tasks[0].differences[0].code) == (False, "first")


def test_a_gain_stands_beside_the_name_of_its_task(made: SyntheticState) -> None:
    found = of(made.path)
    (task,) = found.tasks
    other = replace(task, name="never_judged", holdout=replace(task.holdout, after=None))
    said = headline(replace(found, tasks=(other, task)))
    assert said.startswith("lora_delta: ")
    assert "never_judged" not in said


def test_nobody_is_sent_to_begin_a_run_beside_one_that_goes_on(made: SyntheticState) -> None:
    StateFolder(made.path).session.write_text("{}")
    advice = {one.code for one in of(made.path).next}
    assert "open" in advice
    assert "no-audit" not in advice


def test_what_does_not_compare_is_said_to_be_so(made: SyntheticState, tmp_path: Path) -> None:
    other = open_state(tmp_path / "other", [f"text {n}" for n in range(3 * COUNT)])
    other.attempt(0.05)
    other.session()
    other.finish()
    found = compare(open_log(made.path), open_log(other.path), Rates())
    (pair,) = found.tasks
    assert {one.code for one in pair.differences} >= {"data", "holdout"}
    assert (found.comparable, pair.head_to_head) == (False, ())
    assert verdict_text(found).startswith("The two do not compare. The data sets differ")


def test_a_state_beside_itself_is_the_same(made: SyntheticState, tmp_path: Path) -> None:
    copy = shutil.copytree(made.path, tmp_path / "copy", symlinks=True)
    found = compare(open_log(made.path), open_log(copy), Rates())
    assert found.joules_told_apart is False
    assert verdict_text(found) == "lora_delta: both heads are the same version; both cost the same."


def test_joules_of_another_task_are_no_cost_of_this_one(made: SyntheticState, tmp_path: Path) -> None:
    other = made.fork(tmp_path / "fork")
    other.policy = "uniform/v1"
    other.begin("other")
    other.attempt(0.02)
    other.session()
    other.finish()
    found = compare(open_log(made.path), open_log(other.path), Rates())
    assert {one.code for one in found.differences} == {"tasks"}
    assert (found.comparable, found.joules_comparable, found.joules_told_apart) == (True, False, None)
    assert "what they cost does not compare" in verdict_text(found)
