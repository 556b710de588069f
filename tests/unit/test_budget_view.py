"""A budget adds up, whatever a run says; a projection goes by attempts, and is none where there are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acting_run import ActingRun
from cryoflux.attempt.watch import Step
from cryoflux.quantities import MICRO
from cryoflux.queries.activity import BudgetNow, read_activity
from cryoflux.queries.budget import budget_of, project
from cryoflux.queries.followed import Followed
from cryoflux.report.now_words import projection_words
from cryoflux.state import StateFolder
from synthetic_state import open_state

NOW = 1_795_953_000.0


def test_the_parts_of_a_recorded_run_are_what_its_log_was_charged(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.session()
    state.finish()
    followed = Followed(state.path)
    followed.refresh()
    view = budget_of(followed, None, NOW)
    summary = followed.summary()
    assert view is not None
    assert summary is not None
    assert summary.all_in is not None
    assert view.spent_uj == summary.all_in.uj
    assert view.whole_uj == max(view.spendable_uj, view.spent_uj)
    assert [part.attempt.number for part in view.parts if part.attempt is not None] == [1, 2, 3]
    assert view.projection is None


def test_a_run_that_goes_on_has_its_finished_attempts_and_the_rest_is_unspent(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    run = ActingRun(state.path, NOW - 60)
    followed = Followed(state.path)
    followed.refresh()
    charged = followed.attempts[0].joules
    run.budget(500, charged, 30)
    run.attempt(2, Step.TRAIN, NOW - 10, spent_uj=7 * MICRO)
    activity = read_activity(StateFolder(state.path), now=NOW)
    view = budget_of(followed, activity, NOW)
    state.finish()
    assert view is not None
    found = {part.kind: part.uj / MICRO for part in view.parts}
    assert found == {
        "beside": 30,
        "attempt": pytest.approx(charged),
        "under way": 7,
        "reserved": 53,
        "closing": 20,
        "left": pytest.approx(500 - 30 - charged - 60 - 20),
    }
    assert view.projection is not None
    assert view.goes_on


amounts = st.integers(-(10**9), 10**12)


@given(amounts, amounts, amounts, amounts)
def test_the_parts_are_never_less_than_nothing_nor_less_than_the_budget(
    tmp_path_factory: pytest.TempPathFactory, spendable: int, attempts: int, session: int, under_way: int
) -> None:
    state = tmp_path_factory.mktemp("budget")
    run = ActingRun(state, NOW - 60)
    run.budget(spendable / MICRO, attempts / MICRO, session / MICRO)
    run.attempt(2, Step.TRAIN, NOW - 10, spent_uj=under_way)
    view = budget_of(Followed(state), read_activity(StateFolder(state), now=NOW), NOW)
    if min(spendable, attempts, session) < 0:  # no run says so: it is not known
        assert view is None
        return
    assert view is not None
    assert all(part.uj > 0 for part in view.parts)
    assert view.whole_uj >= min(view.spendable_uj, sum(part.uj for part in view.parts))


def budget(spent: float, under_way: float = 0.0) -> BudgetNow:
    figures = (500.0, spent + under_way, spent, 0.0, 20.0, 60.0)
    return BudgetNow(*(round(figure * MICRO) for figure in figures))


def attempts(*joules: float, seconds: float = 40.0) -> Any:
    began = datetime.fromtimestamp(NOW, UTC) - timedelta(seconds=seconds * len(joules))
    return [
        SimpleNamespace(
            joules=one,
            started=began + timedelta(seconds=seconds * n),
            finished=began + timedelta(seconds=seconds * (n + 1)),
        )
        for n, one in enumerate(joules)
    ]


def test_nothing_is_projected_from_nothing() -> None:
    assert project(budget(0), [], NOW, None, None) is None
    assert project(budget(0), attempts(0.0, 0.0), NOW, None, None) is None


def test_an_attempt_begins_while_the_rest_pays_for_what_one_reserves() -> None:
    # 480 J but for the end; 400 left, of 50 each: one begins at 400, 350, … 100; at 50 none is paid for.
    found = project(budget(80), attempts(50.0), NOW, None, None)
    assert found is not None
    assert (found.attempts, found.ends_at, found.by_deadline) == (7, NOW + 7 * 40, False)


def test_the_attempt_that_goes_on_is_one_of_them_and_has_begun_already() -> None:
    found = project(budget(80, 30), attempts(50.0), NOW, NOW - 15, None)
    assert found is not None
    assert (found.attempts, found.ends_at) == (7, NOW + 25 + 6 * 40)


def test_none_begins_after_the_deadline() -> None:
    found = project(budget(80), attempts(50.0), NOW, None, NOW + 100)
    assert found is not None
    assert (found.attempts, found.ends_at, found.by_deadline) == (3, NOW + 120, True)


@pytest.mark.parametrize("deadline", [None, 253_402_300_799.0])
def test_of_attempts_that_cost_next_to_nothing_no_year_is_projected(deadline: float | None) -> None:
    assert project(budget(80), attempts(1e-6), NOW, None, deadline) is None


def test_a_run_that_has_finished_nothing_shows_no_attempt_of_the_one_before(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    state.session()
    state.finish()
    followed = Followed(state.path)
    followed.refresh()
    ended_at = datetime.fromisoformat(followed.sessions[-1].ended_at).timestamp()
    run = ActingRun(state.path, ended_at + 1)  # as where one run follows the other in a script
    run.budget(500, 0, 3)
    activity = read_activity(StateFolder(state.path), now=ended_at + 2)
    assert activity is not None
    view = budget_of(followed, activity, ended_at + 2)
    assert view is not None
    assert {part.kind for part in view.parts} <= {"beside", "closing", "left"}
    assert view.whole_uj == view.spendable_uj


def test_a_projection_says_that_it_is_one_and_what_it_goes_by() -> None:
    found = project(budget(80), attempts(40.0, 60.0), NOW, None, None)
    assert found is not None
    said = projection_words(found, NOW)
    assert "a projection, from 50.0 J and 40 s an attempt, as the last 2 took" in said
    assert "About 7 more attempts fit, until about" in said
