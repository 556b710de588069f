"""A process whose children come and go on a machine whose energy is known: what it is charged, and the truth.

One trial is a window of 5-30 s, read about once a second, with the children looked for as often as the meter
does. The source is RAPL with a gain, a learned idle baseline and its drift drawn as for whole machines
(`drawn_machine`). Every busy CPU-second draws the same 10-60 W, whoever spends it. `/proc` is faked as the
kernel shows it: times in whole ticks, rounded down, a child's time among its parent's once that has waited.

- The process itself computes on and off, a random share of one CPU.
- It starts 0-3 children at random moments, which live 0.3-8 s and are busy a random share of one CPU.
- A share of them is *orphaned*: a shell between, which spends no time, ends at a random moment of the child's
  life. Then the child is another process's, or the measured one's where that adopts orphans, as
  `cryoflux energy measure` does; a child that it adopted is left unwaited for, as it is there.
- Another process of the machine computes on and off beside all that, up to one CPU.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass

from cryoflux.energy.baseline import Baseline
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes, ProcessTimes, find_owner
from drawn_machine import Machine
from energy_fakes import TICKS, FakeProc
from synthetic_world import MICRO, Trace

OWNER, SOMEBODY = 7, 1
MOST_CHILDREN = 3
LIVES_S = (0.3, 8.0)
WATTS_PER_CPU = (10, 60)
LATE_S = 0.02
"""a reading is up to so much later than a second after the one before"""


@dataclass(frozen=True)
class Child:
    """One process that the measured one starts, by itself or through a shell."""

    pid: int
    start_s: float
    end_s: float
    share: float
    orphaned_s: float | None
    """when the shell between ends; none where there is no shell"""

    def cpu_s(self, t):
        return self.share * max(0.0, min(t, self.end_s) - self.start_s)


@dataclass(frozen=True)
class Trial:
    """What was charged, µJ, beside what is true."""

    uj: int
    lo_uj: int
    hi_uj: int
    truth_uj: float
    flags: tuple[str, ...]
    missed_s: float
    """CPU time that was not found, s"""

    @property
    def inside(self):
        return self.lo_uj <= self.truth_uj <= self.hi_uj

    @property
    def error(self):
        return self.uj / self.truth_uj - 1


def on_and_off(rng, seconds):
    """Busy CPUs over time: a share of one, then none."""
    pieces, left = [], seconds
    while left > 0:
        busy, length = rng.random(), rng.uniform(0.5, 5)
        pieces += [(length, busy, busy), (rng.uniform(0.5, 5), 0, 0)]
        left -= sum(piece[0] for piece in pieces[-2:])
    return Trace(pieces)


def in_ticks(seconds):
    return math.floor(seconds * TICKS + 1e-6) / TICKS


class Family(Machine):
    """The measured process with its children; a share of them is orphaned."""

    span_s = (5.0, 30.0)

    def __init__(self, folder, rng, *, orphaned, adopts=False):
        super().__init__(folder, rng)
        self.orphaned, self.adopts = orphaned, adopts
        self.proc = FakeProc(folder / "proc", cpus=8)

    def children(self, start_s, end_s):
        for number in range(self.rng.randint(0, MOST_CHILDREN)):
            began_s = self.rng.uniform(start_s, end_s)
            ended_s = began_s + self.rng.uniform(*LIVES_S)
            handed_s = self.rng.uniform(began_s, ended_s) if self.rng.random() < self.orphaned else None
            yield Child(10 + 2 * number, began_s, ended_s, self.rng.random(), handed_s)

    def place(self, pid, cpu_s, parent, started_s, children, *, state="S", waited_s=0.0):
        start = 100 + round(started_s * TICKS)
        waited_s = in_ticks(waited_s)
        self.proc.process(pid, in_ticks(cpu_s), start, state, parent=parent, waited_s=waited_s)
        listing = self.proc.root / str(pid) / "task" / str(pid)
        listing.mkdir(parents=True, exist_ok=True)
        (listing / "children").write_text(" ".join(map(str, children)))

    def show_family(self, t, own_cpu_s, busy_s, children):
        """`/proc` at a moment."""
        gone, waited_s, of_owner = set(self.proc.own), 0.0, []
        self.proc.own, self.proc.busy_s = {}, in_ticks(busy_s)
        self.proc.write()
        for child in children:
            handed_s = math.inf if child.orphaned_s is None else child.orphaned_s
            ended, handed = t >= child.end_s, t >= handed_s
            if t < child.start_s:
                continue
            if ended and not (handed and self.adopts):
                waited_s += child.cpu_s(t) * (child.end_s <= handed_s)
                continue
            parent = OWNER
            if child.orphaned_s is not None and not handed:
                parent = child.pid + 1
                self.place(parent, 0.0, OWNER, child.start_s, [child.pid])
            elif handed and not self.adopts:
                parent = SOMEBODY
            if parent != SOMEBODY:
                of_owner.append(parent if parent != OWNER else child.pid)
            self.place(child.pid, child.cpu_s(t), parent, child.start_s, [], state="Z" if ended else "S")
        self.place(OWNER, own_cpu_s, SOMEBODY, 0.0, of_owner, waited_s=waited_s)
        for pid in gone - set(self.proc.own):
            shutil.rmtree(self.proc.root / str(pid))

    def reading_times(self, start_s, end_s):
        t = start_s
        while t < end_s:
            yield t
            t += 1 + self.rng.uniform(0, LATE_S)

    def trial(self, idle):
        rng, gain, idle_w = self.rng, self.gain(), self.idle_w + self.drift_w()
        start_s = rng.uniform(1, 2)
        end_s = start_s + rng.uniform(*self.span_s)
        own, beside = on_and_off(rng, end_s + 1), on_and_off(rng, end_s + 1)
        children, watts = list(self.children(start_s, end_s)), rng.uniform(*WATTS_PER_CPU)

        def used_s(t):
            return own.joules(t) + sum(child.cpu_s(t) for child in children)

        def show(t):
            busy_s = used_s(t) + beside.joules(t)
            self.show(t, (idle_w * t + watts * busy_s) / gain, 0)
            self.show_family(t, own.joules(t), busy_s, children)

        show(start_s)
        meter, charged = self.metered(idle, gain)
        for t in list(self.reading_times(start_s, end_s))[1:]:
            show(t)
            meter.refresh()
        show(end_s)
        meter.refresh(last=True)
        net, true_s = charged.net(), used_s(end_s) - used_s(start_s)
        missed_s = true_s - charged.cpu_us / MICRO
        return Trial(net.uj, net.lo_uj, net.hi_uj, true_s * watts * MICRO, net.flags, missed_s)

    def metered(self, idle, gain):
        """A meter, and what it charges the process."""
        root = str(self.proc.root)
        idle = self.opened(idle, gain).baseline
        meter = Meter([self.source], Baseline(idle.idles), MachineTimes(root), self.clock)
        return meter, meter.attribute(ProcessTimes(find_owner(OWNER, "boot-1", root), root))


def trials(family, count, *, of_each=8):
    """So many trials, a few above each learned baseline."""
    for number in range(count // of_each):
        idle = family.learned(number)
        for _ in range(of_each):
            yield family.trial(idle)
