"""A guest holdout never errs more than it promised, and an acceptance certifies what it says."""

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.budget import ErrorBudget, bar_of
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.levels import LEVELS, RoundBudget, certified_level

HISTORIES = st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: (max(pair), min(pair)))
SMALL = st.integers(-(10**9), 10**9)


def test_the_levels_of_all_nodes_of_the_tree_sum_to_less_than_alpha() -> None:
    alpha, spent = Fraction(1, 100), Fraction(0)
    for depth in range(40):
        spent += sum(
            comb(depth, kept) * len(LEVELS) ** kept * RoundBudget(10_000, depth, kept).level
            for kept in range(depth + 1)
        )
        assert spent == alpha * Fraction(depth + 1, depth + 2)
    assert spent < alpha


@given(st.integers(1, 10**6), HISTORIES)
def test_the_bar_is_the_level_and_never_below_it(alpha_ppm: int, history: tuple[int, int]) -> None:
    budget = RoundBudget(alpha_ppm, *history)
    exact = 2000 * (math.log(budget.level.denominator) - math.log(budget.level.numerator))
    assert exact - 1e-6 <= budget.needed_milli <= exact + 1 + 1e-6


@given(st.integers(1, 10**6), HISTORIES)
def test_it_asks_for_more_than_the_rule_of_a_run_by_what_the_levels_tell(
    alpha_ppm: int, history: tuple[int, int]
) -> None:
    looks, kept = history
    ours, theirs = RoundBudget(alpha_ppm, looks, kept).level, ErrorBudget(alpha_ppm, looks, kept).level
    assert ours == 2 * theirs / len(LEVELS) ** kept


@given(HISTORIES, st.booleans())
def test_no_verdict_ever_lowers_the_bar(history: tuple[int, int], accepted: bool) -> None:
    before = RoundBudget(10_000, *history)
    after = before.after(accepted=accepted)
    assert after.needed_milli > before.needed_milli
    assert after.exhausted or not before.exhausted


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=40), st.integers(1, 40_000))
def test_a_certified_level_passes_its_bar_by_itself_and_the_next_one_does_not(
    pairs: list[tuple[int, int]], needed_milli: int
) -> None:
    base, new = [2 * 10**9 + one for one, _ in pairs], [2 * 10**9 + two for _, two in pairs]
    found = certified_level(pair_losses(base, new), needed_milli)

    def passes(level: int) -> bool:
        gains = [b - n - level for b, n in zip(base, new, strict=True)]
        total = sum(gains)
        return total > 0 and total**2 * 1000 > needed_milli * sum(one**2 for one in gains)

    assert found == max((level for level in LEVELS if passes(level)), default=0)


def test_evidence_falls_as_the_level_rises_so_one_wrong_test_is_all_that_is_needed() -> None:
    gains = [300_000_000, 260_000_000, 40_000_000, 310_000_000] * 32
    evidence = pair_losses([10**9] * len(gains), [10**9 - gain for gain in gains])
    weights = [evidence.shifted(-level).delta_weight for level in range(0, 220_000_000, 10_000_000)]
    assert weights == sorted(weights, reverse=True)
    assert certified_level(evidence, 10_000) == LEVELS[2]


def test_pure_luck_is_kept_in_fewer_lives_than_promised() -> None:
    rng, lives, alpha_ppm, count, looks = np.random.default_rng(7), 400, 200_000, 64, 20
    wrong = 0
    for _ in range(lives):
        budget = RoundBudget(alpha_ppm)
        for gains in np.rint(rng.normal(size=(looks, count)) * 1e9).astype(int).tolist():
            evidence = Evidence(count, sum(gains), 0, sum(one**2 for one in gains), 0, 0, 0, 0, hits=False)
            if certified_level(evidence, budget.needed_milli):
                wrong += 1
                break
            budget = budget.after(accepted=False)
    # P(X ≥ 105 | 400, 0.2) < 0.002: a holdout that kept its promise fails this test less often than that
    assert 0 < wrong < 105


@pytest.mark.parametrize("numbers", [(0, 0, 0), (1_000_001, 0, 0), (1000, 1, 2), (1000, 3, -1)])
def test_impossible_histories_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"must lie|cannot have"):
        RoundBudget(*numbers)


@given(st.fractions(min_value=Fraction(1, 10**30), max_value=1))
def test_a_bar_is_the_smallest_whole_number_that_keeps_its_level(level: Fraction) -> None:
    bar = bar_of(level)
    exact = 2000 * (math.log(level.denominator) - math.log(level.numerator))
    assert exact - 1e-6 <= bar < exact + 1 + 1e-6
