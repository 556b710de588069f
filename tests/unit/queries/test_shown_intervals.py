"""One interval of Δ is shown everywhere: the one that decided, with its name, and none that does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.decision.interval import fixed_interval
from cryoflux.decision.rules import BARE
from cryoflux.energy.derived import Rates
from cryoflux.log_view import open_log
from cryoflux.queries.marks import mark_of
from cryoflux.queries.results import results_of
from cryoflux.receipts.sums import evidence_of
from cryoflux.report.decision_words import best_deal, interval_words
from cryoflux.report.marks import bar_words
from cryoflux.report.results_words import kept_table
from synthetic_parts import OLD_RULE
from synthetic_state import open_state


@pytest.mark.parametrize(
    ("rule", "z", "name"),
    [("evidence/v1", 3.09, "3.09 standard errors"), (BARE, 1.96, "95 %")],
)
def test_a_rule_without_a_bar_shows_what_it_went_by(tmp_path: Path, rule: str, z: float, name: str) -> None:
    made = open_state(tmp_path / "state")
    made.rule = OLD_RULE.but(name=rule)
    entry = made.attempt(0.05)
    made.finish()
    (attempt,) = open_log(made.path)
    found = evidence_of(entry.statement.predicate.evaluation)
    assert (attempt.delta_interval.low, attempt.delta_interval.high) == pytest.approx(
        fixed_interval(found, z), rel=1e-3
    )
    assert attempt.delta_interval.name == name


def test_the_interval_that_decided_is_the_same_in_pictures_tables_and_words(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.finish()
    log = open_log(made.path)
    (attempt,) = log
    low, high = attempt.delta_lo_anytime, attempt.delta_hi_anytime
    assert low < attempt.delta_lo, "the fixed interval is narrower than what was asked again and again"
    mark = mark_of(attempt)
    assert (mark.delta_lo, mark.delta_hi, mark.interval.name) == (low, high, "anytime")
    (row,) = kept_table(results_of(log, Rates()).kept, several=False).rows
    assert f"[{low:+.4f}, {high:+.4f}]" in row
    assert interval_words(attempt) == f" (anytime {low:+.3f} to {high:+.3f})"
    assert interval_words(attempt) in best_deal(log)[1]


def test_a_reading_that_stopped_early_shows_no_interval(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.conclude_attempt(made.announce(), -0.01, read=32)
    made.finish()
    kept, stopped = open_log(made.path)
    assert stopped.delta is not None
    assert stopped.delta_lo is not None, "a table has it, under its own name"
    assert stopped.delta_interval is None
    assert interval_words(stopped) == ""
    marks = [mark_of(one) for one in (kept, stopped)]
    assert (marks[1].delta_lo, marks[1].delta_hi) == (None, None)
    assert bar_words(marks) == (
        "the interval of Δ that decided (anytime); none where none holds, as of a reading that stopped early"
    )


def test_a_row_of_a_table_has_plain_values_alone(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.finish()
    row = open_log(made.path)[0].row()
    assert "delta_interval" not in row
    assert {"delta_lo", "delta_hi", "delta_lo_anytime", "delta_hi_anytime"} <= row.keys()
