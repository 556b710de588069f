"""The project's picture for pages: energy against Δ, an attempt a mark, with lines of equal η.

Both axes are logarithmic, since attempts differ by orders of magnitude in both; what did not help lies in a
band below, by its energy alone. Intervals are drawn on both axes. Shape tells outcomes apart, colour only
helps. A screened attempt is hollow: its Δ is on other examples than the holdout.
"""

from __future__ import annotations

__all__ = ["Mark", "Scatter", "mark_of", "scatter"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.axes import LogScale, decades, short_number
from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.picture import DrawnAs, drawn_as

_BAND = 0.12
"""share of the height that the band of what did not help takes"""
_MOST_IN_FULL = 48
"""marks with intervals and links; further ones are dots"""
_MOST_LINES = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """An attempt as the picture has it."""

    number: int
    kind: DrawnAs
    joules: float
    joules_lo: float
    joules_hi: float
    delta: float | None
    """none where nothing was measured"""
    delta_lo: float | None
    delta_hi: float | None
    unit: str
    says: str
    """in words, for who cannot see it"""

    @property
    def helped(self) -> bool:
        """Whether it lies above the band."""
        return self.delta is not None and self.delta > 0


def mark_of(attempt: Attempt) -> Mark:
    """An attempt as the picture has it: by what paid for its Δ, or what it was charged where it has none."""
    kind, delta = drawn_as(attempt), attempt.delta
    ends: tuple[float | None, float | None] = (attempt.delta_lo, attempt.delta_hi)
    if kind is DrawnAs.SCREENED:
        delta = getattr(attempt, "screen_delta", None)
        ends = getattr(attempt, "screen_delta_lo", None), getattr(attempt, "screen_delta_hi", None)
    judged = attempt.delta is not None
    paid = (
        (attempt.chain_joules, attempt.chain_joules_lo, attempt.chain_joules_hi)
        if judged
        else (attempt.joules, attempt.joules_lo, attempt.joules_hi)
    )
    unit = attempt.unit or ""
    gained = f", Δ {delta:+.3g} {unit}".rstrip() if delta is not None else ""
    says = f"#{attempt.number} {kind.word}{gained}, {paid[0]:.3g} J"
    return Mark(attempt.number, kind, *paid, delta, *ends, unit, says)


@dataclass(frozen=True, slots=True)
class Scatter:
    """The picture with its axes' labels."""

    plot: Markup
    rows: tuple[tuple[str, str], ...]
    """y position and words of each label beside it"""
    columns: tuple[tuple[str, str], ...]
    """the same below it"""
    unit: str
    kinds: tuple[tuple[str, str, int], ...]
    """outcomes that are in it: name of the mark, words, how many"""
    shown: int
    """marks with intervals; the others are dots"""


def scatter(marks: Sequence[Mark], link: Callable[[int], str], title: str) -> Scatter | None:
    """The picture of some attempts of one unit; none where none was charged anything.

    Args:
        marks: oldest first.
        link: where an attempt's own page is.
        title: of the picture, for who cannot see it.
    """
    marks = [mark for mark in marks if mark.joules > 0]
    if not marks:
        return None
    across, up = _axes(marks)
    full = set(_in_full(marks))
    place = _Place(across, up)
    drawn = [
        *_grid(across, up, place),
        *_equal_eta(across, up, place),
        *_dots([mark for mark in marks if mark.number not in full], place),
        *_marks([mark for mark in marks if mark.number in full], place, link),
    ]
    plot = element("svg", element("title", text=title), *drawn, class_="plot", role="group", aria_label=title)
    ticks = decades(up, 5) if up is not None else []
    rows = [(percent(place.y(value)), short_number(value)) for value in ticks]
    if any(not mark.helped for mark in marks):
        rows.append((percent(1 - _BAND / 2), "≤ 0"))
    columns = [(percent(across.share(value)), short_number(value)) for value in decades(across, 6)]
    counts = [(kind, sum(mark.kind is kind for mark in marks)) for kind in DrawnAs]
    kinds = tuple((kind.name.lower(), kind.word, count) for kind, count in counts if count)
    unit = next((mark.unit for mark in marks if mark.unit), "")
    return Scatter(draw(plot), tuple(rows), tuple(columns), unit, kinds, len(full))


def _axes(marks: Sequence[Mark]) -> tuple[LogScale, LogScale | None]:
    joules = [mark.joules for mark in marks]
    lows = [mark.joules_lo for mark in marks if mark.joules_lo > min(joules) / 10]
    across = LogScale.around(min([*joules, *lows]), max(joules + [mark.joules_hi for mark in marks]), air=1.1)
    above = [mark.delta for mark in marks if mark.helped and mark.delta is not None]
    if not above:
        return across, None
    highs = [mark.delta_hi for mark in marks if mark.helped and mark.delta_hi is not None]
    return across, LogScale.around(max(min(above), max(above) / 10_000), max([*above, *highs]))


class _Place:
    """Where a mark lies, as shares of the picture."""

    def __init__(self, across: LogScale, up: LogScale | None) -> None:
        self._across, self._up = across, up

    def x(self, joules: float) -> float:
        return self._across.share(joules)

    def y(self, delta: float | None) -> float:
        if delta is None or delta <= 0 or self._up is None:
            return 1 - _BAND / 2
        return (1 - _BAND) * (1 - self._up.share(delta))


def _in_full(marks: Sequence[Mark]) -> list[int]:
    """Numbers of those that are drawn with intervals: what was kept first, then the newest."""
    if len(marks) <= _MOST_IN_FULL:
        return [mark.number for mark in marks]
    kept = [mark.number for mark in marks if mark.kind is DrawnAs.KEPT][-_MOST_IN_FULL // 2 :]
    rest = [mark.number for mark in reversed(marks) if mark.number not in kept]
    return kept + rest[: _MOST_IN_FULL - len(kept)]


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Element:
    return element("line", class_=name, x1=percent(x1), y1=percent(y1), x2=percent(x2), y2=percent(y2))


def _grid(across: LogScale, up: LogScale | None, place: _Place) -> list[Element]:
    band = element("rect", class_="band", x="0", y=percent(1 - _BAND), width="100%", height=percent(_BAND))
    lines = [_line("grid", across.share(value), 0, across.share(value), 1) for value in decades(across, 6)]
    if up is not None:
        lines += [_line("grid", 0, place.y(value), 1, place.y(value)) for value in decades(up, 5)]
    return [band, *lines]


def _equal_eta(across: LogScale, up: LogScale | None, place: _Place) -> list[Element]:
    """Lines of equal η at powers of ten, each labelled where it enters the picture."""
    if up is None:
        return []
    lowest, highest = 1000 * up.low / across.high, 1000 * up.high / across.low
    powers = range(math.ceil(math.log10(lowest)), math.floor(math.log10(highest)) + 1)
    found: list[Element] = []
    for power in list(powers)[-_MOST_LINES:]:
        per_joule = 10.0**power / 1000
        left, right = max(across.low, up.low / per_joule), min(across.high, up.high / per_joule)
        if across.share(right) - across.share(left) < 0.12:
            continue
        ends = (place.x(left), place.y(per_joule * left), place.x(right), place.y(per_joule * right))
        found += [_line("eta", *ends), _eta_label(power, ends)]
    return found


def _eta_label(power: int, ends: tuple[float, float, float, float]) -> Element:
    """At the upper end of its line, within the picture."""
    _, _, x, y = ends
    to_the_right = x > 0.995
    return element(
        "text",
        text=f"{short_number(10.0**power)}/kJ",
        class_="eta-label end",
        x=percent(x),
        y=percent(y),
        dx="-8" if to_the_right else "-12",
        dy="-5" if to_the_right and y > 0.05 else "14",
    )


def _dots(marks: Sequence[Mark], place: _Place) -> list[Element]:
    """Those beyond what can be drawn in full, each cell of a grid once, so that any number of them fits."""
    cells = {(round(200 * place.x(mark.joules)), round(100 * place.y(mark.delta))) for mark in marks}
    if not cells:
        return []
    path = "".join(f"M{5 * x} {10 * y}h0" for x, y in sorted(cells))
    shape = element("path", class_="dots", d=path)
    return [
        element(
            "svg", shape, viewBox="0 0 1000 1000", preserveAspectRatio="none", width="100%", height="100%"
        )
    ]


def _marks(marks: Sequence[Mark], place: _Place, link: Callable[[int], str]) -> list[Element]:
    bars = [bar for mark in marks for bar in _bars(mark, place)]
    shapes: list[Element] = []
    labels = _Labels()
    for mark in sorted(marks, key=lambda one: one.kind is DrawnAs.KEPT):
        x, y = place.x(mark.joules), place.y(mark.delta)
        kind = mark.kind.name.lower()
        shape = element("use", href=f"#m-{kind}", class_=f"mark {kind}", x=percent(x), y=percent(y))
        inside = [element("title", text=mark.says), shape]
        if (offset := labels.beside(x, y)) is not None:
            dx, dy = offset
            end = " end" if dx.startswith("-") else ""
            inside.append(
                element(
                    "text",
                    text=str(mark.number),
                    class_=f"label{end}",
                    x=percent(x),
                    y=percent(y),
                    dx=dx,
                    dy=dy,
                )
            )
        shapes.append(element("a", *inside, href=link(mark.number), aria_label=mark.says))
    return [*bars, *shapes]


def _bars(mark: Mark, place: _Place) -> list[Element]:
    kind, y = mark.kind.name.lower(), place.y(mark.delta)
    found = [_line(f"bar {kind}", place.x(mark.joules_lo), y, place.x(mark.joules_hi), y)]
    if mark.delta_lo is not None and mark.delta_hi is not None and mark.delta_hi > 0:
        x = place.x(mark.joules)
        found.append(_line(f"bar {kind}", x, place.y(mark.delta_lo), x, place.y(mark.delta_hi)))
    return found


class _Labels:
    """Numbers beside their marks, on the first side where none stands yet; none where all are taken."""

    _SIDES = (("9", "-7", 0.014, -0.03), ("-9", "-7", -0.014, -0.03), ("9", "15", 0.014, 0.03))

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    def beside(self, x: float, y: float) -> tuple[str, str] | None:
        for dx, dy, right, down in self._SIDES:
            at = (x + right, y + down)
            inside = 0.0 < at[0] < 0.985 and 0.01 < at[1] < 0.99
            if inside and not any(abs(at[0] - a) < 0.028 and abs(at[1] - b) < 0.05 for a, b in self._taken):
                self._taken.append(at)
                return dx, dy
        return None
