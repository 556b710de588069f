"""What a process spent before a meter could meter it, as far as that can be told.

Modelled energy follows from CPU time, which the kernel has from the start of the process. A counter says
nothing of before it was read first, so there it is only known what may have flowed at most.
"""

from __future__ import annotations

__all__ = ["START_UNMETERED", "before_a_take", "since_its_start"]

from pathlib import Path

from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Earlier
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import ProcessTimes
from cryoflux.energy.sources.cpu_model import CpuModelSource
from cryoflux.quantities import MICRO, Energy

START_UNMETERED = "start-unmetered"
"""flag: what was spent before the meter began is not in the estimate, only in the interval"""


def since_its_start(meter: Meter, process: ProcessTimes, proc_root: str) -> Energy | None:
    """Modelled energy of a process from its start to now, so that imports count."""
    source = meter.channels[0].source
    own_us = process.read_us()
    if not isinstance(source, CpuModelSource) or own_us is None:
        return None
    try:
        uptime_s = float((Path(proc_root) / "uptime").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return source.net_before(own_us, int(process.age_s(uptime_s) * BILLION))


def before_a_take(meter: Meter, earlier: Earlier | None) -> Energy | None:
    """What a process spent before its session could take joules; unknown where only counters tell."""
    if earlier is None:
        return None
    source = meter.channels[0].source
    if isinstance(source, CpuModelSource):
        return source.net_before(earlier.cpu_us, earlier.ns)
    most_uj = meter.max_power_uw * earlier.cpu_us // MICRO
    return Energy(0, 0, most_uj, source.tier, (START_UNMETERED,))
