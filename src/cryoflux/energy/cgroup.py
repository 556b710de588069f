"""A control group of one's own, whose CPU time the kernel counts whoever was whose parent.

Every process that starts in a group is counted in it, also one that lives for a millisecond, or whose parent
ended before it. Groups of version 2 count in any folder that the caller may write (one that was
delegated to it); version 1 has the ``cpuacct`` controller. Where neither may be written, there is none.
"""

from __future__ import annotations

__all__ = ["CgroupTimes", "open_cgroup", "own_cgroup"]

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.processes import Owner, find_owner, tick_us
from cryoflux.errors import UsageError
from cryoflux.quantities import MICRO

_PREFIX = "cryoflux-"
_REMOVE_TRIES = 50
_REMOVE_WAIT_S = 0.01


class CgroupTimes:
    """Reads the CPU time of everything in a control group; takes the place of `ProcessTimes`.

    Args:
        folder: the group.
        owner: the process that it was made by or for.
    """

    def __init__(self, folder: str, owner: Owner) -> None:
        self.owner = owner
        self.folder = folder
        self._new = CounterFile(f"{folder}/cpu.stat")
        self._old = CounterFile(f"{folder}/cpuacct.usage")
        self._events = CounterFile(f"{folder}/cgroup.events")
        self._highest_us = 0
        self.end_seen = False
        """whether it was empty when it was last looked at, so that nothing of it is missed"""
        self._populated = False
        self.looked_ns: int | None = None  # the kernel knows them all at any time

    def read_us(self, at_ns: int | None = None) -> int | None:  # noqa: ARG002
        """CPU time since the group was made, µs, never falling; none once it is removed."""
        used_us = _usage_us(self._new, self._old)
        if used_us is None:
            return None
        self._highest_us = max(self._highest_us, used_us)
        return self._highest_us

    @property
    def left_us(self) -> int:
        """CPU time up to when it was last read, µs."""
        return self._highest_us

    @property
    def pids(self) -> frozenset[int]:
        """The processes that are in it now, and in groups in it."""
        return frozenset(self._members())

    def _members(self) -> Iterator[int]:
        for folder, _, _ in os.walk(self.folder):
            with suppress(OSError, ValueError):
                yield from map(int, Path(folder, "cgroup.procs").read_bytes().split())

    @property
    def emptied(self) -> bool:
        """Whether nothing is in it any more, though something was."""
        said = self._events.read(128) or b""
        self.end_seen = b"populated 0" in said or (not said and next(self._members(), None) is None)
        self._populated = self._populated or not self.end_seen
        return self._populated and self.end_seen

    def age_s(self, uptime_s: float) -> float:
        """How long ago the owner began, s."""
        return max(0.0, uptime_s - self.owner.start_ticks * tick_us() / MICRO)

    def join(self) -> None:
        """Move the calling process in, and so all that it starts; for a child between fork and exec.

        Raises:
            OSError: it may not be moved.
        """
        _move(self.folder, 0)

    def close(self) -> None:
        """Let go of the descriptors; the next read opens the files again."""
        for file in (self._new, self._old, self._events):
            file.close()


def _usage_us(new: CounterFile, old: CounterFile) -> int | None:
    # Version 1 has a cpu.stat too, without this line.
    _, found, rest = (new.read(512) or b"").partition(b"usage_usec ")
    if found:
        digits = rest.split(b"\n", 1)[0]
        return int(digits) if digits.isdigit() else None
    digits = (old.read() or b"").strip()
    return int(digits) // 1000 if digits.isdigit() else None


@contextmanager
def own_cgroup(
    pid: int, *, root: str = "/sys/fs/cgroup", proc_root: str = "/proc"
) -> Iterator[CgroupTimes | None]:
    """A group below that of this process, empty at first, and removed at the end.

    What still runs in it then goes back to where the group was made.

    Args:
        pid: the process that it is made for; it is not moved in.
        root: where control groups are mounted.
        proc_root: where the kernel's process files are.

    Yields:
        None where no folder may be written, or the kernel does not count there.
    """
    owner = find_owner(pid, "", proc_root)
    folder = _make(Path(root), proc_root, pid) if owner else None
    if owner is None or folder is None:
        yield None
        return
    times = CgroupTimes(str(folder), owner)
    try:
        yield times
    finally:
        _remove(times)


def open_cgroup(place: str, *, root: str = "/sys/fs/cgroup", proc_root: str = "/proc") -> CgroupTimes:
    """A group that is there already.

    Args:
        place: its folder, or its name as in ``/proc/PID/cgroup``.
        root: where control groups are mounted.
        proc_root: where the kernel's process files are.

    Raises:
        UsageError: it is not there, is no control group, or the kernel counts no CPU time in it.
    """
    below = place.lstrip("/")
    mounts = (Path(root), Path(root, "unified"), Path(root, "cpu,cpuacct"), Path(root, "cpuacct"))
    folders = [Path(place).absolute(), *(mount / below for mount in mounts)]
    groups = [folder for folder in folders if (folder / "cgroup.procs").exists()]
    for folder in groups:
        new, old = CounterFile(f"{folder}/cpu.stat"), CounterFile(f"{folder}/cpuacct.usage")
        if _usage_us(new, old) is not None and (owner := find_owner(os.getpid(), "", proc_root)):
            return CgroupTimes(str(folder), owner)
    if groups:
        what = f"The kernel tells no CPU time of the control group {groups[0]}."
        hint = f"Read it: cat {groups[0] / 'cpu.stat'}; where groups are of version 1, name one of cpuacct."
    elif any(folder.exists() for folder in folders):
        what = f"{place} is not a control group: it has no file cgroup.procs."
        hint = f"List them: find {root} -name cgroup.procs"
    else:
        what = f"There is no control group {place}."
        hint = "See which one a process is in: cat /proc/PID/cgroup"
    raise UsageError(what, why="Nothing was measured.", hint=hint)


def _make(root: Path, proc_root: str, pid: int) -> Path | None:
    for parent in _own_folders(root, proc_root):
        _sweep(parent, proc_root)
        folder = parent / f"{_PREFIX}{pid}-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except OSError:
            continue
        new, old = CounterFile(f"{folder}/cpu.stat"), CounterFile(f"{folder}/cpuacct.usage")
        if _usage_us(new, old) is not None and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
        folder.rmdir()
    return None


def _sweep(parent: Path, proc_root: str) -> None:
    """Remove groups that a killed process left behind; one that still has members cannot be."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not (Path(proc_root) / pid).exists():
            with suppress(OSError):
                folder.rmdir()


def _move(folder: str, pid: int) -> None:
    descriptor = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"%d" % pid)
    finally:
        os.close(descriptor)


def _remove(times: CgroupTimes) -> bool:
    parent = str(Path(times.folder).parent)
    for _ in range(_REMOVE_TRIES):
        for pid in times.pids:
            with suppress(OSError):
                _move(parent, pid)
        times.close()
        try:
            Path(times.folder).rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            # A process that is just ending holds the group for a moment.
            time.sleep(_REMOVE_WAIT_S)
        else:
            return True
    return False


def _own_folders(root: Path, proc_root: str) -> list[Path]:
    """The folders of this process's groups that count CPU time, best first."""
    try:
        lines = (Path(proc_root) / "self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []
    new: list[Path] = []
    old: list[Path] = []
    for number, controllers, place in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        below = place.lstrip("/")
        if ".." in below.split("/"):
            # The group lies outside of what is mounted here.
            continue
        if number == "0" and not controllers:
            mounts = [mount for mount in (root, root / "unified") if (mount / "cgroup.procs").exists()]
            new += [mount / below for mount in mounts]
        elif "cpuacct" in controllers.split(","):
            old += [root / mount / below for mount in (controllers, "cpuacct")]
    return [*new, *old]
