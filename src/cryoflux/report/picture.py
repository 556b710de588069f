"""The project's picture: energy against Δ, an attempt a mark, with lines of equal η.

Both axes are logarithmic, since attempts differ by orders of magnitude in both. What did not help, and what
no Δ was measured of, lies in a band below, by its energy alone. A hollow mark is an attempt that its screen
stopped: its Δ is on examples set aside from training, and the holdout never judged it. Shape tells outcomes
apart, and colour only helps: the colours are Okabe and Ito's.
"""

from __future__ import annotations

__all__ = ["draw_attempts"]

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from cryoflux.queries.marks import AttemptMark, DrawnAs, mark_of
from cryoflux.report.attempts_panel import DrawnPanel, style_of
from cryoflux.report.figures import ONE_COLUMN, Picture, shown
from cryoflux.report.marks import AttemptsPanel, bar_words, limits_of


def draw_attempts(
    panels: Sequence[AttemptsPanel], *, width: float, title: str, caption: Sequence[str], shared: bool = False
) -> Picture:
    """The picture of some attempts; to be called within `drawing`.

    Args:
        panels: each with at least one attempt.
        width: inches: `ONE_COLUMN` or `TWO_COLUMNS`.
        title: what it shows, in a few words.
        caption: what else is said of it, for who cannot see it.
        shared: panels have the same axes, and stand side by side where there is room.
    """
    from matplotlib.figure import Figure

    marks = [[mark_of(attempt) for attempt in panel.attempts] for panel in panels]
    beside = shared and width > ONE_COLUMN
    rows, columns = (1, len(panels)) if beside else (len(panels), 1)
    notes = len(_note_lines(marks, width))
    below = 0.52 + 0.1 * notes + 0.17 * _legend_rows(marks, width)
    height = (3.1 if width > ONE_COLUMN else 2.5) * rows + below
    figure = Figure(figsize=(width, height))
    everything = [mark for some in marks for mark in some]
    titled = any(panel.title for panel in panels)
    for place, (panel, some) in enumerate(zip(panels, marks, strict=True)):
        row, column = divmod(place, columns)
        limits = limits_of(everything if shared else some)
        box = _box((width, height), (rows, columns), (row, column), below, 0.4 if titled else 0.24)
        DrawnPanel(figure, box, panel, some, limits, last=row == rows - 1).draw()
    _legend(figure, marks, width, height)
    words = [*caption, *_said(everything, panels)]
    return Picture(figure, title, "\n".join(words))


def _box(
    size: tuple[float, float], grid: tuple[int, int], at: tuple[int, int], below: float, top: float
) -> tuple[float, float, float, float]:
    """Where a panel lies, as shares of the figure: left, bottom, width, height."""
    (width, height), (rows, columns), (row, column) = size, grid, at
    left, right, gap = 0.68, 0.58, 0.5 if rows > 1 else 0.0
    wide = width / columns
    tall = (height - below) / rows
    bottom = below + (rows - 1 - row) * tall + (gap if row < rows - 1 else 0.0)
    high = tall - top - (gap if row < rows - 1 else 0.0)
    return (
        (column * wide + left) / width,
        bottom / height,
        (wide - left - right) / width,
        high / height,
    )


def _kinds(marks: Sequence[Sequence[AttemptMark]]) -> list[tuple[DrawnAs, int]]:
    counts = [(kind, sum(mark.kind is kind for some in marks for mark in some)) for kind in DrawnAs]
    return [(kind, count) for kind, count in counts if count]


def _columns(width: float) -> int:
    return 6 if width > ONE_COLUMN else 2


def _legend_rows(marks: Sequence[Sequence[AttemptMark]], width: float) -> int:
    return math.ceil(len(_kinds(marks)) / _columns(width))


def _legend(figure: Any, marks: Sequence[Sequence[AttemptMark]], width: float, height: float) -> None:
    from matplotlib.lines import Line2D

    note = _note_lines(marks, width)
    handles = [Line2D([], [], label=f"{k.word} ({n})", **style_of(k)) for k, n in _kinds(marks)]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, (0.07 + 0.1 * len(note)) / height),
        ncols=_columns(width),
        frameon=False,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0.1,
        labelspacing=0.3,
    )
    figure.text(0.01, 0.05 / height, "\n".join(note), fontsize=6, color="#666666", va="bottom")


def _note_lines(marks: Sequence[Sequence[AttemptMark]], width: float) -> list[str]:
    """What the bars and the hollow marks say, in lines that have room."""
    said = bar_words(mark for some in marks for mark in some)
    upright = f"upright bars: {said}; " if said else ""
    return wrap(f"{upright}level bars: the range of joules", 140 if width > ONE_COLUMN else 68)


def _said(marks: Sequence[AttemptMark], panels: Sequence[AttemptsPanel]) -> list[str]:
    """The picture in words, for who cannot see it."""
    kinds = ", ".join(f"{count} {kind.word}" for kind, count in _kinds([marks]))
    lines = [f"Energy against Δ on logarithmic axes, an attempt a mark: {kinds}."]
    kept = [mark for mark in marks if mark.kind is DrawnAs.KEPT and mark.above(0) and mark.joules > 0]
    # By the upper end of its joules, as everywhere.
    best = max(kept, key=lambda mark: (mark.delta or 0.0) / mark.joules_hi, default=None)
    if best is not None and len(panels) == 1:
        eta = 1000 * (best.delta or 0.0) / best.joules
        unit = shown(panels[0].unit)
        lines.append(
            f"The best deal is #{best.number}: Δ {best.delta:+.4f} {unit} for {best.joules:.1f} J, "
            f"η {eta:.3g} {unit}/kJ."
        )
    return lines
