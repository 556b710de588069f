"""Machines whose energy is known: power traces, counters over them, and one on which a fault happens."""

from __future__ import annotations

__all__ = [
    "BILLION",
    "FAULTS",
    "IDLE_W",
    "MICRO",
    "PID",
    "TICK_S",
    "Metered",
    "PlainZone",
    "SteppedCounter",
    "Tally",
    "Trace",
    "TurnedMachine",
    "World",
    "counted_joules",
    "mixed_trace",
    "play_schedules",
    "steps_trace",
]

import os
import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from cryoflux.config import load_settings
from cryoflux.energy.baseline import limits_of
from cryoflux.energy.device_files import INITIAL_PID_NAMESPACE
from cryoflux.energy.interface import Reading, Sample, Settlement
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.processes import allowed_cpus
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.energy.window import Accumulator, BoundedEnergy, SourceLimits
from energy_fakes import FakeClock, FakeProc, powercap_zone
from fault_cases import FAULTS, IDLE_W, MICRO, RANGE_UJ, TICK_S, Fault, PlainNvml, World

REST_S = 30
"""by default, the idle baseline is learned for so long"""
BILLION = 1_000_000_000
PID = os.getpid()


@dataclass
class Metered:
    """What a fault did to the meter, beside what is true."""

    truth_uj: int
    idle_uj: int
    seconds: float
    max_power_uw: int
    settlement: Settlement
    sample: Sample


class TurnedMachine:
    """A machine of plain files, with a clock and CPU times that are turned by hand."""

    def __init__(self, folder: Path, fault: Fault) -> None:
        self.fault = fault
        self.world = World(folder, fault, rest_s=REST_S)
        self.clock = FakeClock(self._rest)
        self.proc = FakeProc(folder / "proc")
        self.proc.process(PID, 3.0)
        (self.proc.root / "self" / "ns").mkdir(parents=True)
        (self.proc.root / "self" / "ns" / "pid").symlink_to(INITIAL_PID_NAMESPACE)
        (self.proc.root / "cpuinfo").write_text("processor : 0\nmodel name : none\n\nprocessor : 1\n\n")
        chosen = {"powercap_root": str(self.world.powercap), "proc_root": str(self.proc.root)}
        if fault.tdp_w is not None:
            chosen["tdp_w"] = str(fault.tdp_w)
        self.settings = load_settings(chosen, environ={}, folder=folder).settings
        self.state = folder / "state"

    def _rest(self, seconds: float) -> None:
        self.world.flow(seconds, IDLE_W)

    def _event(self, name: str) -> None:
        sleeps, wall_s = self.world.sleeps, self.world.wall_offset_s
        self.world.event(name)
        self.clock.epochs += self.world.sleeps - sleeps
        self.clock.wall += self.world.wall_offset_s - wall_s

    def run(self) -> Metered:
        """Take, let the fault happen with one read a second, settle."""
        nvml = PlainNvml(self.world.folder)
        agent = LocalAgent(self.settings, self.state, clock=self.clock, nvml=nvml, background=False)
        try:
            agent.grant(10**12, request_id="g", note="")
            taken = agent.take(10**9, request_id="a")
            before_uj = self.world.truth_uj
            for step in self.fault.steps:
                self._event(step.event)
                for _ in range(round(step.seconds)):
                    self._second(step.watts)
                    if not self.world.stopped:
                        agent.spent(taken.id)
            settlement, sample = agent.settle(taken.id), agent.sample()
            truth_uj = self.world.truth_uj - before_uj
            idle_uj = round(self.world.idle_w * self.fault.seconds * MICRO)
            return Metered(truth_uj, idle_uj, self.fault.seconds, agent.max_power_uw, settlement, sample)
        finally:
            agent.close()

    def _second(self, watts: float) -> None:
        self.world.flow(1, watts)
        self.clock.forward(1)
        busy_s = len(allowed_cpus()) / 2
        self.proc.run(busy_s, busy_s, PID)


GAPS_S = (0.1, 1, 1, 5, 60)
LIMITS = SourceLimits(RANGE_UJ, 500 * MICRO, 61, ticks=True)


@dataclass
class Tally:
    """How many schedules and reads there were, and which of them went wrong."""

    schedules: int = 0
    reads: int = 0
    outside: int = 0
    negative: int = 0
    above: int = 0
    not_integer: int = 0
    first: str = ""

    @property
    def wrong(self) -> int:
        return self.outside + self.negative + self.above + self.not_integer


def play_schedules(numbers: range, *, seed: int = 3, silent: bool = False) -> Tally:
    """Random wraps, resets, suspends, failed reads and gaps, each schedule from a seed of its own.

    Fifty reads, 0.1 to 60 s apart, at 5 to 450 W under a bound of 500 W; of the reads, 3 % fail. In three
    schedules of ten the counter starts anew now and then, at any part of what has just flowed, and the
    epoch changes, as it does at a boot, a suspend or a new driver. ``silent`` leaves that sign out: from
    the value alone not every such start can be told, and how often is worth knowing.
    """
    tally = Tally()
    for number in numbers:
        _play(random.Random(f"{seed}/{number}"), tally, f"{seed}/{number}", silent=silent)
    return tally


def _play(rng: random.Random, tally: Tally, label: str, *, silent: bool) -> None:
    meter = Accumulator(LIMITS)
    shown, now_ns, epoch, truth_uj = rng.randrange(RANGE_UJ), 0, 0, 0
    meter.advance(Reading(shown, 0, "0"))
    start, restarts = meter.mark(), rng.random() < 0.3
    for _ in range(50):
        dt_ns = int(rng.choice(GAPS_S) * BILLION)
        gained_uj = int(rng.uniform(5, 450) * dt_ns) // 1000
        now_ns += dt_ns
        truth_uj += gained_uj
        if restarts and rng.random() < 0.02:
            shown = int(gained_uj * rng.random())
            epoch += not silent
        else:
            shown = (shown + gained_uj) % RANGE_UJ
        failed = rng.random() < 0.03
        meter.advance(Reading(None if failed else shown, now_ns, str(epoch)))
        tally.reads += 1
        _check(meter.mark().since(start), truth_uj, now_ns, tally, label)
    tally.schedules += 1


def _check(span: BoundedEnergy, truth_uj: int, now_ns: int, tally: Tally, label: str) -> None:
    wrong = tally.wrong
    tally.outside += not span.lo_uj <= truth_uj <= span.hi_uj
    tally.negative += span.lo_uj < 0 or span.uj < 0
    tally.above += span.uj > LIMITS.most_uj(now_ns)
    tally.not_integer += not type(span.uj) is type(span.lo_uj) is type(span.hi_uj) is int
    if tally.wrong > wrong and not tally.first:
        tally.first = f"schedule {label} at {now_ns / BILLION} s: truth {truth_uj} µJ, {span}"


class Trace:
    """Power over time, in pieces that are level or ramps; its energy is known at every instant.

    Args:
        pieces: (seconds, watts at the start, watts at the end).
    """

    def __init__(self, pieces: list[tuple[float, float, float]]) -> None:
        self.pieces = pieces
        self._starts = [0.0, *accumulate(seconds for seconds, _, _ in pieces)]
        self._joules = [0.0, *accumulate(seconds * (a + b) / 2 for seconds, a, b in pieces)]
        self.peak_w = max(max(a, b) for _, a, b in pieces)

    def _at(self, t: float) -> tuple[int, float]:
        number = min(max(bisect_right(self._starts, t) - 1, 0), len(self.pieces) - 1)
        return number, t - self._starts[number]

    def power_w(self, t: float) -> float:
        number, into = self._at(t)
        seconds, first, last = self.pieces[number]
        return first + (last - first) * into / seconds

    def joules(self, t: float) -> float:
        number, into = self._at(t)
        seconds, first, last = self.pieces[number]
        return self._joules[number] + into * (first + (last - first) * into / seconds / 2)


def steps_trace(rng: random.Random, seconds: float, period_s: float, duty: float, jitter: float) -> Trace:
    """Training steps of 320 W over 90 W, so long, so regular."""
    pieces = [(rng.uniform(0.01, period_s), 90.0, 90.0)]
    made_s = pieces[0][0]
    while made_s < seconds:
        length = max(0.02, period_s * (1 + jitter * rng.gauss(0, 1)))
        pieces += [(length * duty, 320.0, 320.0), (length * (1 - duty), 90.0, 90.0)]
        made_s += length
    return Trace(pieces)


def mixed_trace(rng: random.Random, seconds: float, lowest_w: float, highest_w: float) -> Trace:
    """Steps of 0.05-2 s, idle gaps of up to 3 s, and ramps."""
    pieces: list[tuple[float, float, float]] = []
    level, made_s = lowest_w, 0.0
    while made_s < seconds:
        kind, aim = rng.random(), rng.uniform(lowest_w, highest_w)
        if kind < 0.2:
            pieces.append((rng.uniform(0.2, 3), lowest_w, lowest_w))
        elif kind < 0.4:
            pieces.append((rng.uniform(0.2, 3), level, aim))
        else:
            pieces.append((rng.uniform(0.05, 2), aim, aim))
        level = pieces[-1][2]
        made_s += pieces[-1][0]
    return Trace(pieces)


@dataclass
class SteppedCounter:
    """What a counter shows of a trace that it brings up to date every so often."""

    trace: Trace
    step_s: float
    phase_s: float
    start_uj: int
    range_uj: int = RANGE_UJ

    def shown_uj(self, t: float) -> int:
        behind = self.phase_s + self.step_s * ((t - self.phase_s) // self.step_s)
        return (self.start_uj + round(self.trace.joules(max(0.0, behind)) * MICRO)) % self.range_uj


class PlainZone:
    """A powercap zone whose counter is set by hand, and the clock it is read by."""

    def __init__(self, root: Path, *, idle_w: float = IDLE_W) -> None:
        self.zone = powercap_zone(root, "intel-rapl:0", "package-0", limit_uw=250 * MICRO)
        self.idle_w = idle_w
        self.clock = FakeClock()
        (self.source,), _ = find_rapl(str(root), self.clock)

    def show(self, t: float, uj: int) -> None:
        self.clock.now_ns = BILLION + round(t * BILLION)
        (self.zone / "energy_uj").write_text(f"{uj}\n")


def counted_joules(zone: PlainZone, counter: SteppedCounter, start_s: float, end_s: float) -> float:
    """A window as the meter measures it: at both ends, and once a second between."""
    meter = Accumulator(limits_of(zone.source))
    t = start_s
    while True:
        zone.show(t, counter.shown_uj(t))
        meter.advance(zone.source.read())
        if t == start_s:
            first = meter.mark()
        if t >= end_s:
            return meter.mark().since(first).uj / MICRO
        t = min(t + 1, end_s)
