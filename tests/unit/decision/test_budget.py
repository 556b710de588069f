"""The error budget never overspends, whatever the verdicts were, and its bar never falls."""

import math
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision import budget
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Thresholds, decide

HISTORIES = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda pair: (max(pair), min(pair)))


def test_the_levels_of_all_nodes_of_the_tree_sum_to_less_than_alpha() -> None:
    alpha, spent = Fraction(1000, 1_000_000), Fraction(0)
    for depth in range(13):
        for bits in product((0, 1), repeat=depth) if depth < 10 else ():
            spent += 2 * ErrorBudget(1000, depth, sum(bits)).level
        if depth >= 10:
            spent += sum(
                2 * math.comb(depth, m) * ErrorBudget(1000, depth, m).level for m in range(depth + 1)
            )
        assert spent == alpha * Fraction(depth + 1, depth + 2)
    assert spent < alpha


def test_the_first_look_gets_a_quarter_of_alpha_for_each_half() -> None:
    fresh = ErrorBudget(1000)
    assert fresh.level == Fraction(1, 4000)
    assert fresh.needed_milli == 16_589
    assert ErrorBudget(1000, looks=2, kept=1).level == Fraction(1, 1000 * 2 * 9 * 4 * 2)


@given(st.integers(1, 10**6), HISTORIES)
def test_the_bar_is_the_level_in_nats_and_never_below_it(alpha_ppm: int, history: tuple[int, int]) -> None:
    budget = ErrorBudget(alpha_ppm, *history)
    exact = 2000 * (math.log(budget.level.denominator) - math.log(budget.level.numerator))
    assert exact - 1e-6 <= budget.needed_milli <= exact + 1 + 1e-6


@given(st.integers(1, 10**6), HISTORIES, st.booleans())
def test_no_verdict_ever_lowers_the_bar_or_unwears_the_holdout(
    alpha_ppm: int, history: tuple[int, int], accepted: bool
) -> None:
    before = ErrorBudget(alpha_ppm, *history)
    after = before.after(accepted=accepted)
    assert (after.looks, after.kept) == (before.looks + 1, before.kept + accepted)
    assert after.needed_milli > before.needed_milli
    assert after.exhausted or not before.exhausted


def test_a_holdout_is_worn_once_four_times_the_evidence_is_needed() -> None:
    assert not ErrorBudget(1000).exhausted
    assert not ErrorBudget(1000, looks=200, kept=0).exhausted
    assert not ErrorBudget(1000, looks=20, kept=5).exhausted
    assert ErrorBudget(1000, looks=50, kept=5).exhausted


@pytest.mark.parametrize(
    "numbers", [(0, 0, 0), (1_000_001, 0, 0), (1000, 1, 2), (1000, -1, -1), (1000, 3, -1)]
)
def test_impossible_histories_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"must lie|cannot have"):
        ErrorBudget(*numbers)


def test_thousands_of_looks_are_still_a_number() -> None:
    assert 13_000_000 < ErrorBudget(1, looks=10**4, kept=5_000).needed_milli < 15_000_000


def _fair_coins(rng: np.random.Generator, count: int, alpha_ppm: int) -> int:
    """Verdicts of one holdout, until the first acceptance, on candidates that are pure luck."""
    budget = ErrorBudget(alpha_ppm)
    for _ in range(10):
        signs = rng.choice([-1, 1], size=count)
        sizes = rng.choice([1, 1, 1, 5], size=count) * 10_000_000
        gained, lost = (int(n) for n in rng.multinomial(count, [0.2, 0.2, 0.6])[:2])
        delta = signs * sizes
        evidence = Evidence(
            count=count,
            base_loss=10**9 * count,
            new_loss=10**9 * count - int(delta.sum()),
            delta_squared=int((delta * delta).sum()),
            base_correct=count // 2,
            new_correct=count // 2 + gained - lost,
            gained=gained,
            lost=lost,
        )
        verdict = decide("evidence/v2", evidence, Thresholds(0, 0, 0, budget.needed_milli))
        if verdict.accepted:
            return 1
        budget = budget.after(accepted=False)
    return 0


def test_a_holdout_that_sees_only_luck_errs_at_most_as_often_as_promised() -> None:
    rng = np.random.default_rng(7)
    lives, alpha_ppm = 400, 200_000
    wrong = sum(_fair_coins(rng, 40, alpha_ppm) for _ in range(lives))
    assert wrong / lives <= alpha_ppm / 1_000_000


def exactly(alpha_ppm: int, looks: int, kept: int) -> int:
    """The bar as it is defined: from the level itself, with more digits than anybody could need."""
    level, digits = ErrorBudget(alpha_ppm, looks, kept).level, Context(prec=60)
    log = digits.subtract(digits.ln(Decimal(level.denominator)), digits.ln(Decimal(level.numerator)))
    return int(digits.multiply(log, Decimal(2000)).to_integral_value(ROUND_CEILING))


@given(alpha_ppm=st.integers(1, 1_000_000), looks=st.integers(0, 3_000), share=st.floats(0.0, 1.0))
def test_the_quick_bar_is_the_exact_one(alpha_ppm: int, looks: int, share: float) -> None:
    kept = int(looks * share)
    assert ErrorBudget(alpha_ppm, looks, kept).needed_milli == exactly(alpha_ppm, looks, kept)


@given(looks=st.integers(0, 3_000), share=st.floats(0.0, 1.0))
def test_a_float_is_never_further_off_than_it_says(looks: int, share: float) -> None:
    kept = int(looks * share)
    level, digits = ErrorBudget(50_000, looks, kept).level, Context(prec=60)
    log = digits.subtract(digits.ln(Decimal(level.denominator)), digits.ln(Decimal(level.numerator)))
    about, error = budget._about(50_000, looks, kept)
    assert abs(digits.multiply(log, Decimal(2000)) - Decimal(about)) <= Decimal(error)


@pytest.mark.parametrize(("looks", "kept"), [(500_000, 250_000), (1_000_000, 1_000), (123_457, 61_000)])
def test_a_bar_after_very_many_looks_is_exact_too(looks: int, kept: int) -> None:
    assert budget._exactly(50_000, looks, kept) == ErrorBudget(50_000, looks, kept).needed_milli


def test_where_a_float_does_not_know_the_whole_number_is_computed_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "_about", lambda *_: (12_000.0, 50_000.0))
    budget._needed_milli.cache_clear()
    assert ErrorBudget(50_000, 900, 30).needed_milli == exactly(50_000, 900, 30)
    budget._needed_milli.cache_clear()
