"""The report of a state as lines for a terminal, and of two states as lines and tables."""

from __future__ import annotations

__all__ = ["comparison_lines", "report_lines"]

from collections.abc import Iterator

from cryoflux.energy.derived import Rates, derived_line
from cryoflux.log_view import Log
from cryoflux.quantities import RangeKind, hit_words
from cryoflux.queries.comparison import Comparison
from cryoflux.queries.results import Gained, Results, TaskResults, results_of
from cryoflux.report.attempt_words import attempt_text
from cryoflux.report.comparison_words import comparison_report
from cryoflux.report.layout import unbroken
from cryoflux.report.log_words import log_lines
from cryoflux.report.parts import ReportTable
from cryoflux.report.recall_words import recall_lines
from cryoflux.report.results_words import sure_text

_MODELLED = (
    "Modelled joules: the range is what is plausible, no 95 % interval; the same work costs more alone than "
    "beside a neighbour, so compare runs only at the same load by others."
)


def report_lines(log: Log, rates: Rates) -> Iterator[tuple[int, str]]:
    """Every attempt, what they came to, how sure that is and what next; each line with its indent.

    Args:
        log: the log.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    receipts = (receipt for entry in log.entries() if (receipt := entry.receipt) is not None)
    several = len({attempt.task for attempt in log}) > 1
    for attempt, receipt in zip(log, receipts, strict=True):
        yield 5, attempt_text(attempt.number, receipt, attempt.paid, several=several)
    yield 2, ""
    for line in log_lines(log):
        yield 2, line
    results = results_of(log, rates)
    for task in results.tasks:
        yield from ((9, line) for line in _task_lines(task, several=len(results.tasks) > 1))
    if results.spent.known is not None and (derived := derived_line(results.spent.known, rates)):
        yield 2, derived
    if any(attempt.range_kind is RangeKind.PLAUSIBLE for attempt in log):
        yield 2, _MODELLED
    yield from ((9, line) for line in _closing(results))


def _task_lines(task: TaskResults, *, several: bool) -> Iterator[str]:
    if several:
        yield f"task     {task.name}"
    for name, gained in (("holdout", task.holdout), ("audit", task.audit)):
        if gained.after is not None:
            shown = gained is task.audit and task.first != task.head
            yield f"{name:<8} {_gained(task, gained)}{_ends(gained) if shown else ''}"
    yield from recall_lines(task.recalls)
    if task.rule is not None:
        yield f"sure     {sure_text(task)}"


def _gained(task: TaskResults, gained: Gained) -> str:
    after, before = gained.after, gained.before if task.first != task.head else None
    if after is None:
        return "not measured"
    first = f"{before.loss:.4f} → " if before is not None else ""
    text = f"loss {first}{after.loss:.4f} {task.unit}"
    if after.accuracy is not None:
        known = before.accuracy if before is not None else None
        begun = f"{100 * known:.1f} → " if known is not None else ""
        text += f", {hit_words(task.unit)} {begun}{100 * after.accuracy:.1f} %"
    return f"{text}; Δ {gained.delta:+.4f}" if before is not None and gained.delta is not None else text


def _ends(gained: Gained) -> str:
    """The interval of a set that chose nothing; on the holdout, which chose, it does not hold."""
    if gained.delta_lo_95 is None or gained.delta_hi_95 is None:
        return ""
    return f", 95 % [{gained.delta_lo_95:+.4f}, {gained.delta_hi_95:+.4f}]"


def _closing(results: Results) -> Iterator[str]:
    for one in results.not_kept:
        what = "stopped by the screen" if one.screened else one.outcome
        yield f"refused  {one.count} {what}, such as #{one.newest}: {one.said}"
    for advice in results.next:
        command = f"  {unbroken(advice.command)}" if advice.command else ""
        yield f"next     {advice.said}{command}"
    if results.entries:
        yield f"check    {unbroken(results.checks[0])}"


def comparison_lines(comparison: Comparison, rates: Rates) -> Iterator[str | ReportTable]:
    """Two states side by side: lines and tables, in their order."""
    document = comparison_report(comparison, rates)
    yield document.headline
    for part in document.parts:
        if part.text or part.tables or part.commands:
            yield ""
            yield f"{part.title}:"
        yield from part.text
        yield from (table for table in part.tables if table.rows)
        yield from part.after
        yield from map(unbroken, part.commands)
