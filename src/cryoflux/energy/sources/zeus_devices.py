"""AMD GPUs, Apple silicon and Jetson boards, read through zeus (the extra ``cryoflux[zeus]``).

NVIDIA GPUs and RAPL are never taken from here: this project reads those itself. Zeus is reached through a
facade with `get_gpus` and `get_soc`, which is the module `zeus.device` by default; what follows was
written against zeus 0.16 and has not run on any of these devices, so the ranges are wide:

- AMD: the board's energy counter where zeus trusts it (it compares it with the power at the start), else
  power, integrated here. An MI250's odd half is counted by its even one.
- Apple silicon: the chip's own energy figures for CPU, memory, GPU and neural engine, which do not
  overlap. Its GPU memory figure is left out, because it is not said whether the GPU's includes it.
- Jetson: the CPU and GPU rails, or the whole board where it does not have both; zeus integrates their power
  in a process of its own, ten times a second.

A device that fails is asked again ever more rarely, so that a slow one does not hold up the meter.
"""

from __future__ import annotations

__all__ = ["ZeusSource", "find_zeus", "load_zeus"]

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.integral import CLOSE_ERROR, PowerIntegral
from cryoflux.quantities import MICRO, Tier

_HEADROOM = 2
_GENEROUS_GPU_UW = 1500 * MICRO
_GENEROUS_CHIP_UW = 500 * MICRO
_AMD_ERROR = (0.9, 1.1)
_APPLE_ERROR = (0.8, 1.25)
_MILLI_UJ = 1000
_STEP_S = 0.1
_POLL_S = 0.1
_TIMEOUT_S = 1.0
_LONGEST_WAIT_S = 60
_APPLE_FIELDS: tuple[tuple[str, str, SourceKind], ...] = (
    ("cpu", "cpu_total_mj", "cpu"),
    ("dram", "dram_mj", "dram"),
    ("gpu", "gpu_mj", "gpu"),
    ("neural-engine", "ane_mj", "gpu"),
)
_JETSON_RAILS: tuple[tuple[str, str, SourceKind], ...] = (
    ("cpu", "cpu_energy_mj", "cpu"),
    ("gpu", "gpu_energy_mj", "gpu"),
)
_JETSON_BOARD: tuple[tuple[str, str, SourceKind], ...] = (("board", "total_energy_mj", "cpu"),)


def load_zeus() -> Any | None:
    """The module `zeus.device`; none where zeus is not installed."""
    try:
        return importlib.import_module("zeus.device")
    except ImportError:
        return None


@dataclass(frozen=True, slots=True)
class _Device:
    """What a source needs to know of a device."""

    name: str
    kind: SourceKind
    tier: Tier
    max_power_uw: int
    gain_error: tuple[float, float]
    ask: Callable[[], float]
    """cumulative energy in mJ; power in mW where ``integrates``"""
    integrates: bool = False


class ZeusSource:
    """One device.

    Args:
        device: what it is, and how it is asked.
        clock: the time.
    """

    curve = ""
    range_uj: int | None = None
    idle_uw: int | None = None

    def __init__(self, device: _Device, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        self.name = device.name
        self.kind: SourceKind = device.kind
        self.tier = device.tier
        self.max_power_uw = device.max_power_uw
        self.gain_error = device.gain_error
        self.resolution_uj = 0 if device.integrates else _MILLI_UJ
        self.update_s = _STEP_S
        self.poll_s = _POLL_S if device.integrates else 1.0
        self._integral = PowerIntegral()
        self._failures = self._restarts = 0
        self._next_ns = 0

    def read(self) -> Reading:
        """Energy now; none while the device does not answer."""
        value = self._ask() if self._clock.monotonic_ns() >= self._next_ns else None
        now_ns = self._clock.monotonic_ns()
        energy_uj = None
        if value is not None:
            energy_uj = self._integrated_uj(value, now_ns) if self._device.integrates else round(value * 1000)
        epoch = f"{self._clock.epoch()}/{self._restarts}/{self._integral.gaps}"
        return Reading(energy_uj, now_ns, epoch)

    def _ask(self) -> float | None:
        try:
            value = float(self._device.ask())
            if not 0 <= value < float("inf"):
                raise ValueError(f"{value} is not an amount of energy")
        except Exception:  # noqa: BLE001 - each vendor's library has errors of its own, and none may end a run
            wait_s = min(_LONGEST_WAIT_S, 2 ** min(self._failures, 8))
            self._next_ns = self._clock.monotonic_ns() + wait_s * BILLION
            self._failures += 1
            return None
        if self._failures:
            # Its counter may have restarted while it did not answer.
            self._failures = 0
            self._restarts += 1
            self._integral.interrupt()
        return value

    def _integrated_uj(self, power_mw: float, now_ns: int) -> int:
        self._integral.add(round(power_mw * 1000), now_ns)
        self.gain_error = self._integral.gain_error
        return self._integral.total_uj

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Zeus keeps its handles for the life of the process."""


def find_zeus(
    clock: Clock, zeus: Any | None = None, *, wanted: bool = False, nvidia: bool = False
) -> tuple[list[ZeusSource], list[Problem]]:
    """All devices that zeus reads and this project does not, and what stands in the way.

    Args:
        clock: the time.
        zeus: a facade in place of `zeus.device`.
        wanted: whether the user asked for it; otherwise it is no problem that there is nothing.
        nvidia: whether an NVIDIA driver answers here. Zeus then tells of no other GPUs, and is not asked.
    """
    facade = load_zeus() if zeus is None else zeus
    if facade is None:
        missing = Problem("zeus", "the package zeus is not installed (cryoflux[zeus])", "no-zeus")
        return [], [missing] if wanted else []
    problems: list[Problem] = []
    devices = [] if nvidia else _amd_gpus(facade, problems)
    devices += _chip(facade)
    sources: list[ZeusSource] = []
    for device in devices:
        source = ZeusSource(device, clock)
        if source.read().energy_uj is None:
            problems.append(Problem(device.name, "the device does not answer", "gpu-refused"))
        else:
            sources.append(source)
    if wanted and not sources and not problems:
        reason = "zeus finds no AMD GPU, Apple silicon or Jetson here"
        problems.append(Problem("zeus", reason, "no-zeus-device"))
    return sources, problems


def _is(thing: object, name: str) -> bool:
    """Whether that is the name of its class, or of one that it is derived from."""
    return any(kind.__name__ == name for kind in type(thing).__mro__)


def _asked(ask: Callable[[], Any]) -> Any | None:
    try:
        return ask()
    except Exception:  # noqa: BLE001 - absent hardware is an error of its own in each vendor's library
        return None


def _amd_gpus(facade: Any, problems: list[Problem]) -> list[_Device]:
    gpus = _asked(facade.get_gpus)
    if gpus is None or not _is(gpus, "AMDGPUs"):
        return []
    devices = []
    for gpu in gpus.gpus:
        device = _amd_gpu(gpu)
        if device is not None:
            devices.append(device)
        elif "MI250" in str(_asked(gpu.get_name)) and gpu.gpu_index % 2:
            reason = f"its energy is counted by GPU {gpu.gpu_index - 1}, the other half of the board"
            problems.append(Problem(f"zeus:amd-{gpu.gpu_index}", reason, "shared-board"))
        else:
            reason = "the GPU reports neither energy nor power"
            problems.append(Problem(f"zeus:amd-{gpu.gpu_index}", reason, "gpu-without-power"))
    return devices


def _amd_gpu(gpu: Any) -> _Device | None:
    limit_mw = _asked(gpu.get_power_management_limit)
    most_uw = int(limit_mw) * 1000 * _HEADROOM if limit_mw else _GENEROUS_GPU_UW
    name = f"zeus:amd-{gpu.gpu_index}"
    if _asked(gpu.supports_get_total_energy_consumption):
        return _Device(name, "gpu", Tier.COUNTER, most_uw, _AMD_ERROR, gpu.get_total_energy_consumption)
    for power in (gpu.get_instant_power_usage, gpu.get_average_power_usage):
        if _asked(power) is not None:
            tier, error = Tier.POWER_INTEGRATED, PowerIntegral().gain_error
            return _Device(name, "gpu", tier, most_uw, error, power, integrates=True)
    return None


def _chip(facade: Any) -> list[_Device]:
    chip = _asked(facade.get_soc)
    if chip is not None and _is(chip, "AppleSilicon"):
        return _parts(chip, "apple", _APPLE_FIELDS, Tier.COUNTER, _APPLE_ERROR)
    if chip is not None and _is(chip, "Jetson"):
        rails = _parts(chip, "jetson", _JETSON_RAILS, Tier.POWER_INTEGRATED, CLOSE_ERROR)
        if len(rails) == len(_JETSON_RAILS):
            return rails
        # Part of the board would be missing, and the whole and a part of it must never be added.
        return _parts(chip, "jetson", _JETSON_BOARD, Tier.POWER_INTEGRATED, CLOSE_ERROR) or rails
    return []


def _parts(
    chip: Any,
    maker: str,
    fields: tuple[tuple[str, str, SourceKind], ...],
    tier: Tier,
    error: tuple[float, float],
) -> list[_Device]:
    ask = chip.get_total_energy_consumption
    if "timeout" in inspect.signature(ask).parameters:
        ask = partial(ask, timeout=_TIMEOUT_S)
    measured = _asked(ask)
    return [
        _Device(f"zeus:{maker}:{part}", kind, tier, _GENEROUS_CHIP_UW, error, partial(_field, ask, field))
        for part, field, kind in fields
        if getattr(measured, field, None) is not None
    ]


def _field(ask: Callable[[], Any], field: str) -> float:
    return float(getattr(ask(), field))
