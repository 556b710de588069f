"""Which processes have a GPU open for work, told from their open files.

Whoever computes on a GPU has one of a few device files open. Whoever only asks about it (NVML, as the meter
uses it, and `nvidia-smi`) has others: ``/dev/nvidiactl`` and ``/dev/nvidia0``, which therefore say nothing.
"""

from __future__ import annotations

__all__ = ["INITIAL_PID_NAMESPACE", "GpuOpeners", "in_initial_pid_namespace", "open_files", "pid_namespace"]

from collections.abc import Iterable
from pathlib import Path

_FOR_WORK = ("/dev/nvidia-uvm", "/dev/nvidia-modeset", "/dev/dri/", "/dev/dxg", "/dev/kfd")
"""CUDA and OpenCL; graphics; the same in WSL; AMD."""
_LOOK_EVERY_NS = 900_000_000
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel: that of the machine itself, where every process has a number"""


def open_files(pid: int, proc_root: str | Path) -> list[str] | None:
    """What a process has open; none where that may not be read."""
    try:
        return [str(entry.readlink()) for entry in (Path(proc_root) / str(pid) / "fd").iterdir()]
    except OSError:
        return None


def pid_namespace(proc_root: str | Path = "/proc") -> str:
    """Among which processes a number of one means it here; empty where that is not told."""
    try:
        return str((Path(proc_root) / "self" / "ns" / "pid").readlink())
    except OSError:
        return ""


def in_initial_pid_namespace(proc_root: str | Path) -> bool:
    """Whether process numbers here are those of the machine, which a driver tells, and not of a container."""
    return pid_namespace(proc_root) == INITIAL_PID_NAMESPACE


class GpuOpeners:
    """Whether one of some processes has a GPU open for work, looked at about once a second.

    Args:
        proc_root: where the kernel's process files are; none where the GPU is not one of this machine.
    """

    def __init__(self, proc_root: str | None) -> None:
        self._proc_root = proc_root
        self._looked_ns: int | None = None
        self._said: bool | None = None

    def among(self, pids: Iterable[int], at_ns: int) -> bool | None:
        """Whether one of them has; none where that cannot be told.

        A file that was open at the look before counts too: it may have been in use since.
        """
        if self._proc_root is None:
            return None
        if self._looked_ns is not None and at_ns - self._looked_ns < _LOOK_EVERY_NS:
            return self._said
        before, self._looked_ns = self._said, at_ns
        self._said = self._look(pids, self._proc_root)
        return True if before else self._said

    @staticmethod
    def _look(pids: Iterable[int], proc_root: str) -> bool | None:
        unknown = False
        for pid in pids:
            opened = open_files(pid, proc_root)
            if opened is None:
                unknown = unknown or (Path(proc_root) / str(pid)).exists()
            elif any(target.startswith(_FOR_WORK) for target in opened):
                return True
        return None if unknown else False
