"""Logarithmic axes: their ends, round values on them, and the lines of equal η that cross them."""

from __future__ import annotations

__all__ = ["Ends", "crossing_lines", "crossing_powers", "number_text", "round_below", "round_ticks"]

import math
from dataclasses import dataclass

_LEAST_APART = 11
"""points between two values on the frame"""
_MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a logarithmic axis."""

    low: float
    high: float

    @classmethod
    def around(cls, low: float, high: float, *, air: float = 1.3) -> Ends:
        """Ends that hold two positive values with some air, and span a factor of 4 at least."""
        low, high = min(low, high) / air, max(low, high) * air
        if high / low < 4:
            middle = math.sqrt(low * high)
            low, high = middle / 2, middle * 2
        return cls(low, high)

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return math.log(value / self.low) / math.log(self.high / self.low)


def _round_values(ends: Ends, steps: tuple[float, ...]) -> list[float]:
    first, last = math.floor(math.log10(ends.low)), math.ceil(math.log10(ends.high))
    found = (step * 10.0**power for power in range(first, last + 1) for step in steps)
    return [value for value in found if ends.low <= value <= ends.high]


def round_ticks(ends: Ends, most: int) -> list[float]:
    """Round values on an axis, rising: 1, 2 and 5 in each decade, or fewer where they would be many."""
    for steps in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        if len(found := _round_values(ends, steps)) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def crossing_powers(joules: Ends, delta: Ends) -> list[float]:
    """The powers of ten of η per kJ whose lines are seen in a panel, rising."""
    low, high = _span(joules, delta)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**power for power in powers if _leaves(10.0**power, joules, delta) is not None]


def crossing_lines(joules: Ends, delta: Ends, width: float, height: float) -> list[tuple[float, bool]]:
    """Round values of η per kJ whose lines cross a panel, and whether each leaves it on the right, or on top.

    Powers of ten come first, wherever they leave it; what is between them is there where its value stands
    clear of all others, and of the corner.

    Args:
        joules: of the axis across.
        delta: of the axis up.
        width: of the panel, points.
        height: of the panel, points.
    """
    powers = crossing_powers(joules, delta)
    kept = [
        line
        for eta in powers[:: math.ceil(len(powers) / _MOST_LINES) or 1]
        if (line := _leaves(eta, joules, delta))
    ]
    for steps in ((2.0, 5.0), (3.0,)):
        between = _round_values(Ends(*_span(joules, delta)), steps)
        found = [line for eta in between if (line := _leaves(eta, joules, delta))]
        more = _apart(found, kept, width, height)
        if len(more) <= _MOST_LINES:
            kept = more
            break
    return sorted((eta, right) for eta, right, _ in kept)


def _span(joules: Ends, delta: Ends) -> tuple[float, float]:
    """η per kJ in the lower right corner of a panel, and in the upper left one."""
    return 1000 * delta.low / joules.high, 1000 * delta.high / joules.low


def _leaves(eta: float, joules: Ends, delta: Ends) -> tuple[float, bool, float] | None:
    """η, whether its line leaves on the right, and where there; none where hardly any of it is seen."""
    at_right = eta / 1000 * joules.high
    enters = max(joules.low, 1000 * delta.low / eta)
    leaves = min(joules.high, 1000 * delta.high / eta)
    if joules.share(leaves) - joules.share(enters) < 0.12:
        return None
    if at_right <= delta.high:
        return eta, True, delta.share(at_right)
    return eta, False, joules.share(leaves)


def _apart(
    found: list[tuple[float, bool, float]],
    before: list[tuple[float, bool, float]],
    width: float,
    height: float,
) -> list[tuple[float, bool, float]]:
    """Those before, and those whose values stand clear of them, of each other and of the corner."""
    kept = list(before)
    for eta, right, share in found:
        long, needed = (height, _LEAST_APART) if right else (width, 2.4 * _LEAST_APART)
        clear = (1 - share) * long > needed / 2
        others = [other for _, side, other in kept if side is right]
        if clear and all(abs(share - other) * long > needed for other in others):
            kept.append((eta, right, share))
    return kept


def number_text(value: float) -> str:
    """A round value as an axis shows it: ``0.05``, ``20``, ``5k``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    if abs(value) >= 1e-3 or value == 0:
        return f"{value:.12g}"
    first, _, power = f"{value:.2e}".partition("e")
    times = {"1": "", "-1": "-"}.get(first := f"{float(first):g}", f"{first}·")
    return f"{times}10{str(int(power)).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def round_below(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value)
