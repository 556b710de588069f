"""Which sources this machine offers: counters first, a labelled model where there is none."""

from __future__ import annotations

__all__ = ["Found", "find_sources"]

from dataclasses import dataclass
from typing import Any

from cryoflux.config import Settings
from cryoflux.energy.clock import Clock
from cryoflux.energy.cpu_model import CpuModelSource
from cryoflux.energy.interface import Problem, Source
from cryoflux.energy.nvml import find_gpus
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.rapl import find_rapl
from cryoflux.errors import MeterError


@dataclass(frozen=True, slots=True)
class Found:
    """What can be measured here, and why not better."""

    sources: tuple[Source, ...]
    times: MachineTimes
    problems: tuple[Problem, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """Those problems that make every figure of this machine incomplete."""
        incomplete = {"unreadable-zone", "gpu-refused", "gpu-without-power"}
        return tuple(sorted({problem.code for problem in self.problems} & incomplete))

    @property
    def unread_uw(self) -> int:
        """No more than this can flow unseen beside the sources."""
        return sum(problem.max_power_uw for problem in self.problems)

    def close(self) -> None:
        """Let go of all sources."""
        for source in self.sources:
            source.close()


def find_sources(settings: Settings, clock: Clock, *, nvml: Any | None = None) -> Found:
    """Look for sources.

    Args:
        settings: where to look, and the stated TDP.
        clock: the time.
        nvml: a facade in place of `pynvml`.

    Raises:
        MeterError: not even CPU time can be read.
    """
    chosen = settings.energy
    times = MachineTimes(chosen.proc_root)
    sources: list[Source] = []
    problems: list[Problem] = []
    rapl, rapl_problems = find_rapl(chosen.powercap_root, clock)
    sources += rapl
    problems += rapl_problems
    if not rapl:
        if times.read() is None:
            raise MeterError(
                f"{chosen.proc_root}/stat cannot be read, and there is no RAPL counter.",
                why="Without a counter or CPU time there is nothing to account for.",
                hint="Run `cryoflux doctor`, and set proc_root to where the kernel's process files are.",
            )
        sources.append(CpuModelSource(times, clock, tdp_w=chosen.tdp_w))
    if chosen.nvml:
        gpus, gpu_problems = find_gpus(clock, nvml)
        sources += gpus
        problems += gpu_problems
    else:
        problems.append(Problem("nvml", "switched off by the setting nvml", "nvml-off"))
    return Found(tuple(sources), times, tuple(problems))
