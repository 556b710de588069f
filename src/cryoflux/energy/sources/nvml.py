"""NVIDIA GPUs through NVML: the energy counter where the board has one, else its power, integrated.

- NVML is reached through a facade that is `pynvml` by default. An absent library, driver or permission
  means no GPU source, with the reason kept for ``cryoflux doctor``.
- A board that counts also tells its power at every read. It is integrated beside the counter
  (`Reading.check_uj`), so that a counter that lies is seen. For that the power that the board itself
  averages over a second is taken, because it is read about once a second; where power is all there is
  and it is read ten times a second, the instantaneous one.
- A GPU in MIG mode is one board that several instances share. The board is metered; which instance drew
  what NVML does not say, so nobody is named as its user.
- A driver that was lost is attached anew (`energy.nvml_driver`). Each GPU is then found by its UUID,
  since numbers shift, and one that did not answer in between begins a new epoch.
"""

from __future__ import annotations

__all__ = ["GpuSearch", "NvmlSource", "find_gpus", "load_pynvml"]

import importlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.integral import PowerIntegral
from cryoflux.energy.sources.nvml_driver import NvmlDriver, text_of
from cryoflux.energy.sources.nvml_users import GpuUsers
from cryoflux.quantities import MICRO, Tier

_GENEROUS_UW = 1500 * MICRO
_HEADROOM = 2
"""Board power goes above its limit for milliseconds."""
_STEP_S = 0.1
"""The counter and the power sensor of most boards are renewed every 100 ms or sooner."""
_MILLIJOULE_UJ = 1000
"""The counter's unit; how late it is is said by the time between its steps."""
_COUNTER_ERROR = (0.95, 1.05)
_POLL_S = 0.1
_POWER_AVERAGE, _POWER_INSTANT = 185, 186
"""NVML_FI_DEV_POWER_AVERAGE (over one second) and NVML_FI_DEV_POWER_INSTANT, in mW."""
_SCOPE_GPU, _SCOPE_MODULE = 0, 1


def load_pynvml() -> Any | None:
    """The `pynvml` module; none where it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


class NvmlSource:
    """One GPU.

    Args:
        nvml: the facade, initialised, or the connection that several GPUs share.
        index: the number of the GPU.
        clock: the time.
        proc_root: where the kernel's process files are.
    """

    kind: SourceKind = "gpu"
    curve = ""
    range_uj: int | None = None
    idle_uw: int | None = None

    def __init__(self, nvml: Any, index: int, clock: Clock, proc_root: str = "/proc") -> None:
        self._driver = nvml if isinstance(nvml, NvmlDriver) else NvmlDriver(nvml)
        self._nvml = self._driver.nvml
        self._clock = clock
        self._handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        self._uuid = text_of(self._nvml.nvmlDeviceGetUUID(self._handle))
        self.name = f"nvml:{self._uuid}"
        self._driver.holders += 1
        self._attached, self._outages = self._driver.attached, self._driver.outages
        self._restarts, self._lost = 0, False
        self._integral = PowerIntegral()
        self._users = GpuUsers(proc_root)
        self.mig = self._in_mig_mode()
        self._describe()

    def _describe(self) -> None:
        limit_uw = self._limit_uw()
        counts = self._try("nvmlDeviceGetTotalEnergyConsumption") is not None
        self._field = self._power_field(_POWER_AVERAGE if counts else _POWER_INSTANT)
        self.tier = Tier.COUNTER if counts else Tier.POWER_INTEGRATED
        self.gain_error = _COUNTER_ERROR if counts else self._integral.gain_error
        self.poll_s = 1.0 if counts else _POLL_S
        self.max_power_uw = limit_uw * _HEADROOM
        self.resolution_uj = _MILLIJOULE_UJ if counts else 0
        self.update_s = _STEP_S

    def _limit_uw(self) -> int:
        limits_mw = [
            self._try("nvmlDeviceGetEnforcedPowerLimit"),
            self._try("nvmlDeviceGetPowerManagementLimit"),
        ]
        # What is enforced now may be lifted later, but never above this.
        with suppress(self._nvml.NVMLError, AttributeError, ValueError, TypeError):
            _, most_mw = self._nvml.nvmlDeviceGetPowerManagementLimitConstraints(self._handle)
            limits_mw.append(int(most_mw))
        return max((limit for limit in limits_mw if limit), default=0) * 1000 or _GENEROUS_UW

    def _try(self, call: str) -> int | None:
        try:
            return int(getattr(self._nvml, call)(self._handle))
        except (self._nvml.NVMLError, AttributeError, ValueError):
            return None

    def _in_mig_mode(self) -> bool:
        try:
            current, _ = self._nvml.nvmlDeviceGetMigMode(self._handle)
        except (self._nvml.NVMLError, AttributeError, ValueError):
            return False
        return int(current) == 1

    def _power_field(self, field: int) -> tuple[int, int] | None:
        # On a Grace Hopper board the counter covers the whole module, so the power has to as well.
        try:
            module = bool(self._nvml.nvmlDeviceGetC2cModeInfoV(self._handle).isC2cEnabled)
        except (self._nvml.NVMLError, AttributeError):
            module = False
        chosen = (field, _SCOPE_MODULE if module else _SCOPE_GPU)
        return chosen if self._field_mw(chosen) else None

    def _field_mw(self, field: tuple[int, int]) -> int | None:
        try:
            told = self._nvml.nvmlDeviceGetFieldValues(self._handle, [field])[0]
            return int(told.value.uiVal) if told.nvmlReturn == 0 else None
        except (self._nvml.NVMLError, AttributeError, IndexError, ValueError):
            return None

    def _power_uw(self) -> int | None:
        power_mw = self._field_mw(self._field) if self._field else self._try("nvmlDeviceGetPowerUsage")
        return None if power_mw is None else power_mw * 1000

    def _reachable(self) -> bool:
        if self._driver.busy:
            return False
        if self._attached != self._driver.attached:
            handle = self._driver.handle(self._uuid)
            if handle is None:
                self._lost = True
                return False
            self._handle, self._attached = handle, self._driver.attached
        return True

    def _found_again(self) -> None:
        # Counters may have restarted while it did not answer, or while there was no driver at all.
        if self._lost or self._outages != self._driver.outages:
            self._restarts += 1
            self._integral.interrupt()
            self._driver.recovered()
        self._lost, self._outages = False, self._driver.outages

    def read(self) -> Reading:
        """Energy now; none while the GPU does not answer."""
        if self._lost:
            self._driver.reattach(self._clock.monotonic_ns())
        energy_uj = check_uj = None
        if self._reachable():
            counted_mj = self._try("nvmlDeviceGetTotalEnergyConsumption") if self._counts else None
            now_ns = self._clock.monotonic_ns()
            power_uw = self._power_uw()
            if (counted_mj if self._counts else power_uw) is None:
                self._lost = True
            else:
                self._found_again()
                check_uj = self._integrated_uj(power_uw, now_ns)
                energy_uj = self._integral.total_uj if counted_mj is None else counted_mj * 1000
        else:
            now_ns = self._clock.monotonic_ns()
        epoch = f"{self._clock.epoch()}/{self._restarts}"
        if self._counts:
            return Reading(energy_uj, now_ns, epoch, check_uj)
        return Reading(energy_uj, now_ns, f"{epoch}/{self._integral.gaps}")

    @property
    def _counts(self) -> bool:
        return self.tier is Tier.COUNTER

    def _integrated_uj(self, power_uw: int | None, now_ns: int) -> int | None:
        """Power added up; none where it does not join on to what was there before."""
        if power_uw is None:
            self._integral.interrupt()
            return None
        gaps = self._integral.gaps
        self._integral.add(power_uw, now_ns)
        if not self._counts:
            self.gain_error = self._integral.gain_error
        return self._integral.total_uj if self._integral.gaps == gaps else None

    def users(self) -> Mapping[int, int] | None:
        """Process number → its time on this GPU since the first call, µs; none where that is not told."""
        if self.mig or self._lost or not self._reachable():
            return None
        return self._users.read(self._nvml, self._handle, self._clock.monotonic_ns())

    def close(self) -> None:
        """Let go of the driver."""
        self._driver.release()


class GpuSearch:
    """Finds GPUs, at first all of them, and then those that came since.

    A connection that the GPUs found have is used on; where there is none, each look tries to make one.

    Args:
        clock: the time.
        nvml: a facade in place of `pynvml`.
        proc_root: where the kernel's process files are.
    """

    def __init__(self, clock: Clock, nvml: Any | None = None, *, proc_root: str = "/proc") -> None:
        self._clock = clock
        self._nvml: Any = load_pynvml() if nvml is None else nvml
        self._proc_root = proc_root
        self._driver: NvmlDriver | None = None
        self._used: set[str] = set()
        self._told: set[str] = set()
        """what a problem was said of"""
        self._most = 0
        """so many GPUs were there at once"""

    def look(self) -> tuple[list[NvmlSource], list[Problem]]:
        """GPUs that were not found before and answer, and why others are not used, or not in full."""
        if self._nvml is None:
            missing = Problem("nvml", "the package nvidia-ml-py is not installed", "no-nvml-library")
            return [], self._new([missing])
        if self._driver is not None and self._driver.busy:
            return [], []
        try:
            driver = self._connected()
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            none = Problem("nvml", f"no NVIDIA driver answers ({error})", "no-nvidia-driver")
            return [], self._new([none])
        driver.holders += 1
        sources: list[NvmlSource] = []
        problems: list[Problem] = []
        for index in range(count):
            source, why = self._at(driver, index)
            sources += [source] if source else []
            problems += why
        driver.release()
        self._most = max(self._most, count)
        self._used |= {source.name for source in sources}
        return sources, self._new(problems)

    def _connected(self) -> NvmlDriver:
        if self._driver is None or self._driver.holders <= 0:
            self._nvml.nvmlInit()
            self._driver = NvmlDriver(self._nvml)
        return self._driver

    def _at(self, driver: NvmlDriver, index: int) -> tuple[NvmlSource | None, list[Problem]]:
        """The GPU of a number, unless it was found before, and what is wrong with it."""
        try:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            if f"nvml:{text_of(self._nvml.nvmlDeviceGetUUID(handle))}" in self._used:
                return None, []
            source = NvmlSource(driver, index, self._clock, self._proc_root)
        except self._nvml.NVMLError as error:
            reason = f"GPU {index} does not answer ({error})"
            refused = Problem(f"nvml:{index}", reason, "gpu-refused", _GENEROUS_UW)
            # One that was there before may be one that is in use and was lost, which its readings say.
            return None, [refused] if index >= self._most else []
        answers = source.read().energy_uj is not None
        problems = _problems_of(source, answers=answers)
        if answers:
            return source, problems
        source.close()
        return None, problems

    def _new(self, problems: list[Problem]) -> list[Problem]:
        new = [problem for problem in problems if problem.name not in self._told]
        self._told |= {problem.name for problem in new}
        return new


def find_gpus(
    clock: Clock, nvml: Any | None = None, *, proc_root: str = "/proc"
) -> tuple[list[NvmlSource], list[Problem]]:
    """All GPUs that answer, and why others are not used, or not in full."""
    return GpuSearch(clock, nvml, proc_root=proc_root).look()


def _problems_of(source: NvmlSource, *, answers: bool) -> list[Problem]:
    mig = "the GPU is in MIG mode, where energy is not told for each instance; " if source.mig else ""
    if not answers:
        reason = f"{mig}the board reports neither energy nor power, so up to its limit may flow unseen"
        return [Problem(source.name, reason, "gpu-without-power", source.max_power_uw)]
    if mig:
        return [Problem(source.name, f"{mig}the board is metered as a whole", "mig-unsupported")]
    return []
