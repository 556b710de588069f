"""Which sources this machine offers: counters first, a labelled model where there is none."""

from __future__ import annotations

__all__ = ["FoundSources", "find_sources"]

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.config import Settings
from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Problem, Source
from cryoflux.energy.platforms import check_platform, is_metered
from cryoflux.energy.processes import MachineTimes, VisibleTimes
from cryoflux.energy.sources.cpu_model import CpuModelSource, tdp_here
from cryoflux.energy.sources.hwmon import HwmonSource, find_hwmon
from cryoflux.energy.sources.nvml import GpuSearch
from cryoflux.energy.sources.power_bounds import plausible_power
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.energy.sources.replay import find_replay
from cryoflux.energy.sources.zeusd import find_zeusd, zeusd_address
from cryoflux.errors import MeterError
from cryoflux.quantities import Tier
from cryoflux.settings import EnergySettings


@dataclass(frozen=True, slots=True)
class FoundSources:
    """What can be measured here, and why not better."""

    sources: tuple[Source, ...]
    times: MachineTimes
    problems: tuple[Problem, ...]
    said: tuple[str, ...] = ()
    """flags of all figures from these sources"""
    gpus: GpuSearch | None = None
    """finds GPUs that come later; none where they are not wanted"""

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes every figure of this machine incomplete, or no measurement of it."""
        incomplete = {"unreadable-zone", "gpu-refused", "gpu-without-power", "busy-time-unseen"}
        incomplete |= {"still-counter", "cpus-renumbered"}
        return tuple(sorted({problem.code for problem in self.problems} & incomplete | {*self.said}))

    @property
    def unread_uw(self) -> int:
        """No more than this can flow unseen beside the sources."""
        return sum(problem.max_power_uw for problem in self.problems)

    def close(self) -> None:
        """Let go of all sources."""
        for source in self.sources:
            source.close()


def find_sources(
    settings: Settings, clock: Clock, *, nvml: Any | None = None, frozen_idle_uw: int | None = None
) -> FoundSources:
    """Look for sources.

    Args:
        settings: where to look, and the stated TDP.
        clock: the time.
        nvml: a facade in place of `pynvml`.
        frozen_idle_uw: idle power of the model in the baseline that is frozen already, µW.

    Raises:
        MeterError: not even CPU time can be read, or this system is not metered.
        UsageError: the trace to replay is damaged.
    """
    chosen = settings.energy
    check_platform(chosen, sys.platform)
    if not chosen.replay and not is_metered(sys.platform):
        return _elsewhere(chosen, clock, nvml)
    times = MachineTimes(chosen.proc_root)
    if chosen.replay:
        played = find_replay(Path(chosen.replay), clock)
        return FoundSources(played, times, (), ("replayed", *played[0].flags))
    blind: list[Problem] = []
    if times.blank:
        times = VisibleTimes(chosen.proc_root)
        reason = f"{chosen.proc_root}/stat holds zeros, so only the processes that can be seen here count"
        blind.append(Problem("cpu time", reason, "busy-time-unseen"))
    elif times.renumbered:
        reason = (
            f"{chosen.proc_root}/stat numbers CPUs in another way than this process's affinity: all count"
        )
        blind.append(Problem("cpu time", reason, "cpus-renumbered"))
    search = GpuSearch(clock, nvml, proc_root=chosen.proc_root) if chosen.nvml else None
    devices, why = _devices(chosen, clock, search)
    try:
        gpus = any(device.kind == "gpu" for device in devices)
        cpus, problems = _of_cpus(chosen, times, clock, frozen_idle_uw, gpus=gpus)
    except MeterError:
        FoundSources(tuple(devices), times, ()).close()
        raise
    if any(device.kind == "cpu" for device in devices):
        # zeus counts the CPUs of a system on a chip: a model of them, or the board, would count them twice.
        FoundSources(tuple(s for s in cpus if s.tier is not Tier.COUNTER), times, ()).close()
        cpus = [source for source in cpus if source.tier is Tier.COUNTER]
    # What the board measures has a GPU in it that comes later: counted by itself it would count twice.
    later = search if not any(isinstance(s, HwmonSource) and s.holds_gpus for s in cpus) else None
    return FoundSources((*cpus, *devices), times, (*problems, *why, *blind), gpus=later)


def _elsewhere(chosen: EnergySettings, clock: Clock, nvml: Any | None) -> FoundSources:
    """What zeus measures on Apple silicon; whose energy it was cannot be told there."""
    search = GpuSearch(clock, nvml, proc_root=chosen.proc_root) if chosen.nvml else None
    devices, problems = _devices(chosen, clock, search)
    if not devices:
        reasons = "; ".join(f"{problem.name}: {problem.reason}" for problem in problems)
        raise MeterError(
            f"Nothing here measures energy ({reasons}).",
            why="On macOS there is nothing but zeus to measure by.",
            hint="pip install 'cryoflux[zeus]' on Apple silicon; older Macs are not metered.",
        )
    return FoundSources(tuple(devices), MachineTimes(chosen.proc_root), tuple(problems))


def _of_cpus(
    chosen: EnergySettings, times: MachineTimes, clock: Clock, frozen_idle_uw: int | None, *, gpus: bool
) -> tuple[list[Source], list[Problem]]:
    """Readable counters, else those that zeusd reads for us, else the board's sensors, else the model."""
    could = plausible_power(_cpuinfo(chosen.proc_root))
    rapl, problems = find_rapl(chosen.powercap_root, clock, zones=chosen.rapl_zones, plausible=could)
    if rapl:
        return [*rapl], problems
    address = chosen.zeusd or zeusd_address(os.environ)
    if address:
        token = os.environ.get("ZEUSD_TOKEN", "")
        served, why = find_zeusd(
            address, clock, token=token, powercap_root=chosen.powercap_root, plausible=could
        )
        if any(source.kind == "cpu" for source in served):
            # What zeusd serves is what may not be read here: it does not flow unseen.
            return [*served], why
        problems += why
    sensors, why = find_hwmon(chosen.hwmon_root, clock, gpus=gpus)
    problems += why
    if sensors:
        return [*sensors], problems
    if times.read() is None:
        raise MeterError(
            f"{chosen.proc_root}/stat cannot be read, and there is no RAPL counter.",
            why="Without a counter or CPU time there is nothing to account for.",
            hint="Run `cryoflux doctor`, and set proc_root to where the kernel's process files are.",
        )
    tdp = tdp_here(_cpuinfo(chosen.proc_root), len(times.cpus), frozen_idle_uw)
    return [CpuModelSource(times, clock, tdp_w=chosen.tdp_w, tdp=tdp)], problems


def _cpuinfo(proc_root: str) -> str:
    try:
        return (Path(proc_root) / "cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""


def _devices(
    chosen: EnergySettings, clock: Clock, search: GpuSearch | None
) -> tuple[list[Source], list[Problem]]:
    sources: list[Source] = []
    problems: list[Problem] = []
    if search is not None:
        gpus, problems = search.look()
        sources += gpus
    else:
        problems.append(Problem("nvml", "switched off by the setting nvml", "nvml-off"))
    if chosen.zeus:
        from cryoflux.energy.sources.zeus_devices import find_zeus

        others, why = find_zeus(clock, wanted=True, nvidia=bool(sources))
        sources += others
        problems += why
    return sources, problems
