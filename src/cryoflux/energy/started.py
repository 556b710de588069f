"""When what a process is charged for began."""

from __future__ import annotations

__all__ = ["Started"]

import os
import time
from dataclasses import dataclass

from cryoflux.energy.clock import BILLION, SystemClock
from cryoflux.energy.interface import Earlier
from cryoflux.energy.processes import find_owner


@dataclass(frozen=True, slots=True)
class Started:
    """When it began, by the clock and by the CPU time of its process."""

    cpu_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> Started:
        """Here: what the process did before is somebody else's."""
        return cls(time.process_time_ns(), time.monotonic_ns())

    @classmethod
    def with_process(cls) -> Started:
        """With the process, so that loading the libraries counts; now where that cannot be told."""
        owner = find_owner(os.getpid(), SystemClock().boot_id)
        if owner is None or not hasattr(time, "CLOCK_BOOTTIME"):
            return cls.now()
        began_ns = owner.start_ticks * BILLION // os.sysconf("SC_CLK_TCK")
        age_ns = max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began_ns)
        return cls(0, time.monotonic_ns() - age_ns)

    def earlier(self) -> Earlier:
        """What was done since."""
        cpu_ns = max(0, time.process_time_ns() - self.cpu_ns)
        return Earlier(cpu_ns // 1000, max(0, time.monotonic_ns() - self.monotonic_ns))
