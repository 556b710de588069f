"""Figures with their intervals, one below the other on one scale."""

from __future__ import annotations

__all__ = ["Forest", "Interval", "forest"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.plane import line
from cryoflux.pages.charts.svg import Element, draw, element, percent


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with both ends, of one kind of mark."""

    kind: str
    """name of the mark"""
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forest:
    """One drawing for each figure, all on one scale, and the words below them."""

    rows: tuple[Markup | None, ...]
    """none where there is no figure"""
    ticks: tuple[tuple[str, str], ...]
    """x position and words"""


def forest(figures: Sequence[Interval | None]) -> Forest | None:
    """Figures on one scale that has zero in it; none where there is no figure at all."""
    known = [one for one in figures if one is not None]
    if not known:
        return None
    low, high = min(0.0, *(one.low for one in known)), max(0.0, *(one.high for one in known))
    step = _round_step((high - low) or 1.0)
    low, high = step * math.floor(low / step), step * math.ceil((high or step) / step)
    rows = tuple(_row(one, low, high - low, step) if one is not None else None for one in figures)
    places = _places(low, high - low, step)
    return Forest(rows, tuple((percent(x), f"{value:.6g}".replace("-", "−")) for x, value in places))


def _round_step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 4)


def _places(low: float, span: float, step: float) -> list[tuple[float, float]]:
    count = round(span / step)
    return [(at / count, low + at * step) for at in range(count + 1)]


def _row(one: Interval, low: float, span: float, step: float) -> Markup:
    def x(value: float) -> float:
        return (value - low) / span

    drawn: list[Element] = [line("grid", at, 0, at, 1) for at, _ in _places(low, span, step)]
    drawn.append(line("zero", x(0), 0, x(0), 1))
    drawn.append(line(f"bar {one.kind}", x(one.low), 0.5, x(one.high), 0.5))
    mark = element("use", href=f"#m-{one.kind}", class_=f"mark {one.kind}", x=percent(x(one.value)), y="50%")
    return draw(element("svg", *drawn, mark, class_="forest", aria_hidden="true"))
