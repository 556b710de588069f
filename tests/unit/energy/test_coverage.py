"""How often the 95 % interval of a window's net energy holds the truth, source by source.

Each trial is one window of 5-60 s (10-15 s for integrated power, to keep the test short), metered by the
real source, baseline and meter on a synthetic machine. A trial's errors are those that the source states:

- Gain: true over reported energy is drawn once a trial so that ``gain_error`` is its 95 % range: normal
  where the range lies even about 1, else log-normal with a width of its own on either side. The baseline
  has the same gain as the window. Integrated power states its sensor's 5 % and the sampling in one: there
  the gain is normal with 5 %, and the sampling is done, ten times a second at a random moment of each slot.
- Idle: learned by ``energy.baseline`` from 30 s of noise of 1 W that remembers (autocorrelation 0.8 from
  second to second); then the true idle power moves by a normal amount with a 95 % range of 1 W, or 1 %
  where that is more: so much ``energy.drift`` allows a baseline that nobody could watch. A model's idle
  is defined, so it has neither. 250 baselines are learned at a gain of 1, and scaled to the gain of each
  of eight trials.
- Edge: the window begins anywhere in the steps of the counter: 61 µJ and 1 ms (RAPL), 1 mJ and 100 ms
  (NVML), 10 ms of CPU time on each CPU (model).
- Load above idle: steps of 0.5-5 s of 20-200 W; for integrated power training steps between 20 and 250 W,
  in equal parts of just 0.2 s, of 0.237 s and of 1.3 s, the latter two ± 5 %, as ``energy.integral`` has
  them; for the model 0-2 busy CPUs, changing at whole seconds, as its blocks do.

A model's range is plausible, and no 95 % interval: that it passes here says that the arithmetic keeps the
range which it is given, and not how often that holds real processors.

The truth is the energy above the true idle power, which is not the learned one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from cryoflux.energy.baseline import Baseline, Idle, obtain_baseline
from cryoflux.energy.interface import Reading
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import Busy
from cryoflux.energy.sources.cpu_model import CpuModelSource
from cryoflux.energy.sources.nvml import NvmlSource
from cryoflux.quantities import Tier
from drawn_machine import LEARNED_S, Z95, Machine, StillTimes, noise
from energy_fakes import ReplaySource
from synthetic_world import BILLION, MICRO, Trace, steps_trace

TRIALS = 2_000
BASELINES = 250
SENSOR_ERROR = 0.05
TRAINING = ((0.2, 0.3, 0.0), (0.237, 0.3, 0.05), (1.3, 0.7, 0.05))
"""(period in s, share of it under load, jitter)"""


class Board:
    """NVML with one GPU."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, counts):
        self.counts = counts
        self.energy_mj = self.power_mw = 0

    def nvmlInit(self):
        pass

    def nvmlShutdown(self):
        pass

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetUUID(self, handle):
        return "GPU-0"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 400_000

    def nvmlDeviceGetPowerUsage(self, handle):
        return self.power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.counts:
            raise self.NVMLError("Not Supported")
        return self.energy_mj


class Gpu(Machine):
    idle_w = 70.0
    step_s = 0.1
    counts = True

    def made(self):
        self.board = Board(counts=self.counts)
        return NvmlSource(self.board, 0, self.clock)

    def made_again(self):
        return self.made()

    def show(self, t, joules, watts):
        self.board.energy_mj, self.board.power_mw = int(joules * 1000), round(watts * 1000)
        self.at(t)


class PowerOnlyGpu(Gpu):
    counts = False
    span_s = (10.0, 15.0)

    def gain(self):
        return 1 + self.rng.gauss(0, SENSOR_ERROR / Z95)

    def load(self, seconds):
        period_s, duty, jitter = self.rng.choice(TRAINING)
        stretch = steps_trace(self.rng, seconds + 20, period_s, duty, jitter)
        return Trace([(length, a - self.idle_w, b - self.idle_w) for length, a, b in stretch.pieces])

    def read_times(self, start_s, end_s):
        slot, t = 0, start_s
        while t < end_s:
            yield t
            slot += 1
            t = start_s + (slot + self.rng.random()) * 0.1
        yield end_s

    def warm_up(self, show, start_s):
        # It is read more often while energy is charged; here that began a while before the window.
        self.source = self.made()
        for number in range(100, 0, -1):
            self.at(start_s - number / 5)
            self.board.power_mw = 90_000
            self.source.read()


class Model(Machine):
    """Busy time of two CPUs, in whole ticks each; the truth is the curve's energy times the gain."""

    tdp_w: float | None = 65.0
    tick_s = 0.01

    def made(self):
        self.busy_us = 0
        machine = self

        class Times(StillTimes):
            def read(self):
                return Busy(machine.busy_us, machine.busy_us)

        return CpuModelSource(Times(), self.clock, tdp_w=self.tdp_w)

    def learned(self, number):
        idle_uw = self.source.idle_uw
        return Idle(self.source.name, Tier.MODELLED, self.source.curve, idle_uw, 0, 0, "modelled", "")

    def trial(self, idle):
        rng, gain = self.rng, self.gain()
        self.source = self.made()
        seconds = rng.uniform(*self.span_s)
        phases = [rng.uniform(0, self.tick_s) for _ in range(2)]
        self.at(0)
        self.busy_us = sum(int(phase // self.tick_s) * 10_000 for phase in phases)
        meter = Meter([self.source], Baseline((idle,)), StillTimes(), self.clock)
        first, t, truth_uj = meter.refresh(), 0.0, 0.0
        while t < seconds:
            length, loads = min(1.0, seconds - t), [rng.random() for _ in range(2)]
            t += length
            phases = [phase + share * length for phase, share in zip(phases, loads, strict=True)]
            self.at(t)
            self.busy_us = sum(int(phase / self.tick_s) * 10_000 for phase in phases)
            last = meter.refresh()
            risen_uj = self.source.energy_uj(round(sum(loads) * length * MICRO), round(length * BILLION))
            truth_uj += (risen_uj - self.source.energy_uj(0, round(length * BILLION))) * gain
        return meter.net(first, last), truth_uj


class GuessedModel(Model):
    tdp_w = None


class Replay(Machine):
    """What was recorded is exact; only the idle power is not known."""

    step_s = 1e-9

    def made(self):
        self.readings = []

    def show(self, t, joules, watts):
        self.at(t)
        self.readings.append(Reading(round(joules * MICRO), self.clock.now_ns, "recorded"))

    def gain(self):
        return 1.0

    def learned(self, number):
        self.readings = []
        seconds, joules = 0, 0.0
        for power in noise(self.rng, LEARNED_S + 1):
            self.show(seconds, joules, power)
            seconds, joules = seconds + 1, joules + self.idle_w + power
        source = ReplaySource(self.readings)
        self.at(0)
        path = self.folder / f"baseline-{number}.json"
        return obtain_baseline(path, [source], StillTimes(), self.clock, seconds=LEARNED_S, rng=self.rng).of(
            source
        )

    def trial(self, idle):
        rng, drift_w = self.rng, self.drift_w()
        seconds = rng.uniform(*self.span_s)
        trace, self.readings = self.load(seconds), []
        for t in self.read_times(0.0, seconds):
            self.show(t, trace.joules(t) + (self.idle_w + drift_w) * t, 0)
        meter = Meter([ReplaySource(self.readings)], Baseline((idle,)), StillTimes(), self.clock)
        last = first = meter.last
        for _ in self.readings[1:]:
            last = meter.refresh()
        return meter.net(first, last), trace.joules(seconds) * MICRO


@dataclass
class Covered:
    share: float
    below: float
    above: float
    half_width: float


def covered(machine):
    inside = below = above = 0
    widths = []
    for number in range(BASELINES):
        idle = machine.learned(number)
        for _ in range(TRIALS // BASELINES):
            figure, truth_uj = machine.trial(idle)
            below += truth_uj < figure.lo_uj
            above += truth_uj > figure.hi_uj
            inside += figure.lo_uj <= truth_uj <= figure.hi_uj
            widths.append((figure.hi_uj - figure.lo_uj) / 2 / truth_uj)
    return Covered(inside / TRIALS, below / TRIALS, above / TRIALS, sorted(widths)[TRIALS // 2])


@pytest.mark.parametrize("machine", [Machine, Gpu, PowerOnlyGpu, Model, GuessedModel, Replay])
def test_a_95_percent_interval_holds_the_truth_in_93_to_97_of_100_windows(machine, tmp_path):
    found = covered(machine(tmp_path, random.Random(machine.__name__)))
    assert 0.93 <= found.share <= 0.97, found
