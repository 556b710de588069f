"""The staked budget never lets more be kept falsely than was promised; its bars are those of the proof."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.decision.stakes import (
    ENOUGH,
    STAKED,
    STAKES,
    WHOLE,
    StakedBudget,
    chosen_stake,
    least_stake,
    needed_at,
)

_CONSTANT = 1 / (4 * norm.sf(math.sqrt(2)))
_MIN_DELTA = 2_000_000


def screen(z: float, count: int = 512, mean: float = 0.01) -> Evidence:
    """Evidence of a screen with a mean Δ, nats, that lies so many standard errors above zero."""
    base = 10**12
    spread = mean / z * math.sqrt(count - 1)
    return Evidence(
        count,
        base * count,
        base * count - round(mean * 1e9 * count),
        round((spread**2 + mean**2) * 1e18 * count),
        0,
        0,
        0,
        0,
    )


def null_levels(
    budget: StakedBudget, kinds: tuple[bool, ...], stakes: tuple[int, ...], depth: int
) -> Fraction:
    """Σ of the levels of null nodes that no accepted null node precedes, over one tree of looks.

    Which node is null and what it stakes follows from its place in the tree, as it may.
    """

    def below(budget: StakedBudget, place: int, depth: int) -> Fraction:
        if not depth:
            return Fraction(0)
        is_null, stake = kinds[place % len(kinds)], stakes[place % len(stakes)]
        missed = below(budget.after(stake, accepted=False), 2 * place, depth - 1)
        if is_null:
            return Fraction(budget.level(stake), WHOLE) + missed
        return missed + below(budget.after(stake, accepted=True), 2 * place + 1, depth - 1)

    return below(budget, 1, depth)


@given(
    st.integers(1, 1_000_000),
    st.lists(st.booleans(), min_size=1, max_size=64).map(tuple),
    st.lists(st.sampled_from(STAKES), min_size=1, max_size=64).map(tuple),
)
def test_no_tree_of_looks_errs_more_than_alpha(
    alpha_ppm: int, kinds: tuple[bool, ...], stakes: tuple[int, ...]
) -> None:
    spent = null_levels(StakedBudget.fresh(alpha_ppm), kinds, stakes, 9)
    assert spent <= Fraction(alpha_ppm, 1_000_000)


def test_counting_all_null_nodes_would_err_without_end() -> None:
    """The tree has to be cut at a false acceptance: the test above would notice if it were not."""
    budget, spent = StakedBudget.fresh(10_000), Fraction(0)
    for _ in range(5):
        spent += Fraction(budget.level(950), WHOLE)
        budget = budget.after(950, accepted=True)
    assert spent > 4 * Fraction(10_000, 1_000_000)


@given(st.integers(1, WHOLE))
def test_the_bar_is_the_smallest_whole_number_whose_bound_is_within_the_level(level: int) -> None:
    needed = needed_at(level)
    if needed:
        x, before = (math.sqrt(m / 1000) for m in (needed, needed - 1))
        assert _CONSTANT * norm.sf(x) <= level / WHOLE * (1 + 1e-12)
        assert _CONSTANT * norm.sf(before) > level / WHOLE * (1 - 1e-12)
    else:
        assert _CONSTANT * norm.sf(0) <= level / WHOLE * (1 + 1e-12)


def test_a_bar_that_was_worked_out_by_hand() -> None:
    assert StakedBudget.fresh(10_000).needed_milli(950) == 7558
    assert StakedBudget.fresh(10_000).needed_milli(500) == 8721


def test_no_sum_of_weighted_coins_passes_more_often_than_its_level() -> None:
    """Every sign of twelve coins, for weights of several shapes: the bound of the proof, counted out."""
    signs = np.array(list(product((-1, 1), repeat=12)))
    for weights in (np.ones(12), np.arange(1, 13), 0.6 ** np.arange(12), np.array([5] + [1] * 11)):
        weight = np.sort((signs @ weights) / np.sqrt((weights**2).sum()))
        for level in (0.25, 0.1, 0.05, 0.01, 0.001):
            bar = math.sqrt(needed_at(round(level * WHOLE)) / 1000)
            assert (weight > bar).mean() <= level


@given(st.integers(0, WHOLE), st.sampled_from(STAKES))
def test_a_verdict_never_makes_budget(left: int, stake: int) -> None:
    budget = StakedBudget(left)
    kept, missed = budget.after(stake, accepted=True), budget.after(stake, accepted=False)
    assert kept.left + missed.left <= left
    assert kept.left == budget.level(stake)


def test_what_was_staked_comes_back_where_the_update_is_kept() -> None:
    budget = StakedBudget.fresh(10_000)
    assert budget.after(900, accepted=True) == StakedBudget(9 * 10**12)
    assert budget.after(900, accepted=False) == StakedBudget(10**12)


def test_a_holdout_is_worn_once_four_times_the_evidence_is_needed() -> None:
    budget, looks = StakedBudget.fresh(10_000), 0
    while not budget.exhausted(10_000):
        budget, looks = budget.after(950, accepted=False), looks + 1
    assert looks == 4
    assert budget.needed_milli(950) >= 4 * 7558
    assert StakedBudget(0).exhausted(10_000)


@given(st.floats(0.1, 30), st.floats(0.1, 30), st.integers(1, 10**13))
def test_a_clearer_screen_never_stakes_less(one: float, other: float, left: int) -> None:
    budget = StakedBudget(left)
    low, high = (
        chosen_stake(budget, screen(z), 1024, _MIN_DELTA) for z in (min(one, other), max(one, other))
    )
    assert low <= high


@given(st.floats(0.5, 12), st.sampled_from((256, 512, 1024, 2048)))
def test_the_stake_is_the_largest_that_the_screen_believes_in(z: float, holdout: int) -> None:
    seen, budget = screen(z), StakedBudget.fresh(10_000)
    found, ratio = chosen_stake(budget, seen, holdout, _MIN_DELTA), holdout / 512
    mean, spread = 0.9 * seen.z * math.sqrt(ratio), math.sqrt(1 + 0.81 * ratio)
    chances = {f: norm.sf((math.sqrt(budget.needed_milli(f) / 1000) - mean) / spread) for f in STAKES}
    if any(abs(chance - f / 1000) < 1e-3 for f, chance in chances.items()):
        return  # too near a border to tell in floats
    assert found == next((f for f in STAKES if chances[f] >= f / 1000), 0)


@pytest.mark.parametrize(
    "seen", [screen(-2.0, mean=-0.01), screen(9.0, mean=0.0019), Evidence(1, 10**12, 0, 10**24, 0, 0, 0, 0)]
)
def test_a_screen_without_a_gain_that_counts_stakes_nothing(seen: Evidence) -> None:
    assert chosen_stake(StakedBudget.fresh(10_000), seen, 512, _MIN_DELTA) == 0


def test_an_empty_budget_stakes_nothing() -> None:
    assert chosen_stake(StakedBudget(0), screen(9.0), 512, _MIN_DELTA) == 0


def test_the_rule_asks_for_its_bar_and_lets_no_accuracy_through() -> None:
    bar = Thresholds(_MIN_DELTA, 10_000, 3090, 7558)
    assert decide(STAKED, screen(3.0), bar).accepted
    assert not decide(STAKED, screen(2.5), bar).accepted
    assert decide(STAKED, screen(2.5), bar).undecided
    only_hits = Evidence(512, 10**12, 10**12, 0, 100, 200, 100, 0)
    assert decide("evidence/v2", only_hits, bar).accepted
    assert not decide(STAKED, only_hits, bar).accepted


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_smaller_holdout_never_asks_for_less(some: int, others: int) -> None:
    few, many = sorted((some, others))
    budget = StakedBudget.fresh(10_000)
    assert least_stake(few) >= least_stake(many)
    assert least_stake(few) in STAKES
    for stake in STAKES:
        assert budget.level(stake, few) <= budget.level(stake, many) <= budget.level(stake)
        assert budget.needed_milli(stake, few) >= budget.needed_milli(stake, many)


@given(st.integers(0, WHOLE), st.sampled_from(STAKES), st.integers(1, ENOUGH))
def test_a_small_holdout_tests_at_its_share_of_what_it_stakes(left: int, stake: int, count: int) -> None:
    budget = StakedBudget(left)
    exact = Fraction(left * stake, 1000) * Fraction(count, ENOUGH)
    assert budget.level(stake, count) == math.floor(exact)
    assert budget.level(stake, ENOUGH + count) == budget.level(stake)
