"""Watts over the last minutes: net with its range as a band, gross as a line above it, gaps left open."""

from __future__ import annotations

__all__ = ["WattsChart", "watts_chart"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from markupsafe import Markup

from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.queries.power import PowerGap, PowerPoint, Watts
from cryoflux.report.scales import number_text

_APART_S = 0.5
"""between the end of a point and the beginning of the next one, from where on they are not joined"""
_LABEL_APART = 0.09
_MINUTE_S = 60.0
_WIDE, _HIGH = 900, 300
"""units that shapes are drawn in"""


@dataclass(frozen=True, slots=True)
class WattsChart:
    """The picture with its axes' labels."""

    plot: Markup
    rows: tuple[tuple[str, str], ...]
    """y position and words of each label beside it"""
    columns: tuple[tuple[str, str], ...]
    """the same below it"""
    began_at: float
    """its left end, seconds since 1970"""
    ended_at: float
    top_w: float
    low_w: float


@dataclass(frozen=True, slots=True)
class _Place:
    began_at: float
    ended_at: float
    low_w: float
    top_w: float

    def x(self, at: float) -> float:
        return min(1.0, max(0.0, (at - self.began_at) / (self.ended_at - self.began_at)))

    def y(self, watts: float) -> float:
        return min(1.0, max(0.0, (self.top_w - watts) / (self.top_w - self.low_w)))


def watts_chart(
    points: Sequence[PowerPoint], gaps: Sequence[PowerGap], began_at: float, ended_at: float
) -> WattsChart | None:
    """The picture of some points; none where there is none.

    Args:
        points: oldest first.
        gaps: of which nothing is known.
        began_at: left end, seconds since 1970.
        ended_at: right end.
    """
    points = [point for point in points if began_at <= point.at <= ended_at]
    if not points:
        return None
    ticks = _ticks(points)
    place = _Place(began_at, ended_at, ticks[0], ticks[-1])
    runs = list(_runs(points))
    drawn = [
        *(_level(place.y(value), zero=value == 0) for value in ticks),
        *(_gap(gap, place) for gap in gaps if gap.ended_at > began_at and gap.began_at < ended_at),
        _stretched(
            *(_shape("net-band", _band(run, place)) for run in runs),
            *(_shape("gross-line", _line([(one.at, one.gross) for one in run], place)) for run in runs),
            *(_shape("net-line", _line([(one.at, one.net) for one in run], place)) for run in runs),
        ),
        *_attempts(points, place),
    ]
    said = _said(points)
    plot = element("svg", element("title", text=said), *drawn, class_="plot", role="img", aria_label=said)
    rows = tuple((percent(place.y(value)), number_text(value)) for value in ticks)
    return WattsChart(draw(plot), rows, tuple(_times(place)), began_at, ended_at, ticks[-1], ticks[0])


def _ticks(points: Sequence[PowerPoint]) -> list[float]:
    """Round watts from at most zero to above everything that is drawn."""
    highs = sorted(max(point.net.high, point.gross.value) for point in points)
    # One second with a range beyond all others must not press the rest flat.
    top = max(highs[round(0.98 * (len(highs) - 1))], highs[-1] if highs[-1] < 3 * highs[0] else 0.0, 1.0)
    low = min(0.0, *(point.net.value for point in points))
    step = next((one for one in _steps() if (top - low) / one <= 4), top - low)
    return [step * n for n in range(math.floor(low / step), math.ceil(top / step) + 1)]


def _steps() -> Iterator[float]:
    for power in range(-2, 12):
        for step in (1.0, 2.0, 5.0):
            yield step * 10.0**power


def _runs(points: Sequence[PowerPoint]) -> Iterator[list[PowerPoint]]:
    """Points that follow one another without a gap."""
    run: list[PowerPoint] = []
    for point in points:
        if run and point.at - point.seconds - run[-1].at > _APART_S:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _level(y: float, *, zero: bool) -> Element:
    name = "grid zero" if zero else "grid"
    return element("line", class_=name, x1="0", x2="100%", y1=percent(y), y2=percent(y))


def _gap(gap: PowerGap, place: _Place) -> Element:
    begin, end = place.x(gap.began_at), place.x(gap.ended_at)
    area = {"x": percent(begin), "y": "0", "width": percent(max(0.0, end - begin)), "height": "100%"}
    return element(
        "rect", element("title", text="nothing is known"), fill="url(#p-gap)", class_="gap", **area
    )


def _stretched(*shapes: Element) -> Element:
    """Shapes in parts of the frame, which stretch with it; their lines keep their width."""
    return element(
        "svg",
        *shapes,
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
    )


def _shape(name: str, path: str) -> Element:
    return element("path", class_=name, d=path)


def _line(points: Sequence[tuple[float, Watts]], place: _Place) -> str:
    return _path([(at, watts.value) for at, watts in points], place) + ("" if len(points) > 1 else "h0")


def _band(run: Sequence[PowerPoint], place: _Place) -> str:
    above = [(point.at, point.net.high) for point in run]
    below = [(point.at, point.net.low) for point in reversed(run)]
    return _path([*above, *below], place) + "z"


def _path(points: Sequence[tuple[float, float]], place: _Place) -> str:
    """A line through some points, said in steps, and what is level in one: a page is to be small."""
    spots = [(round(_WIDE * place.x(at)), round(_HIGH * place.y(watts))) for at, watts in points]
    said, level = [f"M{spots[0][0]} {spots[0][1]}"], 0
    for (before_x, before_y), (x, y) in pairwise(spots):
        if y == before_y:
            level += x - before_x
            continue
        said += [f"h{level}"] if level else []
        said.append(f"l{x - before_x}{y - before_y: d}")
        level = 0
    return "".join([*said, *([f"h{level}"] if level else [])])


def _attempts(points: Sequence[PowerPoint], place: _Place) -> list[Element]:
    """Where attempts began, each with its number where there is room before the next."""
    began = [
        (place.x(point.at - point.seconds), point.attempt)
        for before, point in pairwise(points)
        if point.attempt not in {0, before.attempt}
    ]
    found: list[Element] = []
    for (x, number), (next_x, _) in pairwise([*began, (1.0, 0)]):
        found.append(element("line", class_="begin", x1=percent(x), x2=percent(x), y1="0", y2="100%"))
        if next_x - x >= _LABEL_APART:
            where = {"x": percent(x), "y": "0", "dx": "5", "dy": "12"}
            found.append(element("text", text=f"#{number}", class_="begin-label", **where))
    return found


def _times(place: _Place) -> Iterator[tuple[str, str]]:
    """Whole minutes below it."""
    minutes = (place.ended_at - place.began_at) / _MINUTE_S
    step = _MINUTE_S * max(1, math.ceil(minutes / 5))
    at = math.ceil(place.began_at / step) * step
    while at <= place.ended_at:
        if 0.03 < (x := place.x(at)) < 0.97:
            yield percent(x), f"{datetime.fromtimestamp(at, UTC):%H:%M}"
        at += step


def _said(points: Sequence[PowerPoint]) -> str:
    net = [point.net.value for point in points]
    return (
        f"Net power of the last {len(points)} seconds that were noted: "
        f"{min(net):.1f} to {max(net):.1f} W, {net[-1]:.1f} W at the end"
    )
