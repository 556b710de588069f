"""Scales and round values of axes."""

from __future__ import annotations

__all__ = ["LogScale", "decades", "short_number"]

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis between two positive ends."""

    low: float
    high: float

    @classmethod
    def around(cls, low: float, high: float, *, air: float = 1.25) -> LogScale:
        """An axis that holds two positive values with some air around them; it spans a factor of 4."""
        low, high = min(low, high) / air, max(low, high) * air
        if high / low < 4:
            middle = math.sqrt(low * high)
            low, high = middle / 2, middle * 2
        return cls(low, high)

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; ends hold what lies beyond."""
        if value <= self.low:
            return 0.0
        place = math.log(value / self.low) / math.log(self.high / self.low)
        return min(1.0, place)


def decades(scale: LogScale, most: int = 6) -> list[float]:
    """Round values on a logarithmic axis, rising: 1, 2 and 5 in each decade, or fewer where they are many."""
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    for steps in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        found = [value for value in found if scale.low <= value <= scale.high]
        if len(found) <= most:
            return found
    skip = math.ceil(len(found) / most)
    return found[::skip]


def short_number(value: float) -> str:
    """A round value as an axis shows it: ``0.05``, ``20``, ``5k``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:.12g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"
