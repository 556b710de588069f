"""The integers say what the textbook says, to the last digit."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import Evidence, pair_losses

LOSSES = st.lists(
    st.tuples(st.integers(0, 20 * 10**9), st.integers(0, 20 * 10**9), st.booleans(), st.booleans()),
    min_size=2,
    max_size=50,
)


def evidence(rows: list) -> Evidence:
    return pair_losses(*(list(column) for column in zip(*rows, strict=True)))


@given(LOSSES)
def test_mean_and_standard_error_are_those_of_the_paired_differences(rows: list) -> None:
    found = evidence(rows)
    differences = [(b - n) / 1e9 for b, n, _, _ in rows]
    assert found.delta_mean == pytest.approx(statistics.fmean(differences), abs=1e-12)
    expected = statistics.stdev(differences) / math.sqrt(len(rows))
    assert found.delta_se == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(LOSSES, st.integers(0, 10_000))
def test_the_integer_test_agrees_with_z_away_from_the_edge(rows: list, z_milli: int) -> None:
    found = evidence(rows)
    if found.delta > 0 and abs(found.z - z_milli / 1000) > 1e-6:
        assert found.delta_exceeds(z_milli) == (found.z > z_milli / 1000)
    if found.delta <= 0:
        assert not found.delta_exceeds(z_milli)


@given(LOSSES, st.integers(-(10**9), 10**9))
def test_a_shift_is_what_the_losses_would_say_if_each_were_lower(rows: list, nano: int) -> None:
    lower = [(base, new - nano, was, now) for base, new, was, now in rows]
    assert evidence(rows).shifted(nano) == evidence(lower)


@given(LOSSES, st.randoms())
def test_the_order_of_the_examples_does_not_matter(rows: list, rng) -> None:
    shuffled = rng.sample(rows, len(rows))
    assert evidence(shuffled) == evidence(rows)


def test_equal_improvements_everywhere_are_certain_and_none_is_none() -> None:
    assert evidence([(2, 1, True, True)] * 5).delta_exceeds(10_000)
    assert not evidence([(1, 1, True, True)] * 5).delta_exceeds(0)


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one common"):
        pair_losses([1, 2], [1], [True, True], [True])
