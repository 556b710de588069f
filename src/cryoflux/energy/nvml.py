"""NVIDIA GPUs through NVML: the energy counter where the board has one, else its power, integrated.

NVML is reached through a facade that is `pynvml` by default. An absent library, driver or permission
means no GPU source, with the reason kept for ``cryoflux doctor``.
"""

from __future__ import annotations

__all__ = ["NvmlSource", "find_gpus", "load_pynvml"]

import importlib
from typing import Any

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Kind, Problem, Reading
from cryoflux.quantities import MICRO, Tier

_GENEROUS_UW = 1500 * MICRO
_HEADROOM = 2
"""Board power goes above its limit for milliseconds."""
_COUNTER_STEP_S = 0.1
"""The counter of most boards moves every 100 ms or less."""
_COUNTER_ERROR = (0.95, 1.05)
_INTEGRATED_ERROR = (0.85, 1.15)
_POLL_S = 0.1
_LONGEST_GAP_NS = 2 * BILLION
"""Power samples further apart than this say nothing about the time between."""


def load_pynvml() -> Any | None:
    """The `pynvml` module; none where it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


class NvmlSource:
    """One GPU.

    Args:
        nvml: the facade, initialised.
        index: the number of the GPU.
        clock: the time.
    """

    kind: Kind = "gpu"
    curve = ""
    range_uj: int | None = None
    idle_uw: int | None = None

    def __init__(self, nvml: Any, index: int, clock: Clock) -> None:
        self._nvml = nvml
        self._clock = clock
        self._index = index
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = nvml.nvmlDeviceGetUUID(self._handle)
        self.name = f"nvml:{uuid.decode() if isinstance(uuid, bytes) else uuid}"
        self.max_power_uw = self._limit_uw() * _HEADROOM
        counts = self._try("nvmlDeviceGetTotalEnergyConsumption") is not None
        self.tier = Tier.COUNTER if counts else Tier.POWER_INTEGRATED
        self.gain_error = _COUNTER_ERROR if counts else _INTEGRATED_ERROR
        self.poll_s = 1.0 if counts else _POLL_S
        self.resolution_uj = int(self._limit_uw() * _COUNTER_STEP_S) if counts else 0
        self._attachments = 0
        self._gaps = 0
        self._lost = False
        self._last: tuple[int, int] | None = None
        self._integral_uj = 0

    def _limit_uw(self) -> int:
        for call in ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"):
            limit_mw = self._try(call)
            if limit_mw:
                return limit_mw * 1000
        return _GENEROUS_UW

    def _try(self, call: str) -> int | None:
        try:
            return int(getattr(self._nvml, call)(self._handle))
        except (self._nvml.NVMLError, AttributeError, ValueError):
            return None

    def _reattach(self) -> None:
        # A driver that was lost comes back with new handles and, often, new counters.
        try:
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self._index)
            self._attachments += 1
            self._last = None
        except self._nvml.NVMLError:
            return

    def read(self) -> Reading:
        """Energy now; none while the GPU does not answer."""
        if self._lost:
            self._reattach()
        counter = self.tier is Tier.COUNTER
        value = self._try("nvmlDeviceGetTotalEnergyConsumption" if counter else "nvmlDeviceGetPowerUsage")
        now_ns = self._clock.monotonic_ns()
        self._lost = value is None
        if value is None:
            energy_uj = None
        elif counter:
            energy_uj = value * 1000
        else:
            energy_uj = self._integrate(value * 1000, now_ns)
        return Reading(energy_uj, now_ns, f"{self._clock.epoch()}/{self._attachments}/{self._gaps}")

    def _integrate(self, power_uw: int, now_ns: int) -> int:
        if self._last is not None:
            before_ns, before_uw = self._last
            if now_ns - before_ns > _LONGEST_GAP_NS:
                self._gaps += 1
            self._integral_uj += (before_uw + power_uw) * (now_ns - before_ns) // (2 * BILLION)
        self._last = (now_ns, power_uw)
        return self._integral_uj

    def close(self) -> None:
        """Let go of the driver."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            return


def find_gpus(clock: Clock, nvml: Any | None = None) -> tuple[list[NvmlSource], list[Problem]]:
    """All GPUs that answer, and why others are not used."""
    facade = load_pynvml() if nvml is None else nvml
    if facade is None:
        return [], [Problem("nvml", "the package nvidia-ml-py is not installed", "no-nvml-library")]
    try:
        facade.nvmlInit()
        count = facade.nvmlDeviceGetCount()
    except facade.NVMLError as error:
        return [], [Problem("nvml", f"no NVIDIA driver answers ({error})", "no-nvidia-driver")]
    sources: list[NvmlSource] = []
    problems: list[Problem] = []
    for index in range(count):
        try:
            source = NvmlSource(facade, index, clock)
        except facade.NVMLError as error:
            problems.append(Problem(f"nvml:{index}", f"GPU {index} does not answer ({error})", "gpu-refused"))
            continue
        if source.read().energy_uj is None:
            problems.append(
                Problem(source.name, "the GPU reports neither energy nor power", "gpu-without-power")
            )
        else:
            sources.append(source)
    return sources, problems
