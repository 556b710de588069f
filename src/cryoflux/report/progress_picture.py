"""Loss and accuracy of heads over the joules of attempts, as steps: a head stays until another one is kept.

Nothing joins two holdouts. A diamond at the end is what the head scores on the audit set, which decided
nothing. Two states are told apart by line and shape, not by colour alone.
"""

from __future__ import annotations

__all__ = ["ProgressLine", "draw_progress"]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cryoflux.quantities import hit_words, worst_tier
from cryoflux.queries.progress import CurvePoint
from cryoflux.queries.results import Results, TaskResults
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.figures import ONE_COLUMN, Picture, one_line, shown

_LOOKS = (("#0072B2", "-", "o"), ("#D55E00", (0, (4, 1.5)), "s"))
_MOST_MARKS = 60


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """One task of one state."""

    name: str
    """in the legend; empty for none"""
    results: Results
    task: TaskResults

    @property
    def attempts(self) -> list[Attempt]:
        """All of the task."""
        return [attempt for attempt in self.results.attempts if attempt.task == self.task.name]

    @property
    def joules(self) -> float:
        """Charged to them."""
        return sum(attempt.joules for attempt in self.attempts)


def draw_progress(
    lines: Sequence[ProgressLine], *, width: float, title: str, caption: Sequence[str] = ()
) -> Picture:
    """The picture of one task, of one state or of two; to be called within `drawing`.

    Args:
        lines: one or two, each with a curve.
        width: inches.
        title: what it shows, in a few words.
        caption: what else is said of it, for who cannot see it.
    """
    from matplotlib.figure import Figure

    unit = lines[0].task.unit
    hits = any(point.accuracy is not None for line in lines for point in line.task.curve)
    count = 2 if hits else 1
    beside = width > ONE_COLUMN
    height = 2.6 if beside or count == 1 else 4.2
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.08)
    panels = figure.subplots(1 if beside else count, count if beside else 1, sharex=True, squeeze=False)
    loss, *more = panels.flatten()
    _draw(loss, lines, accuracy=False)
    loss.set_ylabel(f"holdout loss ({one_line(unit, 16)})")
    for axes in more:
        _draw(axes, lines, accuracy=True)
        axes.set_ylabel(f"holdout {hit_words(unit)} (%)")
    tier = worst_tier(attempt.tier for line in lines for attempt in line.attempts).value
    below = panels[-1] if beside else panels[-1][:1]
    for axes in below:
        axes.set_xlabel(f"energy of attempts so far (J, {tier})")
    loss.legend(frameon=False, fontsize=7, loc="upper right", handlelength=1.8, borderaxespad=0.2)
    return Picture(figure, title, "\n".join([*caption, *map(_said, lines)]))


def _value(point: CurvePoint, *, accuracy: bool) -> float | None:
    if not accuracy:
        return point.loss
    return 100 * point.accuracy if point.accuracy is not None else None


def _draw(axes: Any, lines: Sequence[ProgressLine], *, accuracy: bool) -> None:
    for line, (colour, dashes, marker) in zip(lines, _LOOKS, strict=False):
        label = f"{line.name}: holdout" if line.name else "holdout"
        groups = [list(some) for _, some in groupby(line.task.curve, key=lambda point: point.holdout)]
        for number, points in enumerate(groups):
            end = groups[number + 1][0].joules if number + 1 < len(groups) else line.joules
            xs = [*(point.joules for point in points), max(end, points[-1].joules)]
            known = [_value(point, accuracy=accuracy) for point in points]
            if None in known:
                continue
            ys = [*known, known[-1]]
            axes.plot(xs, ys, color=colour, linestyle=dashes, linewidth=1.2, drawstyle="steps-post")
            _marks(axes, points, known, colour, marker)
            _ranges(axes, points, known, colour)
        size = 3.6
        axes.plot([], [], color=colour, linestyle=dashes, marker=marker, markersize=size, label=label)
        _audit(axes, line, colour, accuracy=accuracy)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    axes.set_xlim(left=0)
    axes.margins(y=0.12)


def _marks(
    axes: Any, points: Sequence[CurvePoint], ys: Sequence[float | None], colour: str, marker: str
) -> None:
    size = 3.6 if len(points) <= _MOST_MARKS else 2.0
    xs = [point.joules for point in points]
    axes.plot(xs, ys, linestyle="none", marker=marker, color=colour, markersize=size, clip_on=False, zorder=4)


def _ranges(axes: Any, points: Sequence[CurvePoint], ys: Sequence[float | None], colour: str) -> None:
    """The range of the joules, of the last point of a curve with many."""
    some = list(zip(points, ys, strict=True))
    for point, y in some if len(some) <= _MOST_MARKS // 4 else some[-1:]:
        axes.hlines(y, point.joules_lo, point.joules_hi, color=colour, linewidth=0.8, alpha=0.35)


def _audit(axes: Any, line: ProgressLine, colour: str, *, accuracy: bool) -> None:
    after = line.task.audit.after
    if after is None:
        return
    value = after.loss if not accuracy else (100 * after.accuracy if after.accuracy is not None else None)
    if value is None:
        return
    axes.plot(
        [line.joules],
        [value],
        linestyle="none",
        marker="D",
        markersize=4.6,
        markerfacecolor="white",
        markeredgecolor=colour,
        label=f"{line.name}: audit set, head" if line.name else "audit set, head",
        clip_on=False,
        zorder=5,
    )


def _said(line: ProgressLine) -> str:
    """One line of the picture in words."""
    first, last, unit = line.task.curve[0], line.task.curve[-1], shown(line.task.unit)
    name = f"{line.name}: " if line.name else ""
    accuracy = ""
    if first.accuracy is not None and last.accuracy is not None:
        accuracy = f", {hit_words(unit)} from {100 * first.accuracy:.1f} to {100 * last.accuracy:.1f} %"
    kept = sum(point.attempt is not None for point in line.task.curve)
    updates = "one kept update" if kept == 1 else f"{kept} kept updates"
    return (
        f"{name}Loss on the holdout goes from {first.loss:.4f} to {last.loss:.4f} {unit}{accuracy}, "
        f"in {updates} over {line.joules:.1f} J of attempts."
    )
