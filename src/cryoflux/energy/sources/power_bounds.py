"""The most power that a RAPL zone can draw: what it states, as far as that can be, and what nobody exceeds.

A zone states its power limits in files of its own. They may be raised while the meter runs, so they are
read again: every ten seconds, and at once where the counter does something odd. And they may be nonsense:
firmware writes the largest number that fits for "no limit". So a limit is believed up to what a package of
its kind can draw: twice the upper end of what `energy.sources.tdp` knows of its model, family or threads (a
desktop's PL2 is twice its TDP: 253 W for the 125 W of an i9-13900K), and 255 W in any case, since a laptop's
is more than twice. A limit above that says nothing: the plausible power itself is the bound, as where no
limit is stated. Where the counter exceeds its bound all the same, the bound is wrong and not the counter: up
to `CEILING_W` what it shows is possible (`energy.window`).
"""

from __future__ import annotations

__all__ = [
    "CEILING_W",
    "PlausiblePower",
    "StatedLimit",
    "ZoneKind",
    "bound_uw",
    "plausible_power",
]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryoflux.energy.clock import BILLION
from cryoflux.energy.sources.tdp import find_tdp
from cryoflux.quantities import MICRO

ZoneKind = Literal["package", "dram", "psys"]
CEILING_W: Mapping[ZoneKind, int] = {"package": 1500, "dram": 500, "psys": 4000}
"""Above any socket, its memory, and any platform of today."""
_HEADROOM = 2
"""Limits are averages over a window; short peaks go above them."""
_OVER_TDP = 2
_ANY_PACKAGE_W = 255
_PLATFORM = 2
"""of the power of its packages: memory, board, and what hangs on it"""
_LOOK_EVERY_NS = 10 * BILLION


@dataclass(frozen=True, slots=True)
class PlausiblePower:
    """What zones of this machine can draw at most."""

    package_w: float = CEILING_W["package"]
    psys_w: float = CEILING_W["psys"]

    def uw(self, kind: ZoneKind) -> int:
        """Of one zone, µW."""
        watts = {"package": self.package_w, "psys": self.psys_w, "dram": CEILING_W["dram"]}[kind]
        return round(min(watts, CEILING_W[kind]) * MICRO)

    def believes(self, kind: ZoneKind, limit_uw: int) -> bool:
        """Whether a stated limit can be one."""
        return 0 < limit_uw <= self.uw(kind)


def plausible_power(cpuinfo: str) -> PlausiblePower:
    """By the kernel's description of the CPUs; where it tells nothing, what no zone exceeds."""
    blocks = [dict(_fields(block)) for block in cpuinfo.split("\n\n") if block.strip()]
    threads = len([block for block in blocks if "processor" in block])
    if not threads:
        return PlausiblePower()
    siblings = blocks[0].get("siblings", "")
    in_package = int(siblings) if siblings.isdigit() and int(siblings) else threads
    tdp = find_tdp(cpuinfo, in_package)
    package_w = max(_ANY_PACKAGE_W, tdp.watts * tdp.error[1] * _OVER_TDP)
    packages = max(1, -(-threads // in_package))
    return PlausiblePower(package_w, package_w * packages * _PLATFORM)


def _fields(block: str) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in block.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in lines]


def bound_uw(kind: ZoneKind, limit_uw: int, plausible: PlausiblePower) -> int:
    """The most that a zone can draw by what it states, µW."""
    if plausible.believes(kind, limit_uw):
        return limit_uw * _HEADROOM
    return plausible.uw(kind)


class StatedLimit:
    """The largest of the limits that a powercap zone states, read again from time to time.

    Args:
        zone: its folder.
    """

    def __init__(self, zone: Path) -> None:
        self._known_uw = dict.fromkeys(zone.glob("constraint_*_uw"), 0)
        self._looked_ns: int | None = None

    @property
    def uw(self) -> int:
        """As it was read last, µW; 0 where the zone states none."""
        return max(self._known_uw.values(), default=0)

    def look(self, now_ns: int, *, at_once: bool) -> bool:
        """Read it again where it is time to; whether it was read."""
        due = self._looked_ns is None or now_ns - self._looked_ns >= _LOOK_EVERY_NS
        if not due and not at_once:
            return False
        self._looked_ns = now_ns
        for path in self._known_uw:
            try:
                self._known_uw[path] = int(path.read_text("ascii"))
            except (OSError, ValueError):
                continue  # what it stated before is the best that is known
        return True
