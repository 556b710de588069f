"""How a task's head came along, and which classes it is right on, as parts of a document."""

from __future__ import annotations

__all__ = ["progress_part", "recalls_part"]

from collections.abc import Sequence

from cryoflux.evaluation.recall import ClassRecall
from cryoflux.quantities import hit_words
from cryoflux.queries.progress import CurvePoint
from cryoflux.queries.results import TaskResults
from cryoflux.report.parts import ReportPart, ReportTable

_MOST_POINTS = 40
"""rows of a table; JSON has them all"""


def progress_part(task: TaskResults, *, several: bool) -> ReportPart:
    """Loss and accuracy of the head over joules, a row a kept update.

    Args:
        task: with a curve.
        several: more than one task is at work, so it is named.
    """
    name = f"{task.name}: " if several else ""
    hits = hit_words(task.unit)
    points = (
        task.curve if len(task.curve) <= _MOST_POINTS else (task.curve[0], *task.curve[1 - _MOST_POINTS :])
    )
    rows = tuple(
        (
            _reached(point, before),
            f"{point.joules:.1f}",
            f"{point.joules_lo:.1f} to {point.joules_hi:.1f}",
            f"{point.loss:.4f}",
            f"{100 * point.accuracy:.1f} %" if point.accuracy is not None else "",
        )
        for before, point in zip((None, *points), points, strict=False)
    )
    heading = ("after", "joules of attempts", "range", f"loss ({task.unit})", hits)
    table = ReportTable(heading, rows, (False, True, True, True, True))
    text = ("On the holdout, by the joules of all attempts of the task so far, refused ones included.",)
    return ReportPart(
        f"{name}{hits.capitalize()} and loss over joules", text, (table,), figure=f"progress:{task.name}"
    )


def _reached(point: CurvePoint, before: CurvePoint | None) -> str:
    """How a curve came to a point: by an attempt, or else by what."""
    if point.attempt:
        return f"#{point.attempt}"
    if before is None:
        return "begin"
    return "moved" if before.holdout == point.holdout else "new holdout"


def recalls_part(task: TaskResults) -> ReportPart:
    """Recall by class of the first version and of the head."""
    rows = tuple(
        (
            one.label,
            f"{one.count:,}",
            f"{100 * one.before:.1f} %" if one.before is not None else "",
            f"{100 * one.after:.1f} %",
        )
        for one in task.recalls
    )
    table = ReportTable(("class", "examples", "before", "after"), rows, (False, True, True, True))
    text: tuple[str, ...] = (
        "Classes are uneven, so that a mean may hide one that is never right; the worst first.",
    )
    if (only := _only_class(task.recalls)) is not None:
        text += (f"The first version calls everything {only}: accuracy and Δ count from that.",)
    worse = [
        f"{one.label} ({100 * one.before:.1f} → {100 * one.after:.1f} %)"
        for one in task.recalls
        if one.before is not None and one.after < one.before
    ]
    if worse:
        text += (f"Less often right than at the start: {', '.join(worse)}.",)
    return ReportPart(f"{task.name}: recall by class on the holdout", text, (table,))


def _only_class(recalls: Sequence[ClassRecall]) -> str | None:
    """The class that a first version calls everything; none where it tells some apart, or nobody knows."""
    always = [one.label for one in recalls if one.before == 1]
    never = sum(one.before == 0 for one in recalls)
    return always[0] if len(always) == 1 and never == len(recalls) - 1 else None
