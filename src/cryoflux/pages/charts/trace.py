"""The power while something went on: a line in its band, and a gap where nothing is known."""

from __future__ import annotations

__all__ = ["PowerTrace", "trace"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from cryoflux.pages.charts.placing import Words
from cryoflux.pages.charts.plane import line
from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.queries.power import PowerGap, PowerPoint, PowerSeries

_SCALE = 1000
"""units of the inner picture each way; it stretches, and its lines do not grow thicker"""
_BESIDE = ((5, 13, 1),)


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """The picture with its labels."""

    plot: Markup
    rows: tuple[tuple[str, str], ...]
    """y position and words beside it"""
    columns: tuple[tuple[str, str], ...]
    """x position and words below it"""
    gaps: int


def trace(series: PowerSeries, title: str) -> PowerTrace | None:
    """The net power of a series; none where it has fewer than two points.

    Args:
        series: of one attempt.
        title: for who cannot see it.
    """
    points = series.points
    if len(points) < 2:
        return None
    begin, end = points[0].at - points[0].seconds, points[-1].at
    top = _round_up(max(max(point.net.high, point.net.value) for point in points))
    across = _Across(begin, max(1e-6, end - begin), top)
    gaps = [gap for gap in series.gaps if begin < gap.ended_at and gap.began_at < end]
    pieces = _pieces(points, gaps)
    inner = element(
        "svg",
        *(across.band(piece) for piece in pieces),
        *(across.line(piece) for piece in pieces),
        viewBox=f"0 0 {_SCALE} {_SCALE}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
    )
    drawn = [
        *(line("grid", 0, share, 1, share) for share in (0.0, 0.5)),
        line("axis", 0, 1, 1, 1),
        *(across.gap(gap) for gap in gaps),
        inner,
        *_steps(points, across),
    ]
    plot = element("svg", element("title", text=title), *drawn, class_="plot", role="img", aria_label=title)
    rows = tuple((percent(1 - share), f"{top * share:.4g} W") for share in (0.0, 0.5, 1.0))
    span = end - begin
    columns = tuple((percent(share), f"{span * share:.3g} s") for share in (0.0, 0.5, 1.0))
    return PowerTrace(draw(plot), rows, columns, len(gaps))


@dataclass(frozen=True, slots=True)
class _Across:
    begin: float
    span: float
    top: float

    def x(self, at: float) -> float:
        return min(1.0, max(0.0, (at - self.begin) / self.span))

    def _at(self, at: float, watts: float) -> str:
        y = 1 - min(1.0, max(0.0, watts / self.top))
        return f"{_SCALE * self.x(at):.0f} {_SCALE * y:.0f}"

    def line(self, points: Sequence[PowerPoint]) -> Element:
        path = "L".join(self._at(one.at, one.net.value) for one in points)
        return element("path", class_="power", d=f"M{path}")

    def band(self, points: Sequence[PowerPoint]) -> Element:
        above = [self._at(one.at, one.net.high) for one in points]
        below = [self._at(one.at, one.net.low) for one in reversed(points)]
        return element("path", class_="power-band", d=f"M{'L'.join([*above, *below])}Z")

    def gap(self, gap: PowerGap) -> Element:
        left, right = self.x(gap.began_at), self.x(gap.ended_at)
        shape = element("rect", class_="gap", x=percent(left), y="0", height="100%")
        shape.set("width", percent(right - left))
        return shape


def _pieces(points: Sequence[PowerPoint], gaps: Sequence[PowerGap]) -> list[list[PowerPoint]]:
    """The points between two gaps each."""
    pieces = [[points[0]]]
    for before, point in pairwise(points):
        if any(before.at <= gap.began_at < point.at for gap in gaps):
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _steps(points: Sequence[PowerPoint], across: _Across) -> list[Element]:
    """Where another of the ten steps begins, with its name where there is room."""
    found, words = list[Element](), Words()
    for before, point in zip([None, *points], points, strict=False):
        if point.step is None or (before is not None and before.step is point.step):
            continue
        x = across.x(point.at - point.seconds)
        found.append(line("step", x, 0, x, 1))
        if (put := words.put(x, 0.0, point.step.value, _BESIDE)) is not None:
            name = f"step-name{put.class_name}"
            found.append(
                element("text", text=point.step.value, class_=name, x=percent(x), y="0", dx=put.dx, dy=put.dy)
            )
    return found


def _round_up(watts: float) -> float:
    if watts <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(watts))
    return next(factor * power for factor in (1, 2, 3, 4, 5, 6, 8, 10) if factor * power >= watts)
