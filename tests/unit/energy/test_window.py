"""Two readings become energy: exact where they can be, bounded where they cannot, never negative."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.interface import Reading
from cryoflux.energy.window import Accumulator, BoundedEnergy, SourceLimits, delta

RANGE_UJ = 262_143_328_850
SECOND = 1_000_000_000
LIMITS = SourceLimits(range_uj=RANGE_UJ, max_power_uw=500_000_000, resolution_uj=61, ticks=True)


def reading(uj, seconds, epoch="a"):
    return Reading(uj, round(seconds * SECOND), epoch)


@pytest.mark.parametrize(
    ("before", "after", "amount", "flag"),
    [
        (reading(10, 0), reading(200_000_010, 1), (200_000_000,) * 3, ""),
        (reading(RANGE_UJ - 50, 0), reading(199_999_950, 1), (200_000_000,) * 3, "wrap"),
        (
            reading(30_000_000_000, 0),
            reading(10_000_000, 1),
            (40_000_000, 10_000_000, 500_000_061),
            "counter-reset",
        ),
        (reading(0, 0), reading(900_000_000, 1), (40_000_000, 0, 500_000_061), "impossible-jump"),
        (reading(5, 0, "a"), reading(9, 1, "b"), (40_000_000, 0, 500_000_061), "epoch-changed"),
    ],
)
def test_each_kind_of_step_has_its_bounds_and_its_flag(before, after, amount, flag):
    found = delta(before, after, LIMITS, expected_uj=40_000_000)
    assert found == (BoundedEnergy(*amount), flag)


def test_a_gap_that_could_hide_several_turns_says_so_and_takes_the_likeliest():
    before, after = reading(0, 0), reading(1_000_000, 1_200)
    amount, flag = delta(before, after, LIMITS, expected_uj=2 * RANGE_UJ)
    assert flag == "several-wraps"
    assert amount == BoundedEnergy(2 * RANGE_UJ + 1_000_000, 1_000_000, 2 * RANGE_UJ + 1_000_000)


def accumulate(readings, limits=LIMITS):
    accumulator = Accumulator(limits)
    for one in readings:
        accumulator.advance(one)
    return accumulator.mark()


def test_a_failed_read_between_two_good_ones_loses_nothing():
    mark = accumulate([reading(0, 0), reading(None, 1), reading(100_000_000, 2)])
    assert (mark.total, mark.tail, mark.faults) == (
        BoundedEnergy(*(100_000_000,) * 3),
        BoundedEnergy(),
        {"failed-read": 1},
    )


def test_what_has_not_been_read_is_estimated_and_bounded_not_zero():
    mark = accumulate([reading(0, 0), reading(50_000_000, 1), reading(None, 3)])
    assert mark.tail == BoundedEnergy(100_000_000, 0, 1_000_000_000)
    assert mark.pending


def test_a_counter_that_stands_still_is_waited_for_and_named():
    frozen = accumulate([reading(0, 0), reading(50_000_000, 1), reading(50_000_000, 3)])
    assert frozen.faults == {"frozen": 1}
    assert frozen.tail.uj == 100_000_000
    moved = accumulate(
        [reading(0, 0), reading(50_000_000, 1), reading(50_000_000, 3), reading(150_000_000, 3.5)]
    )
    # It may have gone on from where it stopped, so what it shows is the least.
    assert (moved.total.lo_uj, moved.tail) == (150_000_000, BoundedEnergy())
    assert moved.total.hi_uj >= moved.total.uj >= 150_000_000


def test_a_model_may_stand_still():
    limits = SourceLimits(None, 500_000_000, 0, ticks=False)
    assert accumulate([reading(7, 0), reading(7, 5)], limits).faults == {}


def test_a_difference_of_marks_is_never_negative_even_when_it_starts_in_the_dark():
    accumulator = Accumulator(LIMITS)
    for one in (reading(0, 0), reading(400_000_000, 1), reading(None, 2)):
        accumulator.advance(one)
    dark = accumulator.mark()
    accumulator.advance(reading(400_000_001, 3))
    span = accumulator.mark().since(dark)
    assert 0 <= span.lo_uj <= span.uj <= span.hi_uj


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.1, 1.0, 1.0, 5.0, 60.0, 700.0]),
        st.integers(0, 450_000_000),
        st.sampled_from(["read", "read", "read", "read", "fail", "reset", "suspend"]),
        st.integers(0, RANGE_UJ - 1),
    ),
    min_size=1,
    max_size=40,
)


@given(start=st.integers(0, RANGE_UJ - 1), steps=STEPS)
@settings(max_examples=400, deadline=None)
def test_the_truth_is_inside_whenever_resets_carry_an_epoch(start, steps):
    """Wraps, failures, marked resets and marked suspends, in any order."""
    accumulator = Accumulator(LIMITS)
    raw, seconds, epoch, truth_uj, least_uj = start, 0.0, 0, 0, 0
    accumulator.advance(reading(raw, 0, "0"))
    for elapsed_s, power_uw, what, elsewhere in steps:
        seconds += elapsed_s
        used_uj = int(power_uw * elapsed_s)
        truth_uj += used_uj
        raw = elsewhere if what == "reset" else (raw + used_uj) % RANGE_UJ
        epoch += what in {"reset", "suspend"}
        accumulator.advance(reading(None if what == "fail" else raw, seconds, str(epoch)))
        mark = accumulator.mark()
        lo_uj, hi_uj = mark.total.lo_uj, mark.total.hi_uj + mark.tail.hi_uj
        assert 0 <= lo_uj <= mark.total.uj <= mark.total.hi_uj
        assert lo_uj <= truth_uj <= hi_uj
        assert lo_uj >= least_uj
        assert hi_uj <= LIMITS.max_power_uw * seconds + 62 * (len(steps) + 1)
        least_uj = lo_uj


@given(steps=STEPS, cut=st.integers(0, 39))
@settings(max_examples=200, deadline=None)
def test_without_faults_every_window_is_exact(steps, cut):
    accumulator = Accumulator(LIMITS)
    raw, seconds, truth_uj = 0, 0.0, 0
    accumulator.advance(reading(raw, 0))
    start = accumulator.mark()
    for number, (step_s, power_uw, _, _) in enumerate(steps):
        elapsed_s = min(step_s, 60.0)
        if number == cut:
            start, truth_uj = accumulator.mark(), 0
        seconds += elapsed_s
        used_uj = int(max(power_uw, 1_000) * elapsed_s)
        truth_uj += used_uj
        raw = (raw + used_uj) % RANGE_UJ
        accumulator.advance(reading(raw, seconds))
    assert accumulator.mark().since(start) == BoundedEnergy(truth_uj, truth_uj, truth_uj)
