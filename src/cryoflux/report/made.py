"""Documents and pictures of one state, or of two, ready to be written: one way for every format."""

from __future__ import annotations

__all__ = ["Reported"]

from collections.abc import Sequence
from typing import Any

from cryoflux.energy.derived import Rates
from cryoflux.errors import UsageError
from cryoflux.log_view import Log
from cryoflux.queries.comparison import Comparison, compare
from cryoflux.queries.results import Results, results_of
from cryoflux.report.comparison_words import comparison_report
from cryoflux.report.figures import ONE_COLUMN, TWO_COLUMNS, Picture, drawing, saved
from cryoflux.report.log_words import attempts_document, log_lines
from cryoflux.report.markdown import write_markdown
from cryoflux.report.marks import AttemptsPanel
from cryoflux.report.parts import ReportDocument
from cryoflux.report.pdf import write_pdf
from cryoflux.report.picture import draw_attempts
from cryoflux.report.progress_picture import ProgressLine, draw_progress
from cryoflux.report.results_document import comparison_document, results_document
from cryoflux.report.results_words import results_report


class Reported:
    """One state, or two, and what is said of them.

    Args:
        logs: one or two.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """

    def __init__(self, logs: Sequence[Log], rates: Rates) -> None:
        self._logs, self._rates = logs, rates

    def results(self) -> Results:
        """Of the first state."""
        return results_of(self._logs[0], self._rates)

    def comparison(self) -> Comparison:
        """Of both states."""
        first, second = self._logs
        return compare(first, second, self._rates)

    def document(self) -> dict[str, Any]:
        """For a program."""
        if len(self._logs) > 1:
            return comparison_document(self.comparison())
        return {**attempts_document(self._logs[0], self._rates), "results": results_document(self.results())}

    def parts(self) -> ReportDocument:
        """As parts that formats write in their own way."""
        if len(self._logs) > 1:
            return comparison_report(self.comparison(), self._rates)
        return results_report(self.results(), self._rates)

    def markdown(self) -> bytes:
        """Text for a repository or an issue."""
        return write_markdown(self.parts()).encode()

    def svg(self, figure: str, columns: int) -> bytes:
        """A picture.

        Args:
            figure: ``attempts`` or ``progress``.
            columns: of a paper that it is wide, 1 or 2.

        Raises:
            UsageError: there is nothing to draw, or matplotlib is not installed.
        """
        width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
        with drawing():
            pictures = self._drawn(width)[figure]
            if not pictures:
                raise UsageError(
                    "There is nothing to draw yet.",
                    why="A picture needs an attempt, and one of progress an attempt that the holdout judged.",
                    hint="Make some: cryoflux run --budget 2kJ.",
                )
            if len(pictures) > 1:
                raise UsageError(
                    f"There are {len(pictures)} pictures of that: each task has axes of its own.",
                    why="An SVG holds one picture.",
                    hint="Get all of them on pages: cryoflux report --pdf.",
                )
            return saved(pictures, "svg", pictures[0].title)

    def pdf(self) -> bytes:
        """Text and pictures on pages.

        Raises:
            UsageError: matplotlib is not installed.
        """
        with drawing():
            return write_pdf(self.parts(), self._drawn(TWO_COLUMNS))

    def _drawn(self, width: float) -> dict[str, list[Picture]]:
        """Pictures by their names; of attempts one for all tasks, of progress one a task."""
        if len(self._logs) > 1:
            return _of_two(self.comparison(), width)
        return _of_one(self.results(), self._logs[0], width)


def _of_one(results: Results, log: Log, width: float) -> dict[str, list[Picture]]:
    several = len(results.tasks) > 1
    panels = [
        AttemptsPanel(
            task.name if several else "", task.unit, [a for a in results.attempts if a.task == task.name]
        )
        for task in results.tasks
    ]
    caption, names = log_lines(log), ", ".join(task.name for task in results.tasks)
    panels = [panel for panel in panels if panel.attempts]
    title = f"CryoFlux: energy against improvement, {names}"
    attempts = [draw_attempts(panels, width=width, title=title, caption=caption)] if panels else []
    progress = [
        draw_progress(
            [ProgressLine("", results, task)],
            width=width,
            title=f"CryoFlux: loss over joules, {task.name}",
        )
        for task in results.tasks
        if task.curve
    ]
    return {"attempts": attempts, "progress": progress}


def _of_two(comparison: Comparison, width: float) -> dict[str, list[Picture]]:
    both = (comparison.first, comparison.second)
    attempts, progress = [], []
    for pair in comparison.tasks:
        panels = [
            AttemptsPanel(name, pair.first.unit, [a for a in one.attempts if a.task == pair.name])
            for name, one in zip("AB", both, strict=True)
        ]
        panels = [panel for panel in panels if panel.attempts]
        title = f"CryoFlux: energy against improvement of two states, {pair.name}"
        if panels:
            attempts.append(draw_attempts(panels, width=width, title=title, caption=(), shared=True))
        lines = [
            ProgressLine(name, one, task)
            for name, one, task in zip("AB", both, (pair.first, pair.second), strict=True)
            if task.curve
        ]
        title = f"CryoFlux: loss over joules of two states, {pair.name}"
        # Losses on other examples have no axis in common.
        groups = [lines] if pair.comparable else [[line] for line in lines]
        progress += [draw_progress(some, width=width, title=title) for some in groups if some]
    return {"attempts": attempts, "progress": progress}
