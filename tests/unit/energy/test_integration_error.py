"""What differences of counters make of traces whose energy is known."""

from __future__ import annotations

import random

import pytest

from synthetic_world import PlainZone, SteppedCounter, counted_joules, mixed_trace, steps_trace


def traces(rng, seconds):
    yield mixed_trace(rng, seconds, 20.0, 320.0)
    yield steps_trace(rng, seconds, rng.uniform(0.05, 2), rng.uniform(0.2, 0.8), rng.choice((0.0, 0.05)))


@pytest.mark.parametrize("step_s", [0.001, 0.01, 0.1])
def test_a_window_is_off_by_no_more_than_a_thousandth_and_a_counter_step_at_each_end(tmp_path, step_s):
    rng, zone = random.Random(f"{step_s}"), PlainZone(tmp_path)
    for _ in range(60):
        seconds = rng.choice((1.0, rng.uniform(1, 60)))
        for trace in traces(rng, seconds + 2):
            start_s = rng.uniform(0.2, 1.5)
            end_s = start_s + seconds
            counter = SteppedCounter(trace, step_s, rng.uniform(0, step_s), rng.randrange(10**11))
            truth_j = trace.joules(end_s) - trace.joules(start_s)
            off_j = counted_joules(zone, counter, start_s, end_s) - truth_j
            assert abs(off_j) <= 0.001 * truth_j + 2 * step_s * trace.peak_w
