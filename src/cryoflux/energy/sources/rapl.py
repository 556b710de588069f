"""RAPL energy counters through Linux powercap.

Read are the package zones and, where a package exposes it, its dram zone. A package already includes its
core and uncore zones; psys spans packages; the mmio driver mirrors the msr one, and a die may mirror its
package. None of these is added again. A dram zone beside the packages is memory of its own. Asked for, or
where no package may be read, psys is counted once in the place of all of them. A zone that may not be read,
or whose count stands still, is named, and the others are used.
"""

from __future__ import annotations

__all__ = ["RAPL_RESOLUTION_UJ", "RaplSource", "RaplZones", "find_rapl"]

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.power_bounds import (
    CEILING_W,
    PlausiblePower,
    StatedLimit,
    ZoneKind,
    bound_uw,
)
from cryoflux.energy.sources.still_counter import WATCHED_S, standing_still
from cryoflux.quantities import MICRO, Tier

RaplZones = Literal["package", "psys"]
RAPL_RESOLUTION_UJ = 61
"""One step of the usual energy unit, 2⁻¹⁴ J."""
_UPDATE_NS = 2_000_000
"""Counters move about every millisecond."""
_DEPTH = 3
"""control type / package / its zones"""
_MEMORY = re.compile(r"dram(-\d+)?")


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
    what: ZoneKind


class RaplSource:
    """One powercap zone.

    Args:
        zone: its folder.
        name: what it is called here.
        what: which part of the machine it counts.
        clock: the time.
        plausible: a limit that is stated above it is none.
    """

    tier = Tier.COUNTER
    curve = ""
    gain_error = (0.95, 1.05)
    poll_s = 1.0
    update_s = 0.0
    resolution_uj = RAPL_RESOLUTION_UJ
    idle_uw: int | None = None

    def __init__(
        self, zone: Path, name: str, what: ZoneKind, clock: Clock, plausible: PlausiblePower
    ) -> None:
        self.name = name
        self.kind: SourceKind = "dram" if what == "dram" else "cpu"
        self._what = what
        self._file = CounterFile(str(zone / "energy_uj"))
        self._clock = clock
        self._plausible = plausible
        self.range_uj = _number(zone / "max_energy_range_uj")
        self.ceiling_uw = CEILING_W[what] * MICRO
        """what no zone of its kind draws, whatever it states"""
        self._limit = StatedLimit(zone)
        self.max_power_uw = 0
        """by the limit that was read last"""
        self._look_at_limit(clock.monotonic_ns(), at_once=True)
        self._last = Reading(None, clock.monotonic_ns(), "")

    @property
    def states_limit(self) -> bool:
        """Whether the zone itself bounds its power, and can be believed."""
        return self._plausible.believes(self._what, self._limit.uw)

    def read(self) -> Reading:
        """The counter now; none when it cannot be read."""
        text = self._file.read()
        now_ns = self._clock.monotonic_ns()
        energy_uj = int(text) if text and text.strip().isdigit() else None
        self._look_at_limit(now_ns, at_once=self._is_odd(energy_uj, now_ns))
        self._last = Reading(energy_uj, now_ns, f"{self._clock.epoch()}/{self._file.instance}")
        return self._last

    def _look_at_limit(self, now_ns: int, *, at_once: bool) -> None:
        if self._limit.look(now_ns, at_once=at_once):
            self.max_power_uw = bound_uw(self._what, self._limit.uw, self._plausible)

    def _is_odd(self, energy_uj: int | None, now_ns: int) -> bool:
        """Whether the limit matters for what has flowed since the last read."""
        before_uj, elapsed_ns = self._last.energy_uj, now_ns - self._last.monotonic_ns
        if energy_uj is None or before_uj is None or energy_uj < before_uj:
            return True
        if energy_uj == before_uj:
            return elapsed_ns >= BILLION // 2
        return energy_uj - before_uj > self.max_power_uw * elapsed_ns // BILLION

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
    if _MEMORY.fullmatch(label):
        if package:
            return _Zone(zone, f"rapl:{package}:{label}", "dram")
        # Inside another zone it is a part of what is counted already.
        return _Zone(zone, f"rapl:{label}", "dram") if _is_top(zone) else None
    return None


def _is_top(zone: Path) -> bool:
    return zone.name.count(":") == 1


def _mirrored(zone: _Zone, known: list[_Zone], first: dict[str, Reading], power_uw: int) -> bool:
    """Whether an earlier zone of the same package shows the same counter.

    Some processors of several dies show that of the whole package for each. Counters that run on their own
    are many joules apart; a mirror is read within what flows between two reads.
    """
    for other in known[: known.index(zone)]:
        a, b = first[other.name], first[zone.name]
        if not _may_mirror(other, zone) or not a.energy_uj or not b.energy_uj:
            continue
        between_ns = b.monotonic_ns - a.monotonic_ns + _UPDATE_NS
        if abs(b.energy_uj - a.energy_uj) <= power_uw * between_ns // BILLION + RAPL_RESOLUTION_UJ:
            return True
    return False


def _may_mirror(one: _Zone, other: _Zone) -> bool:
    """Whether both may be dies of one package, or memory that is shown inside its package and beside it."""
    if one.what == other.what == "dram" and _is_top(one.path) != _is_top(other.path):
        return True
    names = {zone.name.partition("-die-")[0].partition("@")[0] for zone in (one, other)}
    return one.what == other.what and len(names) == 1


def _choose(known: list[_Zone], readable: set[str], wanted: RaplZones) -> RaplZones:
    has_package = any(zone.what == "package" and zone.name in readable for zone in known)
    if "rapl:psys" in readable and (wanted == "psys" or not has_package):
        return "psys"
    return "package"


def find_rapl(
    root: str,
    clock: Clock,
    *,
    zones: RaplZones = "package",
    plausible: PlausiblePower | None = None,
) -> tuple[list[RaplSource], list[Problem]]:
    """The zones that can be read and do count, and why others are not used.

    Args:
        root: the powercap folder, of the class or of the devices.
        clock: the time.
        zones: ``package`` counts packages and their memory; ``psys`` the platform in their place.
        plausible: a limit that a zone states above it is none; by default, what no zone exceeds.
    """
    folder = Path(root)
    if not folder.is_dir():
        return [], [Problem("rapl", f"{root} does not exist", "no-powercap")]
    known = _known(folder)
    could = plausible or PlausiblePower()
    sources = {zone.name: RaplSource(zone.path, zone.name, zone.what, clock, could) for zone in known}
    first = {name: source.read() for name, source in sources.items()}
    readable = {name for name, reading in first.items() if reading.energy_uj is not None}
    known = [zone for zone in known if not _mirrored(zone, known, first, sources[zone.name].max_power_uw)]
    still: frozenset[str] = frozenset()
    while True:
        chosen, counted, used = _use(known, sources, readable - still, zones)
        found = standing_still(used, first, clock)
        still |= found
        if not found:
            break
    for source in sources.values():
        if source not in used:
            source.close()
    problems = _psys_problems(known, chosen, zones, still)
    problems += [_missed(zone, sources, used, still) for zone in counted if zone.name not in readable - still]
    problems += [_wraps_unknown(source) for source in used if source.range_uj is None]
    if not known:
        problems.append(Problem("rapl", f"{root} has no package zone", "no-powercap"))
    return used, problems


def _use(
    known: list[_Zone], sources: dict[str, RaplSource], good: set[str], wanted: RaplZones
) -> tuple[RaplZones, list[_Zone], list[RaplSource]]:
    """What is counted, the zones that make it up, and the sources of those that do count."""
    chosen = _choose(known, good, wanted)
    counted = [zone for zone in known if (zone.what == "psys") == (chosen == "psys")] or known
    used = [sources[zone.name] for zone in counted if zone.name in good]
    # Memory without its package is not the CPU's energy: the model is more honest, and covers it all.
    return chosen, counted, used if any(source.kind == "cpu" for source in used) else []


def _missed(
    zone: _Zone, sources: dict[str, RaplSource], used: list[RaplSource], still: frozenset[str]
) -> Problem:
    # A zone that does not state its limit is taken for one like the largest that can be read.
    largest_uw = max((source.max_power_uw for source in used), default=0)
    source = sources[zone.name]
    power_uw = (source.max_power_uw if source.states_limit else largest_uw) if used else 0
    return replace(_uncounted(zone, still), max_power_uw=power_uw)


def _uncounted(zone: _Zone, still: frozenset[str]) -> Problem:
    file = zone.path / "energy_uj"
    if zone.name in still:
        reason = f"{file} stood still for {WATCHED_S:.0f} s, in which a real counter moves a thousand times"
        return Problem(zone.name, reason, "still-counter")
    return Problem(zone.name, f"{file} cannot be read", "unreadable-zone")


def _wraps_unknown(source: RaplSource) -> Problem:
    reason = "max_energy_range_uj cannot be read: when the counter wraps, that is taken for a reset"
    return Problem(source.name, reason, "no-counter-range")


def _psys_problems(
    known: list[_Zone], chosen: RaplZones, wanted: RaplZones, still: frozenset[str]
) -> list[Problem]:
    if chosen == "psys" and wanted == "package":
        covered = [zone for zone in known if zone.what == "package"]
        return [
            replace(_uncounted(zone, still), code="covered-counter" if zone.name in still else "covered-zone")
            for zone in covered
        ]
    if chosen == "package" and wanted == "psys":
        unread = "stands still" if "rapl:psys" in still else "cannot be read"
        there = any(zone.what == "psys" for zone in known)
        reason = f"the platform zone {unread}" if there else "this machine has no platform zone"
        return [Problem("rapl:psys", f"{reason}: packages are counted", "no-psys")]
    return []
