"""Time, as the meter sees it: a monotonic clock for arithmetic, wall time for labels, and an epoch.

The epoch changes whenever a counter may have restarted without saying so: at boot, and after the
machine slept (seen as the boot-time clock running ahead of the monotonic one).
"""

from __future__ import annotations

__all__ = ["BILLION", "Clock", "SystemClock"]

import time
from pathlib import Path
from typing import Protocol

BILLION = 1_000_000_000
"""Nanoseconds in a second."""
_SLEEP_NS = BILLION // 5


class Clock(Protocol):
    """What the meter needs to know about time."""

    boot_id: str
    """names this boot of this machine"""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970; a label only."""
        ...

    def epoch(self) -> str:
        """Changes whenever a counter may have restarted."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def __init__(self, proc_root: str = "/proc") -> None:
        try:
            self.boot_id = (Path(proc_root) / "sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            self.boot_id = "unknown"
        self._offset_ns = self._suspended_ns()
        self._suspends = 0

    @staticmethod
    def _suspended_ns() -> int:
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back and stands still while the machine sleeps."""
        return time.monotonic_ns()

    def wall_s(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def epoch(self) -> str:
        """Boot id and how often the machine has slept since this clock was made."""
        offset_ns = self._suspended_ns()
        if abs(offset_ns - self._offset_ns) > _SLEEP_NS:
            self._offset_ns = offset_ns
            self._suspends += 1
        return f"{self.boot_id}/{self._suspends}"

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
