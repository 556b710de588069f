"""A report as one HTML file: text, tables and the charts of the pages, without a network or a script.

It holds its style itself, may fetch nothing (its content security policy says so), and prints well.
"""

from __future__ import annotations

__all__ = ["comparison_html", "results_html"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.energy.derived import Rates
from cryoflux.pages.charts.scatter import Scatter, scatter
from cryoflux.pages.charts.steps import StepLine, Steps, steps
from cryoflux.pages.render import STATIC, fill
from cryoflux.queries.comparison import Comparison
from cryoflux.queries.marks import DrawnAs, drawn_as, mark_of
from cryoflux.queries.results import Results, TaskResults
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.comparison_words import comparison_report
from cryoflux.report.parts import ReportDocument
from cryoflux.report.results_words import results_report

_MOST_ROWS = 60
"""attempts in a table of their own; an export has all of them"""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """An attempt in one line of a document."""

    attempt: Attempt
    kind: DrawnAs


@dataclass(frozen=True, slots=True)
class DocumentFigures:
    """What a document draws."""

    attempts: Sequence[tuple[str, Scatter]]
    """name of a panel, empty where it is the only one, and its picture"""
    progress: Mapping[str, Sequence[tuple[str, Steps]]]
    """task → what is drawn of it over joules, each with what it is"""
    rows: Sequence[DocumentRow]
    count: int
    """attempts in all"""


def results_html(results: Results, rates: Rates) -> str:
    """The report of a state.

    Args:
        results: what it has come to.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    rows = [DocumentRow(one, drawn_as(one)) for one in results.attempts[-_MOST_ROWS:]]
    several = len(results.tasks) > 1
    panels = [
        (task.name if several else "", [one for one in results.attempts if one.task == task.name])
        for task in results.tasks
    ]
    progress = {task.name: _progress([("", results, task)]) for task in results.tasks if task.curve}
    figures = DocumentFigures(_attempts(panels, rows), progress, rows, len(results.attempts))
    return _written(results_report(results, rates), figures)


def comparison_html(comparison: Comparison, rates: Rates) -> str:
    """The report of two states.

    Args:
        comparison: of both.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    both = (("A", comparison.first), ("B", comparison.second))
    panels = [
        (f"{name}: {pair.name}", [one for one in results.attempts if one.task == pair.name])
        for pair in comparison.tasks
        for name, results in both
    ]
    progress = {
        pair.name: _progress([("A", comparison.first, pair.first), ("B", comparison.second, pair.second)])
        for pair in comparison.tasks
        if pair.comparable and pair.first.curve and pair.second.curve
    }
    figures = DocumentFigures(_attempts(panels, ()), progress, (), 0)
    return _written(comparison_report(comparison, rates), figures)


def _attempts(
    panels: Sequence[tuple[str, Sequence[Attempt]]], rows: Sequence[DocumentRow]
) -> list[tuple[str, Scatter]]:
    listed = {row.attempt.number for row in rows}
    found = []
    for name, attempts in panels:
        title = f"{name or 'energy against improvement'}, {len(attempts)} attempts"
        marks = [mark_of(one) for one in attempts]
        drawn = scatter(marks, lambda number: f"#a-{number}" if number in listed else "#attempts", title)
        if drawn is not None:
            found.append((name, drawn))
    return found


def _progress(lines: Sequence[tuple[str, Results, TaskResults]]) -> list[tuple[str, Steps]]:
    """Loss over joules, and accuracy where examples can be right or wrong."""
    drawn = []
    for accuracy in (False, True):
        some = [
            StepLine(name, points, sum(a.joules for a in results.attempts if a.task == task.name))
            for name, results, task in lines
            if (points := _points(task, accuracy=accuracy))
        ]
        what = "accuracy on the holdout, %" if accuracy else f"loss on the holdout, {lines[0][2].unit}"
        if some:
            drawn.append((what, steps(some, what)))
    return drawn


def _points(task: TaskResults, *, accuracy: bool) -> list[tuple[float, float, str]]:
    found = []
    for point in task.curve:
        value = 100 * point.accuracy if accuracy and point.accuracy is not None else point.loss
        if not accuracy or point.accuracy is not None:
            found.append((point.joules, value, point.holdout))
    return found


def _written(document: ReportDocument, figures: DocumentFigures) -> str:
    sheets = (STATIC / name for name in ("pages.css", "document.css"))
    style = Markup("\n".join(sheet.read_text("utf-8") for sheet in sheets))  # noqa: S704 - files of ours
    return fill("document.html", document=document, figures=figures, style=style)
