"""RAPL energy counters through Linux powercap.

Read are the package zones and, where a package exposes it, its dram zone. A package already includes its
core and uncore zones; psys spans packages; the mmio driver mirrors the msr one, and a die may mirror its
package. None of these is added again. Asked for, or where no package may be read, psys is counted once in
the place of all of them. A zone that may not be read is named, and the others are used.
"""

from __future__ import annotations

__all__ = ["RAPL_RESOLUTION_UJ", "RaplSource", "RaplZones", "find_rapl"]

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.quantities import MICRO, Tier

RaplZones = Literal["package", "psys"]
_What = Literal["package", "dram", "psys"]
RAPL_RESOLUTION_UJ = 61
"""One step of the usual energy unit, 2⁻¹⁴ J."""
_GENEROUS_W = {"package": 1500, "dram": 500, "psys": 4000}
"""Bounds where the zone states no limit: above any socket, its memory, and any platform of today."""
_HEADROOM = 2
"""Limits are averages over a window; short peaks go above them."""
_UPDATE_NS = 2_000_000
"""Counters move about every millisecond."""
_DEPTH = 3
"""control type / package / its zones"""


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _label(zone: Path) -> str:
    try:
        return (zone / "name").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@dataclass(frozen=True, slots=True)
class _Zone:
    path: Path
    name: str
    """``rapl:package-0``, ``rapl:package-0:dram``, ``rapl:psys``"""
    what: _What


class RaplSource:
    """One powercap zone.

    Args:
        zone: its folder.
        name: what it is called here.
        what: which part of the machine it counts.
        clock: the time.
    """

    tier = Tier.COUNTER
    curve = ""
    gain_error = (0.95, 1.05)
    poll_s = 1.0
    update_s = 0.0
    resolution_uj = RAPL_RESOLUTION_UJ
    idle_uw: int | None = None

    def __init__(self, zone: Path, name: str, what: _What, clock: Clock) -> None:
        self.name = name
        self.kind: SourceKind = "dram" if what == "dram" else "cpu"
        self._file = CounterFile(str(zone / "energy_uj"))
        self._clock = clock
        self.range_uj = _number(zone / "max_energy_range_uj")
        limits = [_number(path) or 0 for path in zone.glob("constraint_*_uw")]
        self.stated_uw = max(limits, default=0) * _HEADROOM
        """what the zone itself bounds its power by; 0 where it does not"""
        self.max_power_uw = self.stated_uw or _GENEROUS_W[what] * MICRO

    def read(self) -> Reading:
        """The counter now; none when it cannot be read."""
        text = self._file.read()
        now_ns = self._clock.monotonic_ns()
        energy_uj = int(text) if text and text.strip().isdigit() else None
        return Reading(energy_uj, now_ns, f"{self._clock.epoch()}/{self._file.instance}")

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()


def _zones(root: Path) -> list[Path]:
    # By hand, since the folders hold links back to their parents.
    found: dict[str, Path] = {}
    folders = [root]
    for _ in range(_DEPTH):
        inner = [Path(entry.path) for folder in folders for entry in _rapl_folders(folder)]
        for zone in inner:
            found.setdefault(zone.name, zone)
        folders = inner
    # msr zones before their mmio mirrors, so that the mirror is the one left out
    ordered = sorted(found.values(), key=lambda zone: (_is_mirror(zone), _numbers(zone)))
    return [zone for zone in ordered if ":" in zone.name]


def _rapl_folders(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(folder) if "rapl" in entry.name and entry.is_dir()]
    except OSError:
        return []


def _is_mirror(zone: Path) -> bool:
    return zone.name.startswith("intel-rapl-mmio")


def _numbers(zone: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in zone.name.split(":")]


def _known(root: Path) -> list[_Zone]:
    """The zones that could count: each package and its memory once, and psys once."""
    zones = _zones(root)
    labels = {zone.name: _label(zone) for zone in zones}
    packages = {name: label for name, label in labels.items() if label.startswith("package")}
    names: set[str] = set()
    known: list[_Zone] = []
    for zone in zones:
        found = _named(zone, labels[zone.name], packages.get(zone.name.rpartition(":")[0]))
        if found is None or (found.name in names and (_is_mirror(zone) or found.what == "psys")):
            continue
        if found.name in names:
            # Two zones of one driver are two parts of the machine, whatever they are called.
            found = replace(found, name=f"{found.name}@{zone.name}")
        names.add(found.name)
        known.append(found)
    return known


def _named(zone: Path, label: str, package: str | None) -> _Zone | None:
    if label.startswith("package"):
        return _Zone(zone, f"rapl:{label}", "package")
    if label == "psys":
        return _Zone(zone, "rapl:psys", "psys")
    if label == "dram" and package:
        return _Zone(zone, f"rapl:{package}:dram", "dram")
    return None


def _mirrored(zone: _Zone, known: list[_Zone], first: dict[str, Reading], power_uw: int) -> bool:
    """Whether an earlier zone of the same package shows the same counter.

    Some processors of several dies show that of the whole package for each. Counters that run on their own
    are many joules apart; a mirror is read within what flows between two reads.
    """
    for other in known[: known.index(zone)]:
        a, b = first[other.name], first[zone.name]
        if _package(other) != _package(zone) or not a.energy_uj or not b.energy_uj:
            continue
        between_ns = b.monotonic_ns - a.monotonic_ns + _UPDATE_NS
        if abs(b.energy_uj - a.energy_uj) <= power_uw * between_ns // BILLION + RAPL_RESOLUTION_UJ:
            return True
    return False


def _package(zone: _Zone) -> tuple[str, str]:
    """Zones that may be dies of one package, by what is counted of them."""
    return zone.what, zone.name.partition("-die-")[0].partition("@")[0]


def _choose(known: list[_Zone], readable: set[str], wanted: RaplZones) -> RaplZones:
    has_package = any(zone.what == "package" and zone.name in readable for zone in known)
    if "rapl:psys" in readable and (wanted == "psys" or not has_package):
        return "psys"
    return "package"


def find_rapl(
    root: str, clock: Clock, *, zones: RaplZones = "package"
) -> tuple[list[RaplSource], list[Problem]]:
    """The readable zones, and why others are not used.

    Args:
        root: the powercap folder, of the class or of the devices.
        clock: the time.
        zones: ``package`` counts packages and their memory; ``psys`` the platform in their place.
    """
    folder = Path(root)
    if not folder.is_dir():
        return [], [Problem("rapl", f"{root} does not exist", "no-powercap")]
    known = _known(folder)
    sources = {zone.name: RaplSource(zone.path, zone.name, zone.what, clock) for zone in known}
    first = {name: source.read() for name, source in sources.items()}
    readable = {name for name, reading in first.items() if reading.energy_uj is not None}
    known = [zone for zone in known if not _mirrored(zone, known, first, sources[zone.name].max_power_uw)]
    chosen = _choose(known, readable, zones)
    counted = [zone for zone in known if (zone.what == "psys") == (chosen == "psys")] or known
    used = [sources[zone.name] for zone in counted if zone.name in readable]
    if not any(source.kind == "cpu" for source in used):
        # Memory without its package is not the CPU's energy: the model is more honest, and covers it all.
        used = []
    for source in sources.values():
        if source not in used:
            source.close()
    problems = _psys_problems(known, chosen, zones)
    problems += [_missed(zone, sources, used) for zone in counted if zone.name not in readable]
    problems += [_wraps_unknown(source) for source in used if source.range_uj is None]
    if not known:
        problems.append(Problem("rapl", f"{root} has no package zone", "no-powercap"))
    return used, problems


def _missed(zone: _Zone, sources: dict[str, RaplSource], used: list[RaplSource]) -> Problem:
    # A zone that does not state its limit is taken for one like the largest that can be read.
    largest_uw = max((source.max_power_uw for source in used), default=0)
    power_uw = (sources[zone.name].stated_uw or largest_uw) if used else 0
    return replace(_unreadable(zone), max_power_uw=power_uw)


def _unreadable(zone: _Zone) -> Problem:
    return Problem(zone.name, f"{zone.path / 'energy_uj'} cannot be read", "unreadable-zone")


def _wraps_unknown(source: RaplSource) -> Problem:
    reason = "max_energy_range_uj cannot be read: when the counter wraps, that is taken for a reset"
    return Problem(source.name, reason, "no-counter-range")


def _psys_problems(known: list[_Zone], chosen: RaplZones, wanted: RaplZones) -> list[Problem]:
    if chosen == "psys" and wanted == "package":
        covered = [zone for zone in known if zone.what == "package"]
        return [replace(_unreadable(zone), code="covered-zone") for zone in covered]
    if chosen == "package" and wanted == "psys":
        there = any(zone.what == "psys" for zone in known)
        reason = "the platform zone cannot be read" if there else "this machine has no platform zone"
        return [Problem("rapl:psys", f"{reason}: packages are counted", "no-psys")]
    return []
