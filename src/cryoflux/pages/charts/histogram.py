"""How single examples changed, as bars; their heights grow with the square root, so that rare ones show."""

from __future__ import annotations

__all__ = ["Histogram", "histogram"]

import math
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.plane import line
from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.queries.changes import Changes

_TALLEST = 0.86
"""share of the height that the tallest bar takes; the mean's words stand above"""
_TICKS = (1, 2, 5, 10, 20)
_MOST_TICKS = 7
_ROOM = 0.22
"""share of the width that the words at an end may take on a narrow screen"""


@dataclass(frozen=True, slots=True)
class Histogram:
    """The bars, and the words below them."""

    plot: Markup
    ticks: tuple[tuple[str, str, str], ...]
    """x position, words, and how they are set: ``middle``, ``end`` or nothing"""


def histogram(changes: Changes, mean: float, ends: tuple[float, float] | None, title: str) -> Histogram:
    """The picture of some changes.

    Args:
        changes: of single examples.
        mean: of them.
        ends: of its interval; none where none holds.
        title: for who cannot see it.
    """
    count = len(changes.bins)

    def x(value: float) -> float:
        return min(1.0, max(0.0, (value / changes.step - changes.first) / count))

    drawn = [
        *([_band(x(ends[0]), x(ends[1]))] if ends is not None else []),
        *_bars(changes),
        line("zero", x(0), 0, x(0), 1),
        line("axis", 0, 1, 1, 1),
        line("mean", x(mean), 0, x(mean), 1),
    ]
    plot = element("svg", element("title", text=title), *drawn, class_="plot", role="img", aria_label=title)
    return Histogram(draw(plot), tuple(_ticks(changes)))


def _band(low: float, high: float) -> Element:
    band = element("rect", class_="mean-band", x=percent(low), y="0", height="100%")
    band.set("width", percent(max(0.002, high - low)))
    return band


def _bars(changes: Changes) -> list[Element]:
    tallest, width = math.sqrt(max(changes.bins)), 1 / len(changes.bins)
    found = []
    for place, count in enumerate(changes.bins):
        if not count:
            continue
        height = _TALLEST * math.sqrt(count) / tallest
        at = changes.first + place
        bar = element("rect", element("title", text=_says(changes, place)))
        bar.set("class", "better" if at >= 0 else "worse")
        bar.set("x", percent((place + 0.04) * width))
        bar.set("width", percent(0.92 * width))
        bar.set("y", percent(1 - height))
        bar.set("height", percent(height))
        found.append(bar)
    return found


def _says(changes: Changes, place: int) -> str:
    count, at = changes.bins[place], changes.first + place
    low, high = _number(at * changes.step), _number((at + 1) * changes.step)
    if place == 0 and changes.below:
        return f"{count} examples: {high} or less"
    if place == len(changes.bins) - 1 and changes.above:
        return f"{count} examples: {low} or more"
    return f"{count} examples: {low} to {high}"


def _ticks(changes: Changes) -> list[tuple[str, str, str]]:
    count, first = len(changes.bins), changes.first
    every = next((one for one in _TICKS if count / one <= _MOST_TICKS), _TICKS[-1])
    inner = [at for at in range(first, first + count + 1) if at % every == 0]
    inner = [at for at in inner if 0.09 < (at - first) / count < 0.91 or (at == 0 and 0 < at - first < count)]
    found = [
        (percent((at - first) / count), _number(at * changes.step), _how(place, at, (at - first) / count))
        for place, at in enumerate(inner)
    ]
    low, high = _number(first * changes.step), _number((first + count) * changes.step)
    if changes.below:
        low = f"≤ {_number((first + 1) * changes.step)}"
    if changes.above:
        high = f"≥ {_number((first + count - 1) * changes.step)}"
    return [("0%", low, "start"), *found, ("100%", high, "end")]


def _how(place: int, at: int, share: float) -> str:
    """In the middle; on a wide screen alone where it is every other one, or near the words at an end."""
    narrow_too = at == 0 or place % 2 == 0
    return "middle" if narrow_too and _ROOM < share < 1 - _ROOM else "middle wide"


def _number(value: float) -> str:
    """A round change with its sign."""
    return "0" if abs(value) < 1e-12 else f"{value:+.4g}".replace("-", "\N{MINUS SIGN}")
