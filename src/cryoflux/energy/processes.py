"""Whose CPU time it was: of the machine, and of one process with everything that it started.

Both are counters of the kernel (``/proc/stat``, ``/proc/<pid>/stat``), so how often they are read does
not matter. A share of energy is the quotient of their differences. The files stay open between reads.

A process keeps the time of children that it waited for; live ones are looked for about once a second and at
the end, and are followed on where they are handed to another parent. Missed is one that was handed over
before it was seen, and the time of any other such from its last read on; not where the process is made the
parent of its orphans (`become_subreaper`) or a control group counts in its place (`energy.cgroup`).
"""

from __future__ import annotations

__all__ = [
    "Busy",
    "CpuTimes",
    "MachineTimes",
    "OwnTimes",
    "Owner",
    "ProcessTimes",
    "VisibleTimes",
    "allowed_cpus",
    "become_subreaper",
    "find_owner",
    "set_apart",
    "tick_us",
]

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.process_stat import WatchedProcess, stat_fields, waited_ticks
from cryoflux.quantities import MICRO

_LOOK_EVERY_NS = 900_000_000
"""Children are looked for this long after the last look; those known are read every time."""
_KEPT_OPEN = 64
"""Of so many children the files stay open; those of more are opened for each read."""
_GONE_STATES = frozenset({b"Z", b"X", b"x"})
_FIRST_LINE_BYTES = 256
_BYTES_A_CPU = 160
"""ten numbers of up to fifteen digits"""
_PR_SET_CHILD_SUBREAPER = 36


_apart: set[int] = set()


@contextmanager
def set_apart(pid: int) -> Iterator[None]:
    """Leave a child of this process, and what it starts meanwhile, out of what this process is charged.

    It is for one that hands what it starts to another parent and ends: that has a meter of its own, and
    nobody shall be charged twice.

    Args:
        pid: of the child.
    """
    _apart.add(pid)
    try:
        yield
    finally:
        _apart.discard(pid)


def allowed_cpus() -> frozenset[int]:
    """The logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def become_subreaper() -> bool:
    """Have orphans of this process's descendants handed to this process, as a session manager does.

    They are its children then, so that their time is found, and stays found once they were waited for.

    Returns:
        Whether it worked; it needs Linux and no privilege.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def tick_us() -> int:
    """One tick of the kernel's CPU times, µs."""
    # Windows has no such thing; it counts in steps of 1/64 s.
    return MICRO // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 64)


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU time that was not idle, since boot."""

    all_us: int
    """of all CPUs of the machine"""
    allowed_us: int
    """of the CPUs that this process may run on"""


class MachineTimes:
    """Reads the busy time of the machine.

    Args:
        proc_root: where the kernel's process files are.
        cpus: the CPUs that count as allowed; those of this process by default.
    """

    renumbered = False
    """whether the time of the allowed CPUs cannot be told from that of others that are listed"""

    def __init__(self, proc_root: str = "/proc", cpus: frozenset[int] | None = None) -> None:
        self._file = CounterFile(f"{proc_root}/stat")
        self.cpus = allowed_cpus() if cpus is None else cpus
        self._names = {b"cpu%d" % number for number in self.cpus}
        self._tick_us = tick_us()
        listed = self._listed()
        self.all_cpus = len(listed) or len(self.cpus)
        """how many the machine has"""
        # A container may list its CPUs from 0 on, whatever the host calls them (lxcfs). Where one of ours is
        # not listed, no line is known to be one of ours.
        foreign = bool(listed) and not self._names <= listed
        self.renumbered = foreign and len(listed) > len(self._names)
        # The first line is the sum over all CPUs: where all are allowed, the rest need not be read.
        self._whole = foreign or (bool(listed) and listed <= self._names)
        self._bytes = _FIRST_LINE_BYTES if self._whole else _BYTES_A_CPU * (self.all_cpus + 2)

    def _listed(self) -> set[bytes]:
        words = (self._file.read(1 << 20) or b"").split()
        return {word for word in words if word.startswith(b"cpu") and word[3:].isdigit()}

    @property
    def blank(self) -> bool:
        """Whether the file is there and holds nothing but zeros: no machine has neither worked nor rested."""
        line = (self._file.read(_FIRST_LINE_BYTES) or b"").split(b"\n", 1)[0]
        return line.startswith(b"cpu ") and not any(map(int, line.split()[1:]))

    def read(self) -> Busy | None:
        """Busy time up to now; none where it cannot be read."""
        data = self._file.read(self._bytes)
        try:
            return self._parse(data) if data else None
        except (ValueError, IndexError):
            return None

    def _parse(self, data: bytes) -> Busy:
        lines = data.split(b"\n", 1 if self._whole else -1)
        all_us = self._busy(lines[0]) * self._tick_us
        if self._whole:
            return Busy(all_us, all_us)
        wanted = [line for line in lines[1:] if line.split(b" ", 1)[0] in self._names]
        allowed_us = sum(map(self._busy, wanted)) * self._tick_us
        return Busy(all_us, allowed_us if wanted else all_us)

    @staticmethod
    def _busy(line: bytes) -> int:
        # user, nice, system, irq, softirq: neither idle nor waiting, and stolen time is not ours
        name, user, nice, system, _, _, irq, softirq = line.split()[:8]
        if not name.startswith(b"cpu"):
            raise ValueError(name)
        return int(user) + int(nice) + int(system) + int(irq) + int(softirq)

    def close(self) -> None:
        """Let go of the descriptor; the next read opens the file again."""
        self._file.close()


class OwnTimes(MachineTimes):
    """Takes the time of this process, and of children that it waited for, for the machine's.

    For where the kernel does not tell what the machine does: nothing else that runs is seen.
    """

    looked_ns: int | None = None

    def __init__(self) -> None:
        self.cpus = allowed_cpus()
        self.all_cpus = len(self.cpus)
        self.owner = Owner(os.getpid(), 0, "")
        self.pids = frozenset({self.owner.pid})

    def read(self) -> Busy:
        """CPU time up to now."""
        used_us = self.read_us()
        return Busy(used_us, used_us)

    def read_us(self, at_ns: int | None = None) -> int:  # noqa: ARG002
        """The same, µs."""
        return int(sum(os.times()[:4]) * MICRO)

    def age_s(self, uptime_s: float) -> float:
        """All of that time, for all that is known."""
        return uptime_s

    def close(self) -> None:
        """Nothing to let go of."""


class VisibleTimes(MachineTimes):
    """Takes the time of all processes that can be seen for the machine's.

    For a sandbox whose kernel holds zeros in the place of the machine's busy time, such as gVisor's: what
    runs beside the sandbox is not seen.
    """

    def __init__(self, proc_root: str = "/proc", cpus: frozenset[int] | None = None) -> None:
        self.cpus = allowed_cpus() if cpus is None else cpus
        self.all_cpus = len(self.cpus)
        self._root = Path(proc_root)
        self._tick_us = tick_us()
        self._seen: dict[tuple[int, bytes], tuple[int, int]] = {}
        """number and start of a process → its parent, and its ticks with those of children it waited for"""
        self._gone_ticks = 0

    def read(self) -> Busy | None:
        """CPU time up to now; none where no process can be seen."""
        found = {}
        for pid in (path.name for path in self._root.iterdir() if path.name.isdigit()):
            file = CounterFile(f"{self._root}/{pid}/stat")
            if (fields := stat_fields(file)) is not None:
                found[int(pid), fields[19]] = int(fields[1]), sum(map(int, fields[11:15]))
            file.close()
        alive = {pid for pid, _ in found}
        # A parent that is there has waited for it, and has its time.
        gone = (said for process, said in self._seen.items() if process not in found)
        self._gone_ticks += sum(ticks for parent, ticks in gone if parent not in alive)
        self._seen = found
        used_us = (self._gone_ticks + sum(ticks for _, ticks in found.values())) * self._tick_us
        return Busy(used_us, used_us) if found else None

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One process, so named that a later one with the same number is not taken for it."""

    pid: int
    start_ticks: int
    boot_id: str


def find_owner(pid: int, boot_id: str, proc_root: str = "/proc") -> Owner | None:
    """The live process with this number; none if there is none."""
    fields = stat_fields(CounterFile(f"{proc_root}/{pid}/stat"))
    if fields is None or fields[0] in _GONE_STATES:
        return None
    return Owner(pid, int(fields[19]), boot_id)


class CpuTimes(Protocol):
    """The CPU time of a piece of work, however it is found."""

    owner: Owner

    @property
    def pids(self) -> frozenset[int]:
        """The processes that do it now."""
        ...

    @property
    def looked_ns(self) -> int | None:
        """When it was last made sure that all of them are known; none where they always are."""
        ...

    def read_us(self, at_ns: int | None = None) -> int | None:
        """CPU time up to now, µs, never falling; none once the work is gone.

        Args:
            at_ns: monotonic time; none makes sure in any case that all processes are known.
        """
        ...

    def age_s(self, uptime_s: float) -> float:
        """How long ago the owner began, s."""
        ...


class ProcessTimes:
    """Reads the CPU time of a process and its children, those that ended and those that live."""

    def __init__(self, owner: Owner, proc_root: str = "/proc") -> None:
        self.owner = owner
        self._root = Path(proc_root)
        self._tick_us = tick_us()
        self._file = CounterFile(f"{proc_root}/{owner.pid}/stat")
        self._start = b"%d" % owner.start_ticks
        self._children: dict[int, WatchedProcess] = {}
        self._listed = Path(f"{proc_root}/{owner.pid}/task/{owner.pid}/children").exists()
        self._lost_ticks = self._waited = 0
        self.looked_ns: int | None = 0
        self._highest_us = 0
        self.end_seen = False
        """whether it was read after its end, before its parent took note: then nothing of it is missed"""

    def read_us(self, at_ns: int | None = None) -> int | None:
        """CPU time since the process began, µs, never falling; none once it is gone."""
        fields = stat_fields(self._file)
        if fields is None or fields[19] != self._start:
            return None
        self.end_seen = fields[0] in _GONE_STATES
        if not self.end_seen and (at_ns is None or at_ns - (self.looked_ns or 0) >= _LOOK_EVERY_NS):
            self._look_for_children()
            self.looked_ns = at_ns if at_ns is not None else self.looked_ns
        ticks = sum(map(int, fields[11:15])) + self._of_children() + self._lost_ticks
        self._waited = waited_ticks(fields)
        self._highest_us = max(self._highest_us, ticks * self._tick_us)
        return None if self.end_seen else self._highest_us

    @property
    def left_us(self) -> int:
        """CPU time up to when it was last read, µs."""
        return self._highest_us

    @property
    def pids(self) -> frozenset[int]:
        """The process and what of its children is known and lives."""
        return frozenset((self.owner.pid, *self._children))

    def age_s(self, uptime_s: float) -> float:
        """How long ago the process began, s."""
        return max(0.0, uptime_s - self.owner.start_ticks * self._tick_us / MICRO)

    def close(self) -> None:
        """Let go of the descriptors; the next read opens the files again."""
        for file in (self._file, *(child.file for child in self._children.values())):
            file.close()

    def _of_children(self) -> int:
        waited = {pid: child.waited for pid, child in self._children.items()}
        gone = [child for child in self._children.values() if not child.read()]
        for child in gone:
            del self._children[child.pid]
        family = {self.owner.pid, *self._children, *(child.pid for child in gone)}
        # Whoever waited for a child that was handed over was not of the family: nobody else counts it.
        self._lost_ticks += sum(child.ticks for child in gone if child.parent not in family)
        # It may have been handed over since the last read too: then nobody here has waited for it.
        if due := sum(child.ticks for child in gone if child.parent in family):
            self._lost_ticks += max(0, due - self._waited_since(waited))
        return sum(child.ticks for child in self._children.values())

    def _waited_since(self, before: dict[int, int]) -> int:
        # Parents after their children, the owner last: the time of one that ends meanwhile is found above it.
        rows = [(child.fields(), before[pid]) for pid, child in reversed(self._children.items())]
        owner = stat_fields(self._file)
        if owner is None or owner[19] != self._start:
            return sys.maxsize  # it is gone, and has taken with it what it knew
        rows.append((owner, self._waited))
        return sum(waited_ticks(fields) - ticks for fields, ticks in rows if fields)

    def _look_for_children(self) -> None:
        for pid in _apart & self._children.keys():
            del self._children[pid]  # it was seen before it was set apart
        unseen = [self.owner.pid, *self._children]
        seen, by_parent = set(unseen), None if self._listed else self._by_parent()
        while unseen:
            parent = unseen.pop()
            found = by_parent.get(parent, ()) if by_parent is not None else self._children_of(parent)
            for pid in found:
                if pid in seen or pid in _apart:
                    continue
                seen.add(pid)
                unseen.append(pid)
                self._children[pid] = WatchedProcess(self._root, pid, kept=len(self._children) < _KEPT_OPEN)

    def _children_of(self, pid: int) -> Iterator[int]:
        try:
            for thread in (self._root / str(pid) / "task").iterdir():
                yield from map(int, (thread / "children").read_bytes().split())
        except (OSError, ValueError):
            return  # it ended meanwhile

    def _by_parent(self) -> dict[int, list[int]]:
        """All processes that can be seen, by their parents: for a kernel that keeps no lists of children."""
        found: dict[int, list[int]] = {}
        for pid in (path.name for path in self._root.iterdir() if path.name.isdigit()):
            file = CounterFile(f"{self._root}/{pid}/stat")
            fields = stat_fields(file)
            file.close()
            if fields is not None:
                found.setdefault(int(fields[1]), []).append(int(pid))
        return found
