"""Joules, nats and their intervals: the value types that every stage shares.

Inside, energy is integer microjoules and loss is integer nano-nats, so that sums are exact and
two machines agree to the last digit. Floats appear only where a number is shown to a person.
"""

from __future__ import annotations

__all__ = [
    "MICRO",
    "MRR",
    "NANO",
    "NATS",
    "SO_FAR",
    "Energy",
    "RangeKind",
    "Tier",
    "counted",
    "efficiency",
    "efficiency_name",
    "format_efficiency",
    "format_energy",
    "format_nats",
    "format_watt_hours",
    "hit_words",
    "named_ranges",
    "parse_duration",
    "parse_energy",
    "utc_label",
    "worst_tier",
]

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from enum import StrEnum
from functools import reduce
from typing import Any

from cryoflux.errors import UsageError

MICRO = 1_000_000
"""Microjoules in a joule."""
NANO = 1_000_000_000
"""Nano-nats in a nat, and nanoseconds in a second."""

NATS = "nats"
"""The unit of a cross-entropy, where no other is named."""

SO_FAR = "so-far"
"""flag of a figure: what a meter said while it went on metering; it is no last word"""

MRR = "MRR"
"""The unit of an index's losses: 1 − the mean reciprocal rank of what is asked for among the first ten."""


def counted(count: int, one: str, many: str = "") -> str:
    """``1 attempt``, ``2 attempts``; ``many`` where a plural is not made by an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def hit_words(unit: str) -> str:
    """What the share of examples that are right is called beside losses in a unit."""
    return "recall@10" if unit == MRR else "accuracy"


_JOULES_PER_UNIT = {
    "uJ": Decimal("1e-6"),
    "µJ": Decimal("1e-6"),
    "mJ": Decimal("1e-3"),
    "J": Decimal(1),
    "kJ": Decimal(1000),
    "MJ": Decimal(1_000_000),
    "Wh": Decimal(3600),
    "kWh": Decimal(3_600_000),
}
_SECONDS_PER_UNIT = {"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86_400)}
_QUANTITY = re.compile(r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµ]+)\s*")
_LARGEST_UJ = 2**53 - 1
"""9.0 GJ: the largest integer that a receipt (RFC 8785, I-JSON) can carry exactly."""


class RangeKind(StrEnum):
    """What the two ends around an energy figure say."""

    INTERVAL_95 = "interval-95"
    """they hold the truth with 95 %"""
    PLAUSIBLE = "plausible"
    """they hold what is plausible; how often the truth lies outside was never counted"""

    @property
    def words(self) -> str:
        """For a person: ``95 % interval``, ``plausible range``."""
        return "95 % interval" if self is RangeKind.INTERVAL_95 else "plausible range"


class Tier(StrEnum):
    """How an energy figure came about, best first."""

    COUNTER = "counter"
    """A hardware energy counter (RAPL, NVML total energy)."""
    POWER_INTEGRATED = "power-integrated"
    """Power readings integrated over time (NVML power)."""
    MODELLED = "modelled"
    """Computed from CPU time and a power curve; nothing measured the watts."""

    @property
    def range_kind(self) -> RangeKind:
        """Only of what was measured is it known how often the truth lies within."""
        return RangeKind.PLAUSIBLE if self is Tier.MODELLED else RangeKind.INTERVAL_95


def worst_tier(tiers: Iterable[Tier]) -> Tier:
    """The least trustworthy of some tiers; of none, ``modelled``."""
    order = list(Tier)
    return max(tiers, key=order.index, default=Tier.MODELLED)


@dataclass(frozen=True, slots=True)
class Energy:
    """A signed amount of energy between two ends, in microjoules.

    They are a 95 % interval where all of it was measured, and a plausible range where some was modelled.
    """

    uj: int
    """Best estimate, µJ."""
    lo_uj: int
    """Lower end, µJ."""
    hi_uj: int
    """Upper end, µJ."""
    tier: Tier
    """The least trustworthy tier that went into the figure."""
    flags: tuple[str, ...] = ()
    """What went wrong or is unknown, as short words, sorted."""

    def __post_init__(self) -> None:
        if not self.lo_uj <= self.uj <= self.hi_uj:
            raise ValueError(f"energy {self.uj} µJ outside its interval [{self.lo_uj}, {self.hi_uj}]")

    @classmethod
    def total(cls, parts: Iterable[Energy]) -> Energy | None:
        """The sum of independent sources: ends add, so the interval stays conservative."""
        return reduce(lambda a, b: a + b, parts) if (parts := list(parts)) else None

    def __add__(self, other: Energy) -> Energy:
        return Energy(
            self.uj + other.uj,
            self.lo_uj + other.lo_uj,
            self.hi_uj + other.hi_uj,
            worst_tier((self.tier, other.tier)),
            tuple(sorted({*self.flags, *other.flags})),
        )

    def beside(self, part: Energy) -> Energy:
        """What of it was not that part of it, signed; the two add up to the whole to the microjoule.

        Whole and part err together, by the same counter and the same baseline: only by how much more one of
        them may be off than the other is what is left uncertain.
        """
        uj = self.uj - part.uj
        below_uj = abs((self.uj - self.lo_uj) - (part.uj - part.lo_uj))
        above_uj = abs((self.hi_uj - self.uj) - (part.hi_uj - part.uj))
        return Energy(uj, uj - below_uj, uj + above_uj, self.tier, self.flags)

    @property
    def joules(self) -> float:
        """Best estimate in joules, for display."""
        return self.uj / MICRO

    @property
    def text(self) -> str:
        """With both ends, and what they are: ``12.3 J [11.7, 12.9] (counter, 95 % interval)``."""
        ends = f"[{self.lo_uj / MICRO:.1f}, {self.hi_uj / MICRO:.1f}]"
        return f"{self.uj / MICRO:.1f} J {ends} ({self.tier}, {self.range_kind.words})"

    @property
    def range_kind(self) -> RangeKind:
        """What the two ends say."""
        return self.tier.range_kind


def named_ranges(document: Any) -> Any:
    """Plain values in which each energy, told by its ends and its tier, says of what kind its range is."""
    if isinstance(document, list | tuple):
        return [named_ranges(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    named = {key: named_ranges(value) for key, value in document.items()}
    if {"lo_uj", "hi_uj", "tier"} <= named.keys():
        named["range_kind"] = Tier(named["tier"]).range_kind.value
    return named


def _parse(text: str, units: dict[str, Decimal], kind: str, example: str) -> Decimal:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise UsageError(
            f"{text!r} is not {kind}.",
            why=f"A number and a unit are needed; the units are {', '.join(units)}.",
            hint=f"Write it as in {example}.",
        )
    try:
        return Decimal(match[1].replace("_", "")) * units[match[2]]
    except DecimalException as error:
        why = "Its number is beyond all reckoning."
        raise UsageError(f"{text!r} is not {kind}.", why=why, hint=f"Write it as in {example}.") from error


def parse_energy(text: str) -> int:
    """Microjoules of a text such as ``2kJ`` or ``0.002kWh``.

    Raises:
        UsageError: no unit, an unknown unit, not a positive number, or more than 9.0 GJ.
    """
    joules = _parse(text, _JOULES_PER_UNIT, "an amount of energy", "2kJ, 500J or 0.002kWh")
    uj = int(min(joules, Decimal(_LARGEST_UJ)) * MICRO)
    if not 0 < uj <= _LARGEST_UJ:
        raise UsageError(
            f"{text!r} is outside what can be budgeted.",
            why="An amount of energy lies above zero and up to 9 GJ.",
            hint="Write it as in 2kJ, 500J or 0.002kWh.",
        )
    return uj


def parse_duration(text: str) -> float:
    """Seconds of a text such as ``30m``.

    Raises:
        UsageError: no unit, an unknown unit, or not a positive number.
    """
    seconds = float(_parse(text, _SECONDS_PER_UNIT, "a duration", "90s, 30m or 2h"))
    if not 0 < seconds <= 1e9:
        raise UsageError(f"{text!r} is not a usable duration.", hint="Write it as in 90s, 30m or 2h.")
    return seconds


def utc_label(time_s: float) -> str:
    """POSIX seconds as entries and commands write a time: ``2026-11-25T01:00:00Z``."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_energy(uj: int) -> str:
    """A figure with the unit that keeps it readable: ``118.4 J``, ``2.00 kJ``."""
    joules = uj / MICRO
    magnitude = abs(joules)
    if magnitude >= MICRO:
        return f"{joules / MICRO:.2f} MJ"
    if magnitude >= 1000:
        return f"{joules / 1000:.2f} kJ"
    return f"{joules:.1f} J"


def format_watt_hours(uj: int) -> str:
    """A figure in the unit of a bill that keeps it readable, three digits: ``28.1 mWh``, ``1.36 kWh``."""
    hours = uj / MICRO / 3600
    for size, unit in ((1_000_000, "MWh"), (1000, "kWh"), (1, "Wh")):
        if abs(hours) >= size:
            return f"{Decimal(f'{hours / size:.3g}'):f} {unit}"
    return f"{Decimal(f'{1000 * hours:.3g}'):f} mWh"


def efficiency(delta: float, uj: int) -> float | None:
    """η, the change of a loss per kilojoule: in nats, nats/kJ; none where no energy was charged."""
    return 1000 * delta * MICRO / uj if uj > 0 else None


def efficiency_name(name: str, unit: str | None) -> str:
    """What η is called in a document; a loss that is not in nats has its unit beside it."""
    return f"{name}_nats_per_kj" if unit in {NATS, None} else f"{name}_per_kj"


def format_efficiency(delta: float, uj: int, unit: str = NATS) -> str:
    """η as a person reads it: ``η +0.487 nats/kJ``."""
    eta = efficiency(delta, uj)
    return "η unknown" if eta is None else f"η {eta:+.3f} {unit}/kJ"


def format_nats(nats: float) -> str:
    """A loss or Δ in nats with its sign and four decimals."""
    return f"{nats:+.4f}"
