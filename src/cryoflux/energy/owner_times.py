"""Whose CPU time it was, for everything that runs on the machine: by control group, or by process group.

Control groups are what a machine is divided into by its services, containers and users, and the kernel counts
in them whatever has come and gone; where there are none to be seen (version 1 alone, a container of its own)
it is process groups: what a shell starts as one job. Read seldom, since it looks at everything.
"""

from __future__ import annotations

__all__ = ["CgroupOwners", "Owned", "OwnerName", "OwnerTimes", "ProcessGroupOwners", "find_owner_times"]

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from cryoflux.energy.processes import tick_us

_FEWEST_GROUPS = 2
"""one control group alone divides nothing"""
_DEEPEST = 12
_STAT_FIELDS = 20


class OwnerName(NamedTuple):
    """What somebody's work goes by."""

    kind: Literal["cgroup", "process-group"]
    owner: str
    """path below where control groups are mounted, or number of the process group"""
    command: str
    """of a process group: what its leader runs, as it was first seen"""


@dataclass(frozen=True, slots=True)
class Owned:
    """What everybody did since the time before."""

    used_us: Mapping[OwnerName, int]
    """CPU time, µs; of everything that is there now"""
    pids: Mapping[int, OwnerName]
    """process number → whose it is"""


class OwnerTimes(Protocol):
    """Reads the CPU time of everything that runs, by owner."""

    def advance(self) -> Owned:
        """CPU time since the last call; from the first one on, none is counted twice."""
        ...


class _Process(NamedTuple):
    parent: int
    group: int
    own_ticks: int
    waited_ticks: int
    """of children that it has waited for"""
    command: str


_NOTHING = _Process(0, 0, 0, 0, "")
_Key = tuple[int, bytes]
"""number and start of a process"""


class ProcessGroupOwners:
    """Process groups, by what can be seen of the processes in them.

    A process that came and went between two looks is known by what its parent has waited for, and is the
    parent's. The time of one whose end nobody waited for is nobody's, from the last look on. Where it cannot
    be told what was waited for, less is counted, never the same twice.
    """

    def __init__(self, proc_root: str = "/proc") -> None:
        self._root = Path(proc_root)
        self._tick_us = tick_us()
        self._seen = dict(self._processes())
        self._names: dict[int, OwnerName] = {}

    def _processes(self) -> Iterator[tuple[_Key, _Process]]:
        for folder in self._root.iterdir():
            if folder.name.isdigit() and (found := _process(folder / "stat")) is not None:
                start, process = found
                yield (int(folder.name), start), process

    def advance(self) -> Owned:
        """CPU time since the last call, by process group."""
        before, now = self._seen, dict(self._processes())
        self._seen = now
        self._name(now)
        # What ended was counted in its own group, and is now in the time of whoever waited for it as well.
        ended = Counter[int]()
        for key in before.keys() - now.keys():
            ended[before[key].parent] += before[key].own_ticks + before[key].waited_ticks
        orphaned = sum(ended[pid] for pid in ended.keys() - {pid for pid, _ in now})
        used_us = Counter[OwnerName]()
        for key, process in sorted(now.items()):
            first = before.get(key, _NOTHING)
            waited = max(0, process.waited_ticks - first.waited_ticks - ended[key[0]])
            known = min(waited, orphaned)  # by whoever took in the children of one that ended before them
            orphaned -= known
            ticks = max(0, process.own_ticks - first.own_ticks) + waited - known
            used_us[self._names[process.group]] += ticks * self._tick_us
        return Owned(used_us, {pid: self._names[process.group] for (pid, _), process in now.items()})

    def _name(self, now: Mapping[_Key, _Process]) -> None:
        """Name the groups that are new after their leaders, or after whoever of them is there."""
        commands: dict[int, str] = {}
        for (pid, _), process in sorted(now.items()):
            if pid == process.group or process.group not in commands:
                commands[process.group] = process.command
        self._names = {
            group: self._names.get(group) or OwnerName("process-group", str(group), command)
            for group, command in commands.items()
        }


def _process(path: Path) -> tuple[bytes, _Process] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None  # it has ended, or is not ours to see
    # The command is in brackets and may hold brackets itself; the last one ends it.
    head, _, rest = content.rpartition(b")")
    fields = rest.split()
    if len(fields) < _STAT_FIELDS:
        return None
    own_ticks, waited_ticks = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    command = head.partition(b"(")[2].decode("utf-8", "replace")
    return fields[19], _Process(int(fields[1]), int(fields[2]), own_ticks, waited_ticks, command)


class CgroupOwners:
    """Control groups below one mount; each has what is not in a group within it.

    What a group used that is gone by now is the group's around it.
    """

    def __init__(self, mount: str) -> None:
        self._mount = mount
        self._seen = dict(_groups(mount))

    def advance(self) -> Owned:
        """CPU time since the last call, by control group."""
        before, now = self._seen, dict(_groups(self._mount))
        self._seen = now
        # One that counts less than before is another one of the same name.
        since = {
            path: us - before.get(path, 0) if us >= before.get(path, 0) else us for path, us in now.items()
        }
        inside: dict[str, int] = {}
        for path, us in since.items():
            around = path.rpartition("/")[0]
            inside[around] = inside.get(around, 0) + us
        names = {path: OwnerName("cgroup", path, "") for path in now}
        used_us = {names[path]: max(0, us - inside.get(path, 0)) for path, us in since.items()}
        pids = {pid: name for path, name in names.items() for pid in _members(self._mount + path)}
        return Owned(used_us, pids)


def _groups(mount: str, below: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """Path of every group below a mount, and its CPU time so far, µs."""
    try:
        with os.scandir(mount + below) as entries:
            folders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return  # removed meanwhile, or not ours to see
    for name in folders:
        path = f"{below}/{name}"
        used_us = _used_us(mount + path)
        if used_us is not None:
            yield path, used_us
            if depth < _DEEPEST:
                yield from _groups(mount, path, depth + 1)


def _used_us(folder: str) -> int | None:
    try:
        words = Path(folder, "cpu.stat").read_bytes().split()
        return int(words[words.index(b"usage_usec") + 1])
    except (OSError, ValueError, IndexError):
        return None


def _members(folder: str) -> Iterator[int]:
    try:
        yield from map(int, Path(folder, "cgroup.procs").read_bytes().split())
    except (OSError, ValueError):
        return


def find_owner_times(proc_root: str = "/proc", cgroup_root: str = "/sys/fs/cgroup") -> OwnerTimes:
    """Control groups where the machine is divided into some, else process groups."""
    for mount in (cgroup_root, f"{cgroup_root}/unified"):
        if len(dict(_groups(mount))) >= _FEWEST_GROUPS:
            return CgroupOwners(mount)
    return ProcessGroupOwners(proc_root)
