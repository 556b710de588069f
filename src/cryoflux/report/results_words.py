"""The results of a state in words: what it cost, what was gained, how sure that is, what next.

The same parts are a Markdown, an HTML and a PDF document, and some lines end what the terminal shows.
"""

from __future__ import annotations

__all__ = [
    "cost_text",
    "gain_row",
    "gain_text",
    "headline",
    "kept_table",
    "results_report",
    "sure_text",
]

from collections.abc import Iterator, Sequence

from cryoflux.decision.rules import NO_WORSE, WITH_BUDGET
from cryoflux.energy.derived import Rates
from cryoflux.log_view import TaskTotal
from cryoflux.quantities import (
    MRR,
    NANO,
    counted,
    efficiency,
    format_nats,
    hit_words,
)
from cryoflux.queries.results import Gained, Results, TaskResults
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.per_token import per_token_text
from cryoflux.report.attempt_words import energy_text
from cryoflux.report.cost_words import cost_lines, cost_table, offered_lines
from cryoflux.report.curve_words import progress_part, recalls_part
from cryoflux.report.judged_words import judgements_text, last_judgement_text
from cryoflux.report.layout import Cells
from cryoflux.report.parts import ReportDocument, ReportPart, ReportTable
from cryoflux.report.run_words import run_lines
from cryoflux.runs.scores import Scores

_MOST_KEPT = 40
"""kept updates in a table; JSON and export have them all"""
_CHAINED = (
    "Energy is what the attempt itself was charged; η counts all attempts of its chain that paid for its Δ."
)
_MANY_LOOKS = "none: it chose"


def results_report(results: Results, rates: Rates) -> ReportDocument:
    """The document about a state.

    Args:
        results: what it has come to.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    judged = results.summary.judged
    names = ", ".join(task.name for task in results.tasks) or ("judgements" if judged else "no task yet")
    parts = [
        ReportPart("What it is about", (*map(_about, results.tasks), *run_lines(results), *_forked(results))),
        ReportPart("What was judged that others made", (f"{judgements_text(judged)}.",) if judged else ()),
        ReportPart("What others offered", tuple(offered_lines(results))),
        ReportPart("What it cost", tuple(cost_lines(results, rates)), (cost_table(results),)),
        ReportPart("What was gained", tables=tuple(_gains(results)), after=tuple(_gain_notes(results))),
        ReportPart("How sure that is", tuple(_sure_lines(results))),
        _attempts(results),
        _kept(results),
        _refused(results),
        *(progress_part(task, several=len(results.tasks) > 1) for task in results.tasks if task.curve),
        *(recalls_part(task) for task in results.tasks if task.recalls),
        _next(results),
        _checks(results),
    ]
    title = f"CryoFlux report: {names}"
    return ReportDocument(title, headline(results), tuple(part for part in parts if _says_something(part)))


def _about(task: TaskResults) -> str:
    model = f"model {task.model_name}" if task.model_name else "a model that the state does not name"
    return f"{task.name}: {model}, data set {task.data_name}, head version {task.head}."


def _forked(results: Results) -> Iterator[str]:
    if results.parent:
        yield (
            f"This log goes on from another one, {results.parent}: what that gained and cost is not counted "
            "here, and the head that it took over is the first version here."
        )


def _says_something(part: ReportPart) -> bool:
    tables = any(table.rows for table in part.tables)
    return bool(part.text or tables or part.points or part.commands or part.after)


def headline(results: Results) -> str:
    """The result in one sentence."""
    cost = cost_text(results)
    judged = [t for t in results.tasks if t.holdout.after is not None or t.total.of_others]
    if not judged:
        if results.attempts:
            return f"Nothing has been judged yet; {cost}."
        if results.summary.judged is not None:
            return f"{last_judgement_text(results.summary.judged)}."
        return f"Nothing has been tried {'since the fork' if results.parent else 'yet'}."
    several = len(results.tasks) > 1
    gained = "; ".join(f"{task.name}: {gain_text(task)}" if several else gain_text(task) for task in judged)
    return f"{gained}, for {cost}."


def cost_text(results: Results) -> str:
    """What all of it cost: ``182.7 J [73.1, 418], modelled, all-in``."""
    spent = results.spent
    if spent.all_in is not None:
        return f"{energy_text(spent.all_in)}, all-in"
    if spent.known is None:
        return "nothing that is on the log"
    return f"at least {energy_text(spent.known)} (what is on the log)"


def gain_text(task: TaskResults) -> str:
    """How much better the head is, by the set that decided nothing where that was measured."""
    if task.first == task.head:
        return "no update was kept"
    audit = task.audit
    if audit.delta is not None:
        return (
            f"{_better(task, audit.delta)} on the audit set{_ends_text(audit)}{_accuracy_move(task, audit)}"
        )
    if task.holdout.delta is not None:
        each = per_token_text(task.holdout.delta, task.unit, task.total.tokens_per_example)
        said = f"{_better(task, task.holdout.delta)}{f' ({each})' if each else ''} on the holdout"
        return f"{said}{_accuracy_move(task, task.holdout)}"
    each = f" ({task.total.delta_per_token})" if task.total.delta_per_token else ""
    return f"Δ {format_nats(task.total.delta)} {task.unit}{each} in all kept updates{_own(task.total)}"


def _own(total: TaskTotal) -> str:
    return " of its own, and rounds moved its head" if total.of_others else ""


def _better(task: TaskResults, delta: float) -> str:
    word = "better" if delta >= 0 else "worse"
    if task.unit == MRR:
        return f"MRR@10 {abs(delta):.4f} {word}"
    return f"{abs(delta):.4f} {task.unit} {word}"


def _ends_text(gained: Gained) -> str:
    if gained.delta_lo_95 is None or gained.delta_hi_95 is None:
        return ""
    return f", 95 % [{gained.delta_lo_95:+.4f}, {gained.delta_hi_95:+.4f}]"


def _accuracy_move(task: TaskResults, gained: Gained) -> str:
    before, after = gained.before, gained.after
    if before is None or after is None or before.accuracy is None or after.accuracy is None:
        return ""
    return f", {hit_words(task.unit)} {100 * before.accuracy:.1f} → {100 * after.accuracy:.1f} %"


def _gains(results: Results) -> Iterator[ReportTable]:
    for task in results.tasks:
        name = f"{task.name}: " if len(results.tasks) > 1 else ""
        hits = hit_words(task.unit)
        row = gain_row if task.first != task.head else _unmoved_row
        rows = [
            row(f"{name}audit", task.audit, one_look=True),
            row(f"{name}holdout", task.holdout, one_look=False),
        ]
        heading = ("set", "examples", f"loss ({task.unit})", f"Δ ({task.unit})", "95 % of Δ, one look", hits)
        yield ReportTable(heading, tuple(rows), (False, True, True, True, True, True))


def gain_row(name: str, gained: Gained, *, one_look: bool) -> Cells:
    """A set as a row: its name, examples, losses, Δ, its interval, accuracies.

    Args:
        name: of the set.
        gained: on it.
        one_look: nothing was chosen by the set, so that its fixed interval holds what it says.
    """
    ends = _ends_text(gained).removeprefix(", 95 % ") if one_look else _MANY_LOOKS
    return (
        name,
        f"{gained.count:,}",
        _arrow(*(f"{one.loss:.4f}" if one else "" for one in (gained.before, gained.after))),
        format_nats(gained.delta) if gained.delta is not None else "not measured",
        ends or "not known",
        _arrow(_percent(gained.before), _percent(gained.after, " %")),
    )


def _unmoved_row(name: str, gained: Gained, *, one_look: bool) -> Cells:
    """The same where no update was kept: a version has no gain over itself."""
    count, loss = f"{gained.count:,}", f"{gained.after.loss:.4f}" if gained.after else "not measured"
    del one_look  # there is no interval either
    return (name, count, loss, "no update kept", "", _percent(gained.after, " %") or "not known")


def _percent(scores: Scores | None, unit: str = "") -> str:
    return f"{100 * scores.accuracy:.1f}{unit}" if scores and scores.accuracy is not None else ""


def _arrow(before: str, after: str) -> str:
    if not after:
        return "not measured"
    return f"{before} → {after}" if before else f"{after} at the end"


def _gain_notes(results: Results) -> Iterator[str]:
    if any(task.audit.delta is not None and task.first != task.head for task in results.tasks):
        yield (
            "No decision ever looked at the audit set; its interval is one for a single look. Its losses are "
            "what the run computed and are not signed. Those of the holdout are signed, example by example. "
            "It chose what was kept, so no such interval holds on it: each update has the one that decided."
        )
    for task in results.tasks:
        if task.total.taken_back:
            yield f"{task.name}: without {counted(task.total.taken_back, 'kept update')} taken back."
        spent = results.spent.all_in
        if spent is not None and len(results.tasks) == 1:
            eta = efficiency(task.total.delta, spent.uj)
            if eta is not None:
                own = " of its own updates alone" if task.total.of_others else ""
                yield (
                    f"η is {eta:+.3f} {task.unit} per kJ all-in, by Σ Δ {format_nats(task.total.delta)}{own}."
                )


def _sure_lines(results: Results) -> Iterator[str]:
    for task in results.tasks:
        name = f"{task.name}: " if len(results.tasks) > 1 else ""
        yield name + sure_text(task)
    if results.attempts:
        yield (
            "This report is derived from the log and has verified nothing: bytes, order, arithmetic and "
            "decisions can be proven, losses computed again (see How to check it); joules, hardware and that "
            "nothing else was tried are attested by whoever ran it."
        )


def sure_text(task: TaskResults) -> str:
    """How sure the improvement is, by the rule that decided."""
    rule, looks = task.rule, task.total.looks
    looked = "one look" if looks == 1 else f"{looks} looks"
    if rule is None:
        before = f" The log that it goes on from took {looked} at this holdout, which count here too."
        return f"No rule has decided anything here yet.{before if looks else ''}"
    if rule.name == NO_WORSE:
        lost = f"{rule.min_delta / NANO:g} {task.unit}"
        return f"Rule {rule.name}: an update is kept where a loss of {lost} is ruled out; {looked} so far."
    if rule.name in WITH_BUDGET and task.alpha:
        return (
            f"Rule {rule.name}: that this holdout ever keeps an update which is no improvement has a "
            f"probability of at most {100 * task.alpha:g} %, however often it is looked at; {looked} so far."
        )
    return f"Rule {rule.name}: each look errs by itself, and {looked} add up; no error budget bounds them."


def _attempts(results: Results) -> ReportPart:
    summary = results.summary
    words = ("kept", "rejected", "undecided", "carried", "aborted", "open")
    counts = [(word, getattr(summary, word)) for word in words]
    said = ", ".join(f"{count} {word}" for word, count in counts if count)
    screened = sum(attempt.screened_out for attempt in results.attempts)
    aside = f" Of the rejected, screens stopped {screened}." if screened else ""
    text = (f"{counted(summary.attempts, 'attempt')}: {said}.{aside}",) if results.attempts else ()
    return ReportPart("What was tried", text, figure="attempts")


def _kept(results: Results) -> ReportPart:
    kept = results.kept
    table = kept_table(kept[-_MOST_KEPT:], several=len(results.tasks) > 1)
    more = f"The newest {_MOST_KEPT} of {len(kept)}; the export has all." if len(kept) > _MOST_KEPT else ""
    names = dict.fromkeys(one.delta_interval.name for one in kept if one.delta_interval is not None)
    note = f"The interval of Δ is the one that decided: {' or '.join(names)}." if names else ""
    chained = _CHAINED if any(attempt.chain_attempts > 1 for attempt in kept) else ""
    notes = (more, note, chained)
    return ReportPart("What was kept", tables=(table,), after=tuple(filter(None, notes)))


def kept_table(kept: Sequence[Attempt], *, several: bool) -> ReportTable:
    """Kept updates as a table.

    Args:
        kept: their attempts.
        several: more than one task is at work, so the task is named.
    """
    rows = tuple(_kept_row(attempt, several=several) for attempt in kept)
    heading = ("#", "recipe", "Δ", "interval that decided", "right", "energy", "η per kJ", "receipt")
    return ReportTable(heading, rows, (True, False, True, True, True, True, True, False))


def _kept_row(attempt: Attempt, *, several: bool) -> Cells:
    one = attempt.delta_interval
    interval = f"[{one.low:+.4f}, {one.high:+.4f}]" if one is not None else ""
    right = ""
    if attempt.accuracy_before is not None and attempt.accuracy_after is not None:
        right = f"{100 * attempt.accuracy_before:.1f} → {100 * attempt.accuracy_after:.1f} %"
    return (
        str(attempt.number),
        f"{attempt.task}/{attempt.arm}" if several else attempt.arm,
        f"{attempt.delta:+.4f}" if attempt.delta is not None else "",
        interval,
        right,
        energy_text(attempt.energy).rpartition(",")[0],
        f"{attempt.eta_per_kj:+.3g}" if attempt.eta_per_kj is not None else "",
        f"{attempt.receipt_hash[:8]}…",
    )


def _refused(results: Results) -> ReportPart:
    rows = tuple(
        (
            str(one.count),
            "stopped by the screen" if one.screened else one.outcome,
            energy_text(one.energy).rpartition(",")[0],
            f"#{one.newest}",
            one.said,
        )
        for one in results.not_kept
    )
    heading = ("how many", "outcome", "energy", "newest", "why that one")
    table = ReportTable(heading, rows, (True, False, True, True, False))
    text = () if rows or not results.attempts else ("Nothing was refused.",)
    return ReportPart("What was refused, and why", text, (table,))


def _next(results: Results) -> ReportPart:
    points = tuple((one.said, one.command) for one in results.next)
    return ReportPart("What next", () if points else ("Nothing is open.",), points=points)


def _checks(results: Results) -> ReportPart:
    if not results.entries:
        return ReportPart("How to check it")
    signed = ", ".join(results.signers)
    return ReportPart(
        "How to check it",
        (
            f"The log has {counted(results.entries, 'entry', 'entries')}; the last is {results.last_entry}.",
            f"They are signed by the key {signed}: whose it is, you have to know (--key FILE).",
        ),
        commands=results.checks,
        after=("The last command makes a folder that can be checked with openssl, jq and sha256sum alone.",),
    )
