"""A clause of a contract is decided in integers, errs as often as it says, and its bits are nested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.promised import adapted_alpha, asked_delta, keeps, needed_of_windows, promised
from cryoflux.expression import parse_promise

ON_DELTA, ON_ETA = parse_promise("delta >= 0.05 nats"), parse_promise("eta >= 0.2 nats/kJ")
assert ON_DELTA is not None
assert ON_ETA is not None
GAINS = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50)


def test_the_bar_is_two_log_windows_over_alpha() -> None:
    assert needed_of_windows(10_000, 4) == 11_983
    assert needed_of_windows(10_000, 1) == 9_211


@pytest.mark.parametrize(
    ("upper_uj", "asked"), [(0, 0), (1, 1), (5, 1), (6, 2), (1_458_000_000, 291_600_000)]
)
def test_what_joules_ask_for_is_rounded_up(upper_uj: int, asked: int) -> None:
    assert asked_delta(ON_ETA, upper_uj) == asked


@given(GAINS, st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 20_000))
def test_what_is_kept_at_some_joules_is_kept_at_fewer(
    gains: list[int], one_uj: int, other_uj: int, needed: int
) -> None:
    evidence = pair_losses([2 * 10**9] * len(gains), [2 * 10**9 - gain for gain in gains])
    few, many = sorted((one_uj, other_uj))
    assert keeps(ON_ETA, evidence, needed, few) or not keeps(ON_ETA, evidence, needed, many)


def test_a_bit_on_joules_that_nobody_knows_is_not_set() -> None:
    evidence = pair_losses([10**9] * 64, [0] * 64)
    needed = needed_of_windows(10_000, 1)
    assert promised(ON_DELTA, evidence, needed, None)
    assert promised(ON_ETA, evidence, needed, 1_000_000)
    assert not promised(ON_ETA, evidence, needed, None)


@pytest.mark.parametrize("seed", range(3))
def test_windows_in_which_nothing_is_gained_are_kept_at_most_as_often_as_promised(seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(0.05, 0.4, size=(4_000, 64))
    gains = (drawn * 1e9).astype(np.int64)
    needed, kept = needed_of_windows(100_000, 2), 0
    for row in gains.tolist():
        evidence = pair_losses([10**10] * 64, [10**10 - gain for gain in row])
        kept += keeps(ON_DELTA, evidence, needed, 0)
    assert kept / 4_000 <= 0.1 / 2


def test_who_goes_by_the_bits_errs_as_often_as_a_union_over_all_offers_says() -> None:
    assert adapted_alpha(10_000, 1, 2) == pytest.approx(0.01)
    assert adapted_alpha(10_000, 4, 2) == pytest.approx(0.0375)
    assert adapted_alpha(10_000, 12, 2) == 1
