"""The anytime interval says what the rule says, and holds the truth as often as it promises."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.interval import anytime_interval, fixed_interval, odds_against
from cryoflux.quantities import NANO

DELTAS = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=60)


def paired(deltas: list[int]) -> Evidence:
    return pair_losses([2 * NANO] * len(deltas), [2 * NANO - delta for delta in deltas])


@given(DELTAS, st.integers(1000, 60_000))
def test_its_lower_end_is_above_zero_exactly_where_the_evidence_passes(deltas: list[int], bar: int) -> None:
    found = paired(deltas)
    low, high = anytime_interval(found, bar)
    near = found.delta_squared and abs(found.delta**2 * 1000 / (bar * found.delta_squared) - 1) < 1e-9
    if not near:  # floats and integers may differ about a tie
        assert (low > 0) == found.delta_passes(bar)
        assert (high < 0) == paired([-delta for delta in deltas]).delta_passes(bar)
    assert low <= found.delta_mean <= high


def test_few_examples_rule_nothing_out() -> None:
    assert anytime_interval(paired([NANO] * 16), 16_000) == (-math.inf, math.inf)


def test_a_whole_holdout_of_intervals_misses_no_more_often_than_its_budget() -> None:
    """30 looks at each of 400 holdouts: at 5 %, 20 may hold an interval that misses its centre."""
    rng, missed, budget = random.Random(7), 0, 50_000
    for _ in range(400):
        known, missing = ErrorBudget(budget), False
        for _ in range(30):
            centre, spread = rng.uniform(-0.02, 0.02), rng.choice((0.01, 0.1))
            found = paired([round(NANO * rng.gauss(centre, spread)) for _ in range(64)])
            low, high = anytime_interval(found, known.needed_milli)
            missing |= not low <= centre <= high
            known = known.after(accepted=low > 0)
        missed += missing
    assert missed <= 20


def test_the_fixed_interval_is_for_one_look() -> None:
    found = paired([NANO // 10, NANO // 5, NANO // 4, -NANO // 20])
    low, high = fixed_interval(found)
    assert high - found.delta_mean == pytest.approx(found.delta_mean - low)
    assert fixed_interval(found, 3.09)[0] < low


def test_the_odds_are_those_of_the_level() -> None:
    for looks, kept in ((0, 0), (1, 1), (20, 2), (60, 7)):
        budget = ErrorBudget(10_000, looks, kept)
        assert odds_against(budget.needed_milli) * budget.level <= 1.001
    assert odds_against(ErrorBudget(10_000).needed_milli) == 400
