"""Integrated power is exact where nothing happens between samples, and wide enough where something does."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.energy.sources.integral import CLOSE_ERROR, WIDE_ERROR, PowerIntegral

BILLION = 1_000_000_000


def training(period_s, duty, *, jitter, rng, seconds):
    """Power (W) in steps of a millisecond: 320 W in each training step, 90 W between them."""
    powers = [90.0] * round(seconds * 1000)
    start_s = -rng.uniform(0, period_s)
    while start_s < seconds:
        length_s = max(0.02, period_s * (1 + jitter * rng.gauss(0, 1)))
        for n in range(
            max(0, round(start_s * 1000)), min(len(powers), round((start_s + length_s * duty) * 1000))
        ):
            powers[n] = 320.0
        start_s += length_s
    return powers


def covered(powers, steps_s, rng):
    """Whether the truth of a window lies within the stated range, and whether it lies in the close one."""
    integral, now_s, sampled = PowerIntegral(), rng.uniform(0, 0.1), []
    while now_s < len(powers) / 1000 - 0.002:
        integral.add(round(powers[int(now_s * 1000)] * 1e6), round(now_s * 1e9))
        sampled.append(now_s)
        now_s += steps_s(rng)
    truth_uj = sum(powers[int(sampled[0] * 1000) : int(sampled[-1] * 1000)]) * 1000
    low, high = integral.gain_error
    close_low, close_high = CLOSE_ERROR
    ratio = truth_uj / integral.total_uj
    return low <= ratio <= high, close_low <= ratio <= close_high


def shares(steps_s, *, windows=60):
    rng, within, close = random.Random(4), 0, 0
    shapes = [(0.2, 0.3, 0.0), (0.237, 0.3, 0.05), (1.3, 0.7, 0.05)]
    for n in range(windows):
        period_s, duty, jitter = shapes[n % len(shapes)]
        powers = training(period_s, duty, jitter=jitter, rng=rng, seconds=30)
        inside, inside_close = covered(powers, steps_s, rng)
        within, close = within + inside, close + inside_close
    return within / windows, close / windows


def test_close_uneven_samples_of_training_steps_lie_within_the_close_range():
    within, close = shares(lambda rng: 0.1 * rng.uniform(0.8, 1.2))
    assert within >= 0.95
    assert close >= 0.95


def test_one_sample_a_second_lies_within_the_wide_range_and_not_within_the_close_one():
    within, close = shares(lambda _: 1.0)
    assert within >= 0.95
    assert close < 0.95


@given(power_w=st.integers(0, 1000), steps_ms=st.lists(st.integers(0, 2000), min_size=1, max_size=40))
def test_steady_power_is_integrated_exactly_however_it_is_sampled(power_w, steps_ms):
    integral, now_ms = PowerIntegral(), 0
    integral.add(power_w * 1_000_000, 0)
    for step_ms in steps_ms:
        now_ms += step_ms
        integral.add(power_w * 1_000_000, now_ms * 1_000_000)
    assert integral.total_uj == power_w * 1000 * now_ms
    assert integral.gaps == 0


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-BILLION, 5 * BILLION)), max_size=40))
def test_an_integral_never_falls_and_its_range_stays_between_close_and_wide(samples):
    integral, now_ns, before_uj = PowerIntegral(), 0, 0
    for power_uw, step_ns in samples:
        now_ns += step_ns
        integral.add(power_uw, now_ns)
        low, high = integral.gain_error
        assert integral.total_uj >= before_uj
        assert WIDE_ERROR[0] <= low <= CLOSE_ERROR[0]
        assert CLOSE_ERROR[1] <= high <= WIDE_ERROR[1]
        before_uj = integral.total_uj


def test_the_range_narrows_while_samples_are_close_and_widens_again_when_they_are_not():
    integral, now_ns, ranges = PowerIntegral(), 0, []
    for step_s, times in ((0.1, 300), (1.0, 30)):
        for _ in range(times):
            now_ns += round(step_s * 1e9)
            integral.add(50_000_000, now_ns)
        ranges.append(integral.gain_error[1])
    assert ranges[0] < 1.2
    assert ranges[1] > 2.1


def test_an_interruption_leaves_the_time_after_it_out():
    integral = PowerIntegral()
    integral.add(100_000_000, 0)
    integral.interrupt()
    assert not integral.add(100_000_000, BILLION)
    assert integral.total_uj == 0
    assert integral.add(100_000_000, 2 * BILLION)
    assert integral.total_uj == 100_000_000
