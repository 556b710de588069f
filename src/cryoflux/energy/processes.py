"""Whose CPU time it was: of the machine, and of one process with everything that it started.

Both are counters of the kernel (``/proc/stat``, ``/proc/<pid>/stat``), so how often they are read does
not matter. A share of energy is the quotient of their differences.
"""

from __future__ import annotations

__all__ = ["Busy", "MachineTimes", "Owner", "ProcessTimes", "allowed_cpus", "find_owner"]

import os
from dataclasses import dataclass
from pathlib import Path

from cryoflux.quantities import MICRO

_CHILD_SCAN_READS = 16
"""Children are looked for at every so many reads; those known are read every time."""
_GONE_STATES = frozenset("ZXx")


def allowed_cpus() -> frozenset[int]:
    """The logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _tick_us() -> int:
    return MICRO // os.sysconf("SC_CLK_TCK")


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

    def __init__(self, proc_root: str = "/proc", cpus: frozenset[int] | None = None) -> None:
        self._path = Path(proc_root) / "stat"
        self.cpus = allowed_cpus() if cpus is None else cpus
        self._names = {f"cpu{n}" for n in self.cpus}
        self._tick_us = _tick_us()

    def read(self) -> Busy | None:
        """Busy time up to now; none where it cannot be read."""
        try:
            with self._path.open("rb", buffering=0) as stream:
                text = stream.read(1 << 16).decode("ascii", "replace")
            return self._parse(text)
        except (OSError, ValueError, IndexError):
            return None

    def _parse(self, text: str) -> Busy:
        all_ticks, allowed_ticks, found = 0, 0, False
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            if not name.startswith("cpu"):
                break
            if name == "cpu":
                all_ticks = self._busy(rest)
            elif name in self._names:
                allowed_ticks += self._busy(rest)
                found = True
        if not found:
            allowed_ticks = all_ticks
        return Busy(all_ticks * self._tick_us, allowed_ticks * self._tick_us)

    @staticmethod
    def _busy(fields: str) -> int:
        # user, nice, system, irq, softirq: neither idle nor waiting, and stolen time is not ours
        values = [int(value) for value in fields.split()[:7]]
        return sum(values[:3]) + sum(values[5:7])


@dataclass(frozen=True, slots=True)
class Owner:
    """One process, so named that a later one with the same number is not taken for it."""

    pid: int
    start_ticks: int
    boot_id: str


def _stat_fields(proc_root: Path, pid: int) -> list[str] | None:
    try:
        with (proc_root / str(pid) / "stat").open("rb", buffering=0) as stream:
            text = stream.read(4096).decode("ascii", "replace")
    except OSError:
        return None
    # The command's name is in brackets and may hold spaces; the last bracket ends it.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 else None


def find_owner(pid: int, boot_id: str, proc_root: str = "/proc") -> Owner | None:
    """The live process with this number; none if there is none."""
    fields = _stat_fields(Path(proc_root), pid)
    if fields is None or fields[0] in _GONE_STATES:
        return None
    return Owner(pid, int(fields[19]), boot_id)


class ProcessTimes:
    """Reads the CPU time of a process and its children, those that ended and those that live."""

    def __init__(self, owner: Owner, proc_root: str = "/proc") -> None:
        self.owner = owner
        self._root = Path(proc_root)
        self._tick_us = _tick_us()
        self._children: list[int] = []
        self._reads = 0
        self._highest_us = 0

    def read_us(self) -> int | None:
        """CPU time since the process began, µs, never falling; none once it is gone."""
        fields = _stat_fields(self._root, self.owner.pid)
        if fields is None or fields[0] in _GONE_STATES or int(fields[19]) != self.owner.start_ticks:
            return None
        if self._reads % _CHILD_SCAN_READS == 0:
            self._children = self._descendants(self.owner.pid)
        self._reads += 1
        ticks = self._ticks(fields)
        for child in self._children:
            ticks += self._ticks(_stat_fields(self._root, child) or [])
        self._highest_us = max(self._highest_us, ticks * self._tick_us)
        return self._highest_us

    def age_s(self, uptime_s: float) -> float:
        """How long ago the process began, s."""
        return max(0.0, uptime_s - self.owner.start_ticks * self._tick_us / MICRO)

    @staticmethod
    def _ticks(fields: list[str]) -> int:
        # user and system time, of the process itself and of the children that it has waited for
        return sum(int(value) for value in fields[11:15])

    def _descendants(self, pid: int) -> list[int]:
        found: list[int] = []
        for listing in (self._root / str(pid) / "task").glob("*/children"):
            try:
                children = [int(word) for word in listing.read_text("ascii").split()]
            except (OSError, ValueError):
                continue
            for child in children:
                found += [child, *self._descendants(child)]
        return found
