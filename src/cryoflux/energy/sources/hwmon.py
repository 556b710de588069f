"""Sensors of a board's own, through Linux hwmon: of the CPUs, or of the whole board.

What a chip measures is told by its name and by the label of the channel; what is not in the table here is
something else (a GPU, a battery, a fan) and is not read:

- CPUs: `amd_energy` counts a socket's energy; `zenpower`, `fam15h_power` and `apm_xgene` tell its power.
- Boards: an ACPI `power_meter` tells what the whole machine draws, mostly averaged over a second or more.
- TI's INA sensors measure the rail that their label names: the input of the board, as on Jetson boards, else
  what feeds the CPUs. Some tell voltage and current only.

Sensors of the CPUs are taken before one of the board, except on boards whose input is measured, where the
CPUs' rail is the lesser part. A board's power contains its GPUs': where a GPU is counted by itself, the
board is not. What other meters say in the same watts is never added.
"""

from __future__ import annotations

__all__ = ["HwmonSource", "find_hwmon"]

import os
import re
from collections import Counter as Tally
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.integral import PowerIntegral
from cryoflux.quantities import MICRO, Tier

_What = Literal["cpu", "board", "input", "unknown"]
_INA = re.compile(r"ina(2xx|2\d\d|3221)$")
_INPUT_RAILS = {"VDD_IN", "POM_5V_IN", "5V_IN"}
"""what NVIDIA calls the input of a Jetson module"""
_CPU_RAIL = re.compile(r"(^|_)CPU(_|$)", re.IGNORECASE)
_CPU_LABELS = {
    "zenpower": re.compile(r"SVI2_P_(Core|SoC)"),
    "fam15h_power": re.compile(r""),
    "apm_xgene": re.compile(r"(CPU|IO) power"),
}
_COUNTERS = {"amd_energy", "zenergy"}
_GENEROUS_W: dict[_What, int] = {"cpu": 1500, "board": 4000, "input": 500, "unknown": 0}
"""more than any socket, machine or board of that kind draws"""
_RESOLUTION_UJ = 16
"""One step of AMD's energy unit, 2⁻¹⁶ J."""
_COUNTER_ERROR = (0.95, 1.05)
_ROUGH_ERROR = (0.75, 1.3)
"""A telltale of the voltage regulator, which each board scales in its own way."""
_ROUGH = {"zenpower", "fam15h_power"}
_POLL_S, _SLOWEST_POLL_S = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class _Channel:
    """One thing that a chip measures."""

    name: str
    """``hwmon:zenpower:SVI2_P_Core``"""
    chip: str
    what: _What
    files: tuple[Path, ...]
    """of power or energy; of current and voltage, whose product is the power"""
    counts: bool = False
    """energy, µJ; else power, µW"""
    averaged_s: float = 0.0
    """the power is averaged over so long; 0 where it is of an instant"""


class HwmonSource:
    """One channel: a counter of energy, or a power that is integrated here.

    Args:
        channel: what is measured, and where.
        clock: the time.
    """

    kind: SourceKind = "cpu"
    curve = ""
    range_uj: int | None = None
    idle_uw: int | None = None

    def __init__(self, channel: _Channel, clock: Clock) -> None:
        self.name = channel.name
        self._channel = channel
        self._clock = clock
        self._files = [CounterFile(str(path)) for path in channel.files]
        close_ns = round(channel.averaged_s * BILLION)
        self._integral = PowerIntegral(close_ns=close_ns) if close_ns else PowerIntegral()
        self._outages = 0
        self.tier = Tier.COUNTER if channel.counts else Tier.POWER_INTEGRATED
        self.max_power_uw = _GENEROUS_W[channel.what] * MICRO
        self.resolution_uj = _RESOLUTION_UJ if channel.counts else 0
        self.update_s = _POLL_S if channel.counts else max(_POLL_S, channel.averaged_s)
        often_s = min(_SLOWEST_POLL_S, max(_POLL_S, channel.averaged_s / 2))
        self.poll_s = _SLOWEST_POLL_S if channel.counts else often_s
        self.gain_error = _COUNTER_ERROR if channel.counts else self._error()

    def _error(self) -> tuple[float, float]:
        low, high = self._integral.gain_error
        rough_low, rough_high = _ROUGH_ERROR if self._channel.chip in _ROUGH else (1.0, 1.0)
        return min(low, rough_low), max(high, rough_high)

    @property
    def holds_gpus(self) -> bool:
        """Whether the power of GPUs would be in what it measures."""
        return self._channel.what != "cpu" or "GPU" in self.name

    def read(self) -> Reading:
        """Energy now; none where the sensor cannot be read."""
        value = self._value()
        now_ns = self._clock.monotonic_ns()
        instances = "/".join(file.instance for file in self._files)
        if not self._channel.counts:
            value = self._integrated(value, now_ns)
            instances += f"/{self._integral.gaps}/{self._outages}"
        return Reading(value, now_ns, f"{self._clock.epoch()}/{instances}")

    def _value(self) -> int | None:
        numbers = [_number(file.read()) for file in self._files]
        if any(number is None for number in numbers):
            return None
        product = 1
        for number in numbers:
            product *= max(0, number or 0)  # mA × mV is µW
        return product

    def _integrated(self, power_uw: int | None, now_ns: int) -> int | None:
        if power_uw is None:
            # What flows until the next good read is in no sum: that is a new epoch.
            self._integral.interrupt()
            self._outages += 1
            return None
        self._integral.add(power_uw, now_ns)
        self.gain_error = self._error()
        return self._integral.total_uj

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Let go of the descriptors."""
        for file in self._files:
            file.close()


def _number(text: bytes | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def find_hwmon(root: str, clock: Clock, *, gpus: bool) -> tuple[list[HwmonSource], list[Problem]]:
    """The best sensors for the CPUs, and why others are not used.

    Args:
        root: where the kernel shows its hwmon devices.
        clock: the time.
        gpus: whether GPUs are counted by themselves, so that what contains them must not be counted.
    """
    channels = _channels(Path(root))
    chosen, problems = _choose(channels, gpus=gpus)
    used = []
    for channel in chosen:
        source = HwmonSource(channel, clock)
        if source.read().energy_uj is None:
            source.close()
            reason = f"{channel.files[0]} cannot be read"
            problems.append(Problem(channel.name, reason, "hwmon-unreadable", file=str(channel.files[0])))
        else:
            used.append(source)
    if len(used) < len(chosen) and any(channel.what == "cpu" for channel in chosen):
        # A socket of two, or the cores without the rest, is not the CPUs' energy: the model covers it all.
        for source in used:
            source.close()
        used = []
    return used, problems


def _choose(channels: list[_Channel], *, gpus: bool) -> tuple[list[_Channel], list[Problem]]:
    by: dict[_What, list[_Channel]] = {"cpu": [], "board": [], "input": [], "unknown": []}
    for channel in channels:
        by[channel.what].append(channel)
    shared = [channel for channel in by["cpu"] if gpus and "GPU" in channel.name]
    cpu = [channel for channel in by["cpu"] if channel not in shared]
    cpu = [channel for channel in cpu if channel.counts] or cpu
    whole = by["input"] or ([] if cpu else by["board"])
    if gpus:
        reason = "it contains the power of the GPUs, which are counted by themselves"
        return cpu, [Problem(channel.name, reason, "board-with-gpu") for channel in (*whole, *shared)]
    if len(whole) > 1:
        reason = "the machine has several of them, and it is not known whether they add up"
        return cpu, [Problem(channel.name, reason, "several-boards") for channel in whole]
    if whole or cpu:
        return whole or cpu, []
    reason = "it is not known what this rail feeds"
    return [], [Problem(channel.name, reason, "hwmon-unknown-rail") for channel in by["unknown"]]


def _channels(root: Path) -> list[_Channel]:
    """All channels that the table knows, named alike from boot to boot."""
    try:
        folders = sorted(
            map(Path, os.scandir(root)), key=lambda path: (os.path.realpath(path / "device"), path)
        )
    except OSError:
        return []
    seen: Tally[str] = Tally()
    found: list[_Channel] = []
    for folder in folders:
        # Drivers of old register their files with the device, and newer ones with hwmon.
        where = next((place for place in (folder, folder / "device") if _text(place / "name")), folder)
        chip = _text(where / "name")
        known = _of_chip(chip, where, f"hwmon:{chip}-{seen[chip]}" if seen[chip] else f"hwmon:{chip}")
        seen[chip] += bool(known)
        found += known
    return found


def _of_chip(chip: str, where: Path, name: str) -> list[_Channel]:
    if chip in _COUNTERS:
        files = sorted(where.glob("energy*_input"))
        labelled = [(_label(where, path, "energy"), path) for path in files]
        return [
            _Channel(f"{name}:{label}", chip, "cpu", (path,), counts=True)
            for label, path in labelled
            if label.startswith("Esocket")
        ]
    if chip == "power_meter":
        return _of_meter(chip, where, name)
    if chip in _CPU_LABELS:
        labelled = [(_label(where, path, "power"), path) for path in sorted(where.glob("power*_input"))]
        return [
            _Channel(f"{name}:{label}", chip, "cpu", (path,))
            for label, path in labelled
            if _CPU_LABELS[chip].match(label)
        ]
    return _of_rails(chip, where, name) if _INA.match(chip) else []


def _label(where: Path, path: Path, kind: str) -> str:
    number = path.name.removeprefix(kind).partition("_")[0]
    return _text(where / f"{kind}{number}_label") or _text(where / f"in{number}_label") or path.name


def _of_meter(chip: str, where: Path, name: str) -> list[_Channel]:
    path = where / "power1_average"
    if not path.exists() or _text(where / "power1_is_battery") == "1":
        return []
    averaged_ms = _number(_text(where / "power1_average_interval").encode()) or 0
    return [_Channel(name, chip, "board", (path,), averaged_s=averaged_ms / 1000)]


def _of_rails(chip: str, where: Path, name: str) -> list[_Channel]:
    found = []
    for current in sorted(where.glob("curr*_input")):
        number = current.name.removeprefix("curr").partition("_")[0]
        power, voltage = where / f"power{number}_input", where / f"in{number}_input"
        files = (power,) if power.exists() else (current, voltage)
        names = (f"in{number}_label", f"power{number}_label", f"curr{number}_label", "label")
        label = next((text for text in (_text(where / each) for each in names) if text), "")
        if all(path.exists() for path in files):
            found.append(_Channel(f"{name}:{label or current.name}", chip, _rail(label), files))
    return found


def _rail(label: str) -> _What:
    if label.upper() in _INPUT_RAILS:
        return "input"
    return "cpu" if _CPU_RAIL.search(label) else "unknown"
