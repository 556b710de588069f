"""A machine with one RAPL package whose errors are drawn as its source states them.

`tests/unit/energy/test_coverage.py` says what is drawn; here are the parts that other trials use too.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cryoflux.energy.baseline import Baseline, obtain_baseline
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import Busy
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, powercap_zone
from synthetic_world import BILLION, MICRO, Trace

LEARNED_S = 30
NOISE_W, MEMORY = 1.0, 0.8
DRIFT_W, DRIFT_SHARE = 1.0, 0.01
Z95 = 1.96


class StillTimes:
    """A machine at rest with two CPUs."""

    cpus = frozenset({0, 1})
    all_cpus = 2

    def read(self):
        return Busy(0, 0)


def drawn_gain(rng, low, high):
    z = rng.gauss(0, 1) / Z95
    if math.isclose(1 - low, high - 1):
        return 1 + z * (high - 1)
    return math.exp(z * math.log(high) if z > 0 else -z * math.log(low))


def load(rng, seconds):
    pieces, left = [], seconds
    while left > 0:
        level = rng.uniform(20, 200)
        pieces.append((rng.uniform(0.5, 5), level, level))
        left -= pieces[-1][0]
    return Trace(pieces)


def noise(rng, seconds):
    value, pieces = rng.gauss(0, NOISE_W), []
    for _ in range(seconds):
        value = MEMORY * value + rng.gauss(0, NOISE_W * math.sqrt(1 - MEMORY**2))
        pieces.append(value)
    return pieces


class Machine:
    """One source whose true power is set by hand; ``idle_w`` is what it draws at rest."""

    idle_w = 30.0
    step_s = 0.001
    span_s = (5.0, 60.0)
    tier = Tier.COUNTER

    def __init__(self, folder, rng):
        self.folder = folder
        self.rng = rng
        self.clock = FakeClock()
        self.source = self.made()

    def made(self):
        powercap_zone(self.folder, "intel-rapl:0", "package-0", limit_uw=250 * MICRO)
        return find_rapl(str(self.folder), self.clock)[0][0]

    def show(self, t, joules, watts):
        """What has flowed up to a moment, and what flows then, as it would be reported."""
        del watts
        with (self.folder / "intel-rapl:0" / "energy_uj").open("r+") as stream:
            stream.write(f"{int(joules * MICRO) // 61 * 61:>20}\n")
        self.at(t)

    def at(self, t):
        self.clock.now_ns = BILLION + round(t * BILLION)

    def gain(self):
        return drawn_gain(self.rng, *self.source.gain_error)

    def drift_w(self):
        return self.rng.gauss(0, max(DRIFT_W, DRIFT_SHARE * self.idle_w)) / Z95

    def load(self, seconds):
        return load(self.rng, seconds)

    def learned(self, number):
        """A baseline of this machine at a gain of 1."""
        joules, powers = 0.0, iter(noise(self.rng, LEARNED_S + 1))
        self.show(0, 0, self.idle_w)
        began_s, state = 0.0, {"watts": self.idle_w + next(powers)}

        def slept(seconds):
            nonlocal joules, began_s
            now_s = self.clock.now_ns / BILLION - 1
            joules += state["watts"] * seconds
            if now_s - began_s >= 1 - 1e-6:
                began_s, state["watts"] = now_s, self.idle_w + next(powers)
            self.show(now_s, joules, state["watts"])

        self.clock.on_sleep = slept
        self.source = self.made_again()
        path = self.folder / f"baseline-{number}.json"
        return obtain_baseline(
            path, [self.source], StillTimes(), self.clock, seconds=LEARNED_S, rng=self.rng
        ).of(self.source)

    def made_again(self):
        return self.source

    def opened(self, idle, gain):
        scaled = replace(idle, idle_uw=round(idle.idle_uw / gain), error_uw=round(idle.error_uw / gain))
        return Meter([self.source], Baseline((scaled,)), StillTimes(), self.clock)

    def read_times(self, start_s, end_s):
        t = start_s
        while t < end_s:
            yield t
            t += 5
        yield end_s

    def trial(self, idle):
        """(figure, truth in µJ) of one window."""
        rng, gain, drift_w = self.rng, self.gain(), self.drift_w()
        seconds = rng.uniform(*self.span_s)
        trace, idle_w = self.load(seconds + 12), self.idle_w + drift_w
        phase_s, start_s = rng.uniform(0, self.step_s), rng.uniform(1, 2)

        def show(t):
            visible = max(0.0, phase_s + self.step_s * ((t - phase_s) // self.step_s))
            joules = trace.joules(visible) + idle_w * visible
            self.show(t, joules / gain, (trace.power_w(t) + idle_w) / gain)

        self.warm_up(show, start_s)
        show(start_s)
        meter, first, last = self.opened(idle, gain), None, None
        for t in self.read_times(start_s, start_s + seconds):
            show(t)
            last = meter.refresh()
            first = first or last
        truth_j = trace.joules(start_s + seconds) - trace.joules(start_s)
        return meter.net(first, last), truth_j * MICRO

    def warm_up(self, show, start_s):
        for t in (start_s - 0.5, start_s - 0.25):
            show(t)
            self.source.read()
