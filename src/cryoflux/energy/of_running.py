"""The joules of what runs already: of processes with all that they start, or of a control group.

They are looked at from outside, four times a second. What a process did between the last look and an end
that nobody saw is not known: the machine's net energy of that moment widens the interval.
"""

from __future__ import annotations

__all__ = ["RunningTimes", "StoppedBy", "find_group", "find_processes", "measure_running"]

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import permutations
from pathlib import Path

from cryoflux.energy.cgroup import CgroupTimes, open_cgroup
from cryoflux.energy.channels import Snapshot
from cryoflux.energy.clock import BILLION, Clock, SystemClock
from cryoflux.energy.measured import CountedBy, Measured
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.energy.processes import ProcessTimes, find_owner
from cryoflux.errors import UsageError
from cryoflux.stop_request import TO_STOP, StopRequest, handled

_LOOK_EVERY_S = 0.25


class StoppedBy(StrEnum):
    """Why a measurement of what runs came to its end."""

    ENDED = "ended"
    """what was measured is over"""
    TIME = "time"
    """so long was asked for"""
    INTERRUPTED = "interrupted"
    """somebody asked to stop; what was measured runs on"""


class RunningTimes:
    """CPU time of processes or of a group together; it stays what it was when they are gone.

    Args:
        parts: what runs, none of it inside another.
        counted_by: what kind of thing they are.
    """

    def __init__(self, parts: Sequence[ProcessTimes | CgroupTimes], counted_by: CountedBy) -> None:
        self.counted_by = counted_by
        self.owner = parts[0].owner
        self.unseen = 0
        """how many ended without anybody seeing what they did last"""
        self._parts = tuple(parts)
        self._going = list(parts)

    @property
    def pids(self) -> frozenset[int]:
        """The processes that do it now."""
        return frozenset[int]().union(*(part.pids for part in self._going))

    @property
    def looked_ns(self) -> int | None:
        """When it was last made sure that all of them are known."""
        looked = [part.looked_ns for part in self._going]
        return None if None in looked else min((at_ns for at_ns in looked if at_ns is not None), default=None)

    def read_us(self, at_ns: int | None = None) -> int:
        """CPU time up to now, or to the end of those that are gone, µs."""
        for part in tuple(self._going):
            if part.read_us(at_ns) is None:
                self._going.remove(part)
                self.unseen += not part.end_seen
        return sum(part.left_us for part in self._parts)

    def age_s(self, uptime_s: float) -> float:
        """How long ago the oldest of them began, s."""
        return max(part.age_s(uptime_s) for part in self._parts)

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return all(isinstance(part, CgroupTimes) and part.emptied for part in self._going)


def find_processes(pids: Sequence[int], proc_root: str = "/proc") -> RunningTimes:
    """These processes, with all that they start.

    Raises:
        UsageError: one is not there, has ended, may not be seen, or is of another's descent.
    """
    boot_id = SystemClock(proc_root).boot_id
    trees = [_tree(pid, boot_id, proc_root) for pid in dict.fromkeys(pids)]
    for tree in trees:
        tree.read_us()
    for tree, other in permutations(trees, 2):
        if other.owner.pid in tree.pids:
            raise UsageError(
                f"Process {other.owner.pid} was started by process {tree.owner.pid}.",
                why="Its joules would count twice.",
                hint=f"Leave out --pid {other.owner.pid}: all that a process starts counts as its own.",
            )
    return RunningTimes(trees, "process tree")


def _tree(pid: int, boot_id: str, proc_root: str) -> ProcessTimes:
    owner = find_owner(pid, boot_id, proc_root)
    if (process := _process_of(pid, proc_root)) not in {None, pid}:
        raise UsageError(
            f"{pid} is a thread of process {process}.",
            why="Energy is told by process: what one of its threads does cannot be told from the others.",
            hint=f"Measure all of it: --pid {process}",
        )
    if owner is not None:
        return ProcessTimes(owner, proc_root)
    if (Path(proc_root) / str(pid) / "stat").exists():
        what = f"Process {pid} has ended, or may not be looked at."
        why = "What it does could not be told from what others do."
    elif _hidden(pid):
        what = f"Process {pid} is hidden from you (hidepid, see proc(5))."
        why = "Its CPU time cannot be read, so its share of the energy cannot be told."
    else:
        what, why = f"There is no process {pid}.", "Nothing was measured."
    raise UsageError(what, why=why, hint="See which run: ps -ef; one of another user may need sudo.")


def _process_of(pid: int, proc_root: str) -> int | None:
    """The process that a number is of, which may be a thread's; none where that cannot be told."""
    try:
        lines = (Path(proc_root) / str(pid) / "status").read_text("ascii", "replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))
    except (OSError, ValueError, LookupError, StopIteration):
        return None


def _hidden(pid: int) -> bool:
    if pid <= 0:  # these are whole groups to kill(2)
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def find_group(place: str, *, root: str = "/sys/fs/cgroup", proc_root: str = "/proc") -> RunningTimes:
    """This control group, with all groups in it.

    Args:
        place: its folder, or its name as in ``/proc/PID/cgroup``.
        root: where control groups are mounted.
        proc_root: where the kernel's process files are.

    Raises:
        UsageError: it is not there, is no control group, or the kernel counts no CPU time in it.
    """
    return RunningTimes([open_cgroup(place, root=root, proc_root=proc_root)], "cgroup")


def measure_running(
    measurement: EnergyMeasurement,
    times: RunningTimes,
    *,
    seconds: float | None = None,
    begun: Callable[[], None] = lambda: None,
    clock: Clock | None = None,
) -> tuple[Measured, StoppedBy]:
    """Measure what runs until it ends, the time is over, or SIGINT or SIGTERM comes, and say which it was.

    Args:
        measurement: how it is measured.
        times: what runs.
        seconds: no longer than so long, s.
        begun: called when it is measured.
        clock: the time.
    """
    clock = clock or SystemClock()
    with _asked_to_stop() as stop:
        # It is at work already: nothing of it may be taken for the machine at rest.
        measurement.begin(times, times.counted_by, provisional=True)
        begun()
        end_ns = None if seconds is None else clock.monotonic_ns() + int(seconds * BILLION)
        unseen: list[tuple[Snapshot, Snapshot]] = []
        ending, before, missed = None, measurement.look(), 0
        while ending is None:
            left_s = _LOOK_EVERY_S if end_ns is None else (end_ns - clock.monotonic_ns()) / BILLION
            stop.wait(max(0.0, min(_LOOK_EVERY_S, left_s)))
            now = measurement.look()
            if times.unseen > missed:
                unseen.append((before, now))
            before, missed = now, times.unseen
            ending = _ending(times, stop, over=end_ns is not None and clock.monotonic_ns() >= end_ns)
        return measurement.end(unseen), ending


def _ending(times: RunningTimes, stop: StopRequest, *, over: bool) -> StoppedBy | None:
    if times.over:
        return StoppedBy.ENDED
    if stop.asked:
        return StoppedBy.INTERRUPTED
    return StoppedBy.TIME if over else None


@contextmanager
def _asked_to_stop() -> Iterator[StopRequest]:
    stop = StopRequest()
    with handled(TO_STOP, lambda *_: stop.ask()):
        yield stop
