"""Values over joules as steps: a head is what it is until another update is kept.

Two lines are told apart by their dashes and by the names at their ends, not by colour alone. Nothing joins
two holdouts.
"""

from __future__ import annotations

__all__ = ["StepLine", "Steps", "steps"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from markupsafe import Markup

from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.quantities import MICRO, format_energy
from cryoflux.report.scales import number_text

_AIR = 0.06


@dataclass(frozen=True, slots=True)
class StepLine:
    """A line."""

    name: str
    points: Sequence[tuple[float, float, str]]
    """joules, value, and on which holdout it was measured; oldest first"""
    end: float
    """joules up to which the last value stands"""


@dataclass(frozen=True, slots=True)
class Steps:
    """The picture with its axes' labels."""

    plot: Markup
    rows: tuple[tuple[str, str], ...]
    """y position and words of each label beside it"""
    columns: tuple[tuple[str, str], ...]
    """the same below it"""


def steps(lines: Sequence[StepLine], title: str) -> Steps:
    """The picture of some lines.

    Args:
        lines: each with at least one point.
        title: for who cannot see it.
    """
    most = 1.02 * max(max(line.end, line.points[-1][0]) for line in lines) or 1.0
    values = [value for line in lines for _, value, _ in line.points]
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    air = _AIR * (high - low)
    place = _Area(most, low - air, high + air)
    across, up = _round(0, most), _round(low, high)
    drawn = [
        *(element("line", class_="grid", x1=x, x2=x, y1="0", y2="100%") for x in map(place.x, across)),
        *(element("line", class_="grid", x1="0", x2="100%", y1=y, y2=y) for y in map(place.y, up)),
        *(part for number, line in enumerate(lines) for part in _line(line, number, place)),
    ]
    said = f"{title}: " + "; ".join(map(_said, lines))
    plot = element("svg", element("title", text=said), *drawn, class_="plot", role="img", aria_label=said)
    rows = tuple((place.y(value), number_text(value)) for value in up)
    columns = tuple((place.x(value), number_text(value)) for value in across)
    return Steps(draw(plot), rows, columns)


@dataclass(frozen=True, slots=True)
class _Area:
    most: float
    low: float
    high: float

    def x(self, joules: float) -> str:
        return percent(joules / self.most)

    def y(self, value: float) -> str:
        return percent(1 - (value - self.low) / (self.high - self.low))


def _round(low: float, high: float) -> list[float]:
    """About five round values of an axis."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(step * power for step in (1, 2, 5, 10) if step * power >= raw)
    first, last = math.ceil(low / size), math.floor(high / size)
    return [round(number * size, 12) for number in range(first, last + 1)]


def _line(line: StepLine, number: int, place: _Area) -> Iterator[Element]:
    kind = f"step step-{number}"
    groups = [list(some) for _, some in groupby(line.points, key=lambda point: point[2])]
    for at, points in enumerate(groups):
        end = groups[at + 1][0][0] if at + 1 < len(groups) else max(line.end, points[-1][0])
        ends = [*(joules for joules, _, _ in points[1:]), end]
        for (joules, value, _), until in zip(points, ends, strict=True):
            y = place.y(value)
            yield element("line", class_=kind, x1=place.x(joules), x2=place.x(until), y1=y, y2=y)
        for (_, before, _), (joules, after, _) in pairwise(points):
            x = place.x(joules)
            yield element("line", class_=kind, x1=x, x2=x, y1=place.y(before), y2=place.y(after))
        for joules, value, _ in points:
            yield element(
                "circle", class_=f"step-{number} knot", cx=place.x(joules), cy=place.y(value), r="3.5"
            )
    if line.name:
        last = line.points[-1][1]
        yield element(
            "text",
            text=line.name,
            class_="label end",
            x=place.x(max(line.end, line.points[-1][0])),
            y=place.y(last),
            dx="-4",
            dy="-8" if not number else "18",
        )


def _said(line: StepLine) -> str:
    first, last = line.points[0][1], line.points[-1][1]
    name = f"{line.name} goes " if line.name else "it goes "
    over = format_energy(round(line.end * MICRO))
    return f"{name}from {first:.4g} to {last:.4g} in {len(line.points)} points over {over}"
