"""RAPL energy counters through Linux powercap.

Read are the package zones and, where a package exposes it, its dram zone. A package already includes its
core and uncore zones; psys spans packages; the mmio driver mirrors the msr one. None of these is
added again. A zone that may not be read is named, and the others are used.
"""

from __future__ import annotations

__all__ = ["RaplSource", "find_rapl"]

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Kind, Problem, Reading
from cryoflux.quantities import MICRO, Tier

_GENEROUS_W = {"cpu": 1500, "dram": 500}
"""Bounds where the zone states no limit: above any socket, and any socket's memory, of today."""
_HEADROOM = 2
"""Limits are averages over a window; short peaks go above them."""
_RESOLUTION_UJ = 61
"""One step of the usual energy unit, 2⁻¹⁴ J."""


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


class RaplSource:
    """One powercap zone."""

    tier = Tier.COUNTER
    curve = ""
    gain_error = (0.95, 1.05)
    poll_s = 1.0
    resolution_uj = _RESOLUTION_UJ
    idle_uw: int | None = None

    def __init__(self, zone: Path, name: str, kind: Kind, clock: Clock) -> None:
        self.name = name
        self.kind: Kind = kind
        self._path = zone / "energy_uj"
        self._clock = clock
        self.range_uj = _number(zone / "max_energy_range_uj")
        limits = [_number(path) or 0 for path in zone.glob("constraint_*_uw")]
        floor_uw = _GENEROUS_W["cpu" if kind == "cpu" else "dram"] * MICRO
        self.stated_uw = max(limits, default=0) * _HEADROOM
        """what the zone itself bounds its power by; 0 where it does not"""
        self.max_power_uw = self.stated_uw or floor_uw

    def read(self) -> Reading:
        """The counter now; none when it cannot be read."""
        energy_uj = _number(self._path)
        if energy_uj is not None and energy_uj < 0:
            energy_uj = None
        return Reading(energy_uj, self._clock.monotonic_ns(), self._clock.epoch())

    def close(self) -> None:
        """Nothing is held open."""


def _label(zone: Path) -> str:
    try:
        return (zone / "name").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _zones(root: Path) -> list[Path]:
    found = {zone.name: zone for pattern in ("*", "*/*") for zone in root.glob(pattern) if ":" in zone.name}
    # msr zones before their mmio mirrors, so that the mirror is the one left out
    return sorted(found.values(), key=lambda zone: (zone.name.startswith("intel-rapl-mmio"), zone.name))


def _wanted(root: Path) -> Iterator[tuple[Path, str, Kind]]:
    zones = _zones(root)
    packages = {zone.name: _label(zone) for zone in zones if _label(zone).startswith("package")}
    seen: set[str] = set()
    for zone in zones:
        label = _label(zone)
        package = packages.get(zone.name.rpartition(":")[0], "")
        kind: Kind = "cpu" if zone.name in packages else "dram"
        name = f"rapl:{label}" if kind == "cpu" else f"rapl:{package}:dram"
        if (kind == "cpu" or (label == "dram" and package)) and name not in seen:
            seen.add(name)
            yield zone, name, kind


def find_rapl(root: str, clock: Clock) -> tuple[list[RaplSource], list[Problem]]:
    """The readable zones, and why others are not used."""
    folder = Path(root)
    if not folder.is_dir():
        return [], [Problem("rapl", f"{root} does not exist", "no-powercap")]
    sources: list[RaplSource] = []
    unread: list[tuple[RaplSource, Problem]] = []
    for zone, name, kind in _wanted(folder):
        source = RaplSource(zone, name, kind, clock)
        if source.read().energy_uj is None:
            reason = f"{zone / 'energy_uj'} cannot be read"
            unread.append((source, Problem(name, reason, "unreadable-zone")))
        else:
            sources.append(source)
    if not sources and not unread:
        return [], [Problem("rapl", f"{root} has no package zone", "no-powercap")]
    if not any(source.kind == "cpu" for source in sources):
        # Memory without its package is not the CPU's energy: the model is more honest, and covers it all.
        return [], [problem for _, problem in unread]
    # A zone that does not state its limit is taken for one like the largest that can be read.
    largest_uw = max(source.max_power_uw for source in sources)
    return sources, [
        replace(problem, max_power_uw=source.stated_uw or largest_uw) for source, problem in unread
    ]
