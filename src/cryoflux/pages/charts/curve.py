"""Σ Δ of the head over the joules that were charged until then, as steps; each kept update is a link.

A head that goes back takes the curve down with it: joules are spent whether or not what they bought stays.
"""

from __future__ import annotations

__all__ = ["StepCurve", "curve"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.quantities import MICRO, format_energy
from cryoflux.queries.lineage import HeadStep, TaskLine
from cryoflux.report.scales import number_text

_MOST_MARKS = 24
"""steps with a mark and a link, the newest"""
_MOST_STEPS = 120
"""of the line"""


@dataclass(frozen=True, slots=True)
class StepCurve:
    """The picture with its axes' labels."""

    plot: Markup
    rows: tuple[tuple[str, str], ...]
    """y position and words of each label beside it"""
    columns: tuple[tuple[str, str], ...]
    """the same below it"""
    unit: str
    modelled: bool
    moved: bool
    """whether a move of the head is in it, as a ring"""


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    step: float

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        first, last = math.ceil(self.low / self.step), math.floor(self.high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]


def curve(line: TaskLine, link: Callable[[int], str]) -> StepCurve | None:
    """The picture of a task; none where nothing was kept, or nothing charged.

    Args:
        line: its heads.
        link: where an attempt's own page is.
    """
    steps = line.steps
    if len(steps) < 2 or line.joules <= 0:
        return None
    across = _axis([0.0, line.joules], 6)
    up = _axis([0.0, *(step.total_delta for step in steps)], 5)
    title = f"{line.task}: summed improvement over summed energy, {len(steps) - 1} steps"
    drawn = [
        *(_line("grid", across.share(value), 0, across.share(value), 1) for value in across.ticks()),
        *(_line("grid", 0, 1 - up.share(value), 1, 1 - up.share(value)) for value in up.ticks()),
        *_stairs(steps, line.joules, across, up),
        *_marks(steps[1:], across, up, line.unit, link),
    ]
    plot = element("svg", element("title", text=title), *drawn, class_="plot", role="group", aria_label=title)
    return StepCurve(
        plot=draw(plot),
        rows=tuple((percent(1 - up.share(value)), number_text(round(value, 9))) for value in up.ticks()),
        columns=tuple((percent(across.share(value)), number_text(value)) for value in across.ticks()),
        unit=line.unit,
        modelled=line.modelled,
        moved=any(step.attempt is None for step in steps[1:][-_MOST_MARKS:]),
    )


def _axis(values: Sequence[float], most: int) -> _Axis:
    """An axis from zero, or below it, that ends a little beyond the last value."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    return _Axis(low - (0.06 * span if low < 0 else 0.0), high + 0.08 * span, step)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Element:
    return element("line", class_=name, x1=percent(x1), y1=percent(y1), x2=percent(x2), y2=percent(y2))


def _stairs(steps: Sequence[HeadStep], spent: float, across: _Axis, up: _Axis) -> list[Element]:
    """The line, in a frame of its own that is stretched; its width is not."""
    path = f"M0 {_round(up.share(steps[0].total_delta), flip=True)}"
    for step in _thinned(steps[1:]):
        path += f"H{_round(across.share(step.joules))}V{_round(up.share(step.total_delta), flip=True)}"
    end = _round(across.share(spent))
    floor = _round(up.share(0.0), flip=True)
    shapes = (
        element("path", class_="stairs-area", d=f"{path}H{end}V{floor}H0z"),
        element("path", class_="stairs", d=f"{path}H{end}"),
    )
    frame = {"viewBox": "0 0 1000 1000", "preserveAspectRatio": "none", "width": "100%", "height": "100%"}
    return [element("svg", *shapes, **frame)]


def _thinned(steps: Sequence[HeadStep]) -> Sequence[HeadStep]:
    """So many that a page stays light: all of them, or some evenly, the last one among them."""
    if len(steps) <= _MOST_STEPS:
        return steps
    places = {round(n * (len(steps) - 1) / (_MOST_STEPS - 1)) for n in range(_MOST_STEPS)}
    return [steps[place] for place in sorted(places)]


def _round(share: float, *, flip: bool = False) -> str:
    return f"{1000 * (1 - share if flip else share):.5g}"


def _marks(
    steps: Sequence[HeadStep], across: _Axis, up: _Axis, unit: str, link: Callable[[int], str]
) -> list[Element]:
    found, labelled = [], -1.0
    for step in steps[-_MOST_MARKS:]:
        x, y = across.share(step.joules), 1 - up.share(step.total_delta)
        place = {"x": percent(x), "y": percent(y)}
        if step.attempt is None:
            how = step.made_from or "the head was moved"
            turn = element("title", text=f"{how}: Σ Δ {step.total_delta:+.3g} {unit} from here on")
            ring = element("circle", turn, class_="turn", cx=percent(x), cy=percent(y), r="5.5")
            found.append(ring)
            continue
        spent = format_energy(round(step.joules * MICRO))
        says = f"#{step.attempt} kept: Σ Δ {step.total_delta:+.3g} {unit} at {spent}"
        mark = element("use", href="#m-kept", class_="mark kept", **place)
        inside = [element("title", text=says), mark]
        if x - labelled > 0.035:
            at = {"dx": "-9", "dy": "-8"} if y > 0.06 else {"dx": "-9", "dy": "16"}
            inside.append(element("text", text=str(step.attempt), class_="label end", **place, **at))
            labelled = x
        found.append(element("a", *inside, href=link(step.attempt), aria_label=says))
    return found
