"""What a holdout is said to find is what the rule finds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.power import detectable, power


@given(st.integers(100, 10_000), st.floats(0.001, 1.0), st.integers(2_000, 60_000), st.floats(0.05, 0.99))
def test_power_and_detectable_invert_each_other(
    count: int, spread: float, needed: int, chance: float
) -> None:
    found = detectable(count, spread, needed, power=chance)
    assert power(count, spread, found, needed) == pytest.approx(chance, abs=1e-6)


def test_examples_that_cannot_carry_the_evidence_find_nothing() -> None:
    assert detectable(16, 0.1, 16_589) == math.inf
    assert power(16, 0.1, 10.0, 16_589) == 0.0
    assert power(16, 0.0, 10.0, 16_589) == 0.0
    assert power(17, 0.0, 0.001, 16_589) == 1.0


def test_the_smallest_delta_that_is_kept_caps_power() -> None:
    assert power(10**6, 0.01, 0.002, 16_589) == pytest.approx(1.0)
    assert power(10**6, 0.01, 0.002, 16_589, min_delta=0.002) == pytest.approx(0.5)
    assert power(100, 0.0, 0.001, 16_589, min_delta=0.002) == 0.0


def test_four_times_the_examples_halve_what_is_found() -> None:
    assert detectable(8_000, 0.1, 16_589) == pytest.approx(detectable(2_000, 0.1, 16_589) / 2, rel=0.01)


def test_the_formula_agrees_with_the_rule_on_simulated_holdouts() -> None:
    rng = np.random.default_rng(3)
    count, spread, delta, needed = 200, 0.1, 0.03, 16_589
    kept = 0
    for row in rng.normal(delta, spread, size=(500, count)):
        new = [10**9 - int(value * 1e9) for value in row]
        kept += pair_losses([10**9] * count, new, [True] * count, [True] * count).delta_passes(needed)
    assert kept / 500 == pytest.approx(power(count, spread, delta, needed), abs=0.07)


@pytest.mark.parametrize(("count", "needed"), [(18, 12_440), (30, 11_490), (60, 10_210), (300, 7_560)])
def test_what_few_examples_are_said_to_find_they_find(count: int, needed: int) -> None:
    deltas = np.random.default_rng(count).normal(detectable(count, 0.3, needed), 0.3, size=(20_000, count))
    sums, squares = deltas.sum(axis=1), (deltas**2).sum(axis=1)
    found = (sums > 0) & (sums**2 / squares > needed / 1000)
    assert found.mean() == pytest.approx(0.9, abs=0.01)
