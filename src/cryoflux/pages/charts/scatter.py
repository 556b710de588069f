"""The project's picture for pages: energy against Δ, an attempt a mark, with lines of equal η.

Both axes are logarithmic, since attempts differ by orders of magnitude in both; what did not help lies in a
lane below, by its energy alone, and so does what has no Δ. Intervals are drawn on both axes. Shape tells
outcomes apart, colour only helps. A screened attempt is hollow: its Δ is on other examples than the holdout.
"""

from __future__ import annotations

__all__ = ["MOST_IN_FULL", "Scatter", "scatter"]

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.density import dots
from cryoflux.pages.charts.placing import Words
from cryoflux.pages.charts.plane import Plane, line
from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.queries.marks import AttemptMark, DrawnAs
from cryoflux.report.marks import bar_words
from cryoflux.report.scales import number_text, round_ticks

MOST_IN_FULL = 40
"""marks with intervals and links, where there are no more"""
_IN_FULL_OF_MANY = 14
"""the same where there are more; the others are dots"""


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
    bars: str
    """what the upright ones are; empty where there is none"""


def scatter(
    marks: Sequence[AttemptMark], link: Callable[[int], str], title: str, *, in_full: int = MOST_IN_FULL
) -> Scatter | None:
    """The picture of some attempts of one unit; none where none was charged anything.

    Args:
        marks: oldest first.
        link: where an attempt's own page is.
        title: of the picture, for who cannot see it.
        in_full: of more marks than so many only some have intervals and links.
    """
    marks = [mark for mark in marks if mark.joules > 0]
    if not marks:
        return None
    unit = next((mark.unit for mark in marks if mark.unit), "")
    plane, words = Plane.around(marks), Words()
    full = _in_full(marks, in_full)
    chosen = {mark.number for mark in full}
    many = [mark for mark in marks if mark.number not in chosen]
    for mark in full:
        _take(words, mark, plane)
    drawn = [
        *plane.grid(),
        *plane.equal_eta(words, unit),
        *dots(
            (name, [(plane.x(mark.joules), plane.y(mark.delta)) for mark in many if _is(mark, name)])
            for name in ("others", "kept")
        ),
        *_marks(full, plane, words, link),
    ]
    plot = element("svg", element("title", text=title), *drawn, class_="plot", role="group", aria_label=title)
    columns = [(percent(plane.x(value)), number_text(value)) for value in round_ticks(plane.across, 6)]
    counts = Counter(mark.kind for mark in marks)
    kinds = tuple((kind.name.lower(), kind.word, counts[kind]) for kind in DrawnAs if counts[kind])
    return Scatter(draw(plot), plane.row_labels(), tuple(columns), unit, kinds, len(full), bar_words(full))


def _take(words: Words, mark: AttemptMark, plane: Plane) -> None:
    x, y = plane.x(mark.joules), plane.y(mark.delta)
    words.mark(x, y)
    words.bar(plane.x(mark.joules_lo), y, plane.x(mark.joules_hi), y)
    if mark.delta_lo is not None and mark.delta_hi is not None:
        words.bar(x, plane.y(mark.delta_hi), x, plane.y(mark.delta_lo))


def _is(mark: AttemptMark, group: str) -> bool:
    return (mark.kind is DrawnAs.KEPT) == (group == "kept")


def _in_full(marks: Sequence[AttemptMark], most: int) -> list[AttemptMark]:
    """Those that are drawn with intervals: all of a few; of many the best deals and the newest."""
    if len(marks) <= most:
        return list(marks)
    kept = [mark for mark in marks if mark.kind is DrawnAs.KEPT]
    best = sorted(kept, key=lambda mark: (mark.delta or 0.0) / mark.joules)[-_IN_FULL_OF_MANY // 2 :]
    chosen = {mark.number for mark in best}
    newest = [mark for mark in reversed(marks) if mark.number not in chosen]
    return [*newest[: _IN_FULL_OF_MANY - len(best)], *best]


def _marks(
    marks: Sequence[AttemptMark], plane: Plane, words: Words, link: Callable[[int], str]
) -> list[Element]:
    ordered = sorted(marks, key=lambda one: (one.kind is DrawnAs.KEPT, one.delta or 0.0))
    labels = {mark.number: _label(mark, plane, words) for mark in reversed(ordered)}
    bars = [
        element("g", *lines, class_=f"bar {kind.name.lower()}")
        for kind in DrawnAs
        if (lines := [bar for mark in ordered if mark.kind is kind for bar in _bars(mark, plane)])
    ]
    return [*bars, *(_mark(mark, plane, labels[mark.number], link) for mark in ordered)]


def _mark(mark: AttemptMark, plane: Plane, label: Element | None, link: Callable[[int], str]) -> Element:
    kind = mark.kind.name.lower()
    x, y = percent(plane.x(mark.joules)), percent(plane.y(mark.delta))
    shape = element("use", href=f"#m-{kind}", class_=f"mark {kind}", x=x, y=y)
    inside = [element("title", text=mark.says), shape, *([label] if label is not None else [])]
    return element("a", *inside, href=link(mark.number), aria_label=f"#{mark.number} {mark.kind.word}")


def _label(mark: AttemptMark, plane: Plane, words: Words) -> Element | None:
    x, y = plane.x(mark.joules), plane.y(mark.delta)
    if (put := words.put(x, y, str(mark.number))) is None:
        return None
    return element(
        "text",
        text=str(mark.number),
        class_=f"label{put.class_name}",
        x=percent(x),
        y=percent(y),
        dx=put.dx,
        dy=put.dy,
    )


def _bars(mark: AttemptMark, plane: Plane) -> list[Element]:
    y = plane.y(mark.delta)
    found = [line(None, plane.x(mark.joules_lo), y, plane.x(mark.joules_hi), y)]
    if mark.delta_lo is not None and mark.delta_hi is not None and mark.delta_hi > 0:
        x = plane.x(mark.joules)
        found.append(line(None, x, plane.y(mark.delta_lo), x, plane.y(mark.delta_hi)))
    return found
