"""How far readings of known traces lie from the truth: our counter differences, and polled power.

    python benchmarks/meter_accuracy.py [--windows 300] [--seconds 10] [--seed 7]

Ours is the real code on a powercap zone of plain files, read at both ends of a window and once a second
between; polled power is multiplied by the time to the next poll, as a poller does. Nothing here is noise
of a real sensor: the counters are exact and only show what has flowed with a delay of up to one step.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cryoflux.energy.sources import rapl
from synthetic_world import PlainZone, SteppedCounter, Trace, counted_joules, mixed_trace, steps_trace

TRACES: dict[str, Callable[[random.Random, float], Trace]] = {
    "steps of 0.2 s, exact": lambda rng, seconds: steps_trace(rng, seconds, 0.2, 0.3, 0.0),
    "steps of 0.237 s ± 5 %": lambda rng, seconds: steps_trace(rng, seconds, 0.237, 0.3, 0.05),
    "steps of 1.3 s ± 5 %": lambda rng, seconds: steps_trace(rng, seconds, 1.3, 0.7, 0.05),
    "steps, gaps, ramps": lambda rng, seconds: mixed_trace(rng, seconds, 20.0, 320.0),
}
POLLS_HZ = {"power polled at 1/15 Hz": 1 / 15, "power polled at 1 Hz": 1.0, "power polled at 10 Hz": 10.0}
COUNTER_STEPS_S = {"counter, 1 ms steps": 0.001, "counter, 10 ms steps": 0.01, "counter, 100 ms steps": 0.1}
SPARE_S = 2.0
"""of trace beside the window, so that it can begin anywhere"""


def polled_joules(trace: Trace, start_s: float, end_s: float, hz: float) -> float:
    """Power times the time to the next poll."""
    joules, t = 0.0, start_s
    while t < end_s:
        until = min(t + 1 / hz, end_s)
        joules += trace.power_w(t) * (until - t)
        t = until
    return joules


def errors(
    make: Callable[[random.Random, float], Trace], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Relative errors by method; for counters, also by how much the promised bound was passed, if it was."""
    found: dict[str, list[float]] = {name: [] for name in (*COUNTER_STEPS_S, *POLLS_HZ, "beyond")}
    rng = random.Random(options.seed)  # noqa: S311 - a trace is no secret
    for _ in range(options.windows):
        trace = make(rng, options.seconds + SPARE_S)
        start_s = rng.uniform(0.2, SPARE_S - 0.5)
        end_s = start_s + options.seconds
        truth = trace.joules(end_s) - trace.joules(start_s)
        for name, step_s in COUNTER_STEPS_S.items():
            counter = SteppedCounter(trace, step_s, rng.uniform(0, step_s), rng.randrange(10**11))
            with tempfile.TemporaryDirectory() as folder:
                off = counted_joules(PlainZone(Path(folder)), counter, start_s, end_s) - truth
            found[name].append(abs(off) / truth)
            found["beyond"].append(abs(off) - 0.001 * truth - 2 * step_s * trace.peak_w)
        for name, hz in POLLS_HZ.items():
            found[name].append(abs(polled_joules(trace, start_s, end_s, hz) - truth) / truth)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=300, help="of each trace")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    rapl.standing_still = lambda *_: frozenset()  # files turned by hand count only when they are turned
    found = {name: errors(make, options) for name, make in TRACES.items()}
    print(f"{options.windows} windows of {options.seconds:g} s a trace; 95th percentile of |error| (mean)\n")
    print(f"| method | {' | '.join(TRACES)} |\n|---|{'---:|' * len(TRACES)}")
    for method in (*COUNTER_STEPS_S, *POLLS_HZ):
        cells = []
        for rows in found.values():
            ordered = sorted(rows[method])
            cells.append(f"{ordered[int(0.95 * len(ordered))]:.3%} ({mean(ordered):.3%})")
        print(f"| {method} | {' | '.join(cells)} |")
    beyond = [off for rows in found.values() for off in rows["beyond"]]
    passed = sum(off > 0 for off in beyond)
    print(f"\nCounter windows beyond 0.1 % and one counter step at each end: {passed} of {len(beyond)}.")


if __name__ == "__main__":
    main()
