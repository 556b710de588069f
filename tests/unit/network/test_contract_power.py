"""Terms that a holdout is too small for are refused beforehand, with terms that it is large enough for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.contracts.power import Terms, alternatives, plan

WEEKLY = Terms(
    count=512,
    windows=4,
    alpha=0.01,
    power=0.95,
    delta=0.36,
    spread=0.82,
    theta=0.0002,
    joules_upper=1458,
    joules_point=672,
)


def test_eta_over_modelled_joules_is_refused_at_512_and_fine_where_a_meter_counts() -> None:
    planned = plan(WEEKLY)
    assert planned.needed == pytest.approx(3_748, rel=0.01)
    assert not planned.enough
    counted = plan(replace(WEEKLY, joules_upper=705))
    assert counted.needed == pytest.approx(366, rel=0.01)
    assert counted.enough


def test_a_small_gain_a_week_is_settled_once_at_the_end() -> None:
    weekly = Terms(count=512, windows=12, alpha=0.01, power=0.95, delta=0.02, spread=0.28)
    assert not plan(weekly).enough
    words = [one.words for one in alternatives(weekly)]
    assert any("settled once after 12 windows" in one for one in words)


@given(
    st.integers(16, 4_096),
    st.integers(1, 12),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.floats(0.0, 0.001),
    st.floats(1, 3_000),
)
def test_every_alternative_is_powered_and_asks_for_something(
    count: int, windows: int, delta: float, spread: float, theta: float, joules: float
) -> None:
    terms = Terms(count, windows, 0.01, 0.9, delta, spread, theta, joules, joules / 2)
    for one in alternatives(terms):
        assert one.planned.enough
        assert one.planned.chance >= 0.9 - 1e-9
        assert one.words


@pytest.mark.parametrize("seed", range(3))
def test_the_power_that_is_planned_is_the_power_that_comes(seed: int) -> None:
    terms = Terms(count=400, windows=4, alpha=0.05, power=0.9, delta=0.2, spread=0.5, least=0.1)
    needed = plan(terms).needed
    assert needed is not None
    gains = np.random.default_rng(seed).normal(0.2 - 0.1, 0.5, size=(2_000, needed))
    total = gains.sum(1)
    kept = ((total > 0) & (total**2 > terms.bar * (gains**2).sum(1))).mean()
    assert kept == pytest.approx(0.9, abs=0.04)


def test_what_is_expected_to_fall_short_can_be_kept_with_no_number_of_examples() -> None:
    planned = plan(replace(WEEKLY, theta=0.001))
    assert planned.needed is None
    assert planned.chance < 0.01


@pytest.mark.parametrize("wrong", [{"count": 0}, {"alpha": 0.0}, {"power": 1.0}, {"delta": math.nan}])
def test_numbers_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"out of range|finite"):
        plan(replace(WEEKLY, **wrong))
