"""Which processes compute on a GPU, and for how long.

NVML lists them, and for most boards samples the share of the time that each kept the GPU busy. In a container
the list is often empty, or has numbers of another pid namespace: both are unknown, not nobody. A list is
believed where its numbers are processes here that have the GPU open, or may have, as far as their files may
be read; an empty one only where the GPU is not busy either.
"""

from __future__ import annotations

__all__ = ["GpuUsers"]

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryoflux.energy.device_files import in_initial_pid_namespace, open_files

_NO_NEWER_SAMPLES = frozenset({0, 6})
"""NVML_SUCCESS without any sample, and NVML_ERROR_NOT_FOUND."""
_GPU_FILES = ("/dev/nvidia", "/dev/dxg")


class _Utilisation:
    """Turns the driver's samples of each process into time on the device."""

    def __init__(self) -> None:
        self.busy_us: dict[int, int] = {}
        self.cursor_us = 0
        """timestamp of the newest sample seen"""
        self._read_ns: int | None = None

    def advance(self, samples: Iterable[Any], now_ns: int) -> None:
        """Take new samples into account: each stands for the time since the one before it."""
        elapsed_us = 0 if self._read_ns is None else (now_ns - self._read_ns) // 1000
        began_us, self._read_ns = self.cursor_us, now_ns
        seen_us: dict[int, int] = {}
        left_us: dict[int, int] = {}
        for sample in sorted(samples, key=lambda one: int(one.timeStamp)):
            pid, at_us = int(sample.pid), int(sample.timeStamp)
            # No more than what has passed here: the driver's buffer reaches back before we came.
            room_us = left_us.get(pid, elapsed_us)
            span_us = max(0, min(at_us - seen_us.get(pid, began_us), room_us))
            share = int(sample.smUtil)
            seen_us[pid], left_us[pid] = at_us, room_us - span_us
            if share <= 100:
                self.busy_us[pid] = self.busy_us.get(pid, 0) + share * span_us // 100
            self.cursor_us = max(self.cursor_us, at_us)

    def keep(self, pids: Iterable[int]) -> None:
        """Forget processes that are gone, since their numbers come again."""
        self.busy_us = {pid: self.busy_us[pid] for pid in pids if pid in self.busy_us}


class GpuUsers:
    """The users of one GPU.

    Args:
        proc_root: where the kernel's process files are.
    """

    def __init__(self, proc_root: str = "/proc") -> None:
        self._proc_root = Path(proc_root)
        self._numbers_are_ours = in_initial_pid_namespace(proc_root)
        self._utilisation = _Utilisation()
        self._known: set[int] = set()

    def read(self, nvml: Any, handle: Any, now_ns: int) -> Mapping[int, int] | None:
        """Process number → its time on the GPU since the first call, µs; none where that is not told.

        A process that is listed without any utilisation has been there for 0 µs.
        """
        listed = _listed(nvml, handle)
        if listed and not self._matched(listed):
            listed = _listed(nvml, handle)  # one of them may just have ended
        if listed is None or not self._believed(nvml, handle, listed):
            return None
        self._known = listed
        samples = _samples(nvml, handle, self._utilisation.cursor_us)
        if samples is not None:
            self._utilisation.advance(samples, now_ns)
        self._utilisation.keep(listed)
        return {pid: self._utilisation.busy_us.get(pid, 0) for pid in sorted(listed)}

    def _believed(self, nvml: Any, handle: Any, listed: set[int]) -> bool:
        if listed:
            return self._matched(listed)
        return _rests(nvml, handle)

    def _matched(self, listed: set[int]) -> bool:
        """Whether the numbers are those of processes of this pid namespace."""
        said = [self._is_here(pid) for pid in listed]
        # Others whose files may not be read are what they seem beside one that has the GPU open, or where
        # numbers are those of the machine; a sandbox may only think that they are.
        return False not in said and (True in said or self._numbers_are_ours)

    def _is_here(self, pid: int) -> bool | None:
        """Whether it is a process here that has a GPU open; none where its files may not be read."""
        if not (self._proc_root / str(pid)).exists():
            return False
        if pid in self._known:
            return True
        # A process of another namespace may share its number with one of ours that has no GPU open.
        opened = open_files(pid, self._proc_root)
        return None if opened is None else any(target.startswith(_GPU_FILES) for target in opened)


def _rests(nvml: Any, handle: Any) -> bool:
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) == 0
    except (nvml.NVMLError, AttributeError, ValueError):
        return False


def _listed(nvml: Any, handle: Any) -> set[int] | None:
    try:
        found = list(nvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except (nvml.NVMLError, AttributeError):
        return None
    with suppress(nvml.NVMLError, AttributeError):
        found += nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
    return {int(process.pid) for process in found}


def _samples(nvml: Any, handle: Any, since_us: int) -> list[Any] | None:
    """Samples newer than that; none where the board takes none."""
    try:
        return list(nvml.nvmlDeviceGetProcessUtilization(handle, since_us))
    except nvml.NVMLError as error:
        return [] if getattr(error, "value", None) in _NO_NEWER_SAMPLES else None
    except AttributeError:
        return None
