"""Two states side by side in words: Δ, accuracy, joules, η, how sure, and what does not compare."""

from __future__ import annotations

__all__ = ["comparison_report", "verdict_text"]

from collections.abc import Callable, Iterator

from cryoflux.energy.derived import Rates, derived_line
from cryoflux.quantities import efficiency, format_nats, hit_words
from cryoflux.queries.comparison import Comparison, HeadToHead, TaskPair
from cryoflux.queries.results import Gained, Results, TaskResults
from cryoflux.report.attempt_words import energy_text
from cryoflux.report.layout import Cells
from cryoflux.report.parts import ReportDocument, ReportPart, ReportTable
from cryoflux.report.results_words import cost_text, gain_text, sure_text


def comparison_report(comparison: Comparison, rates: Rates) -> ReportDocument:
    """The document about two states.

    Args:
        comparison: of both.
        rates: what a kilowatt-hour emits and costs, as it is set.
    """
    both = (comparison.first, comparison.second)
    names = _names(*both)
    about = tuple(f"{name} is {one.state}: {_in_short(one)}" for name, one in zip(names, both, strict=True))
    parts = [
        ReportPart("Side by side", about, tuple(_table(pair, comparison) for pair in comparison.tasks)),
        ReportPart(
            "Head against head",
            () if any(p.head_to_head for p in comparison.tasks) else (_NOT_PAIRED,),
            tuple(_paired(pair) for pair in comparison.tasks if pair.head_to_head),
            after=tuple(_paired_note(comparison)),
        ),
        ReportPart("What does not compare", tuple(_differing(comparison)) or ("Nothing stands against it.",)),
        ReportPart("How sure each is", tuple(_sure(comparison)), figure="progress"),
        ReportPart("What it cost", tuple(_costs(comparison, rates))),
        ReportPart("How to check it", commands=(*both[0].checks[:1], *both[1].checks[:1])),
    ]
    return ReportDocument("CryoFlux report: two states", verdict_text(comparison), tuple(parts))


_NOT_PAIRED = (
    "The heads could not be compared example by example: they were judged on other examples, or their losses "
    "by example are not here."
)


def _names(first: Results, second: Results) -> tuple[str, str]:
    return ("A", "B") if first.state != second.state else ("A", "B (the same state)")


def _in_short(results: Results) -> str:
    gains = "; ".join(gain_text(task) for task in results.tasks) or "nothing has been tried"
    return f"{gains}, for {cost_text(results)}."


def verdict_text(comparison: Comparison) -> str:
    """The comparison in one sentence: which head is better, and which state was cheaper."""
    if not comparison.comparable:
        return f"The two do not compare. {_why_not(comparison)}"
    said = [_pair_verdict(pair) for pair in comparison.tasks]
    return f"{'; '.join(said)}; {_cost_verdict(comparison)}."


def _why_not(comparison: Comparison) -> str:
    found = [*comparison.differences, *(one for pair in comparison.tasks for one in pair.differences)]
    return " ".join(one.said for one in found if one.spoils == "delta")


def _pair_verdict(pair: TaskPair) -> str:
    name = f"{pair.name}: "
    if not pair.comparable:
        return f"{name}does not compare"
    if pair.first.head == pair.second.head:
        return f"{name}both heads are the same version"
    if not pair.head_to_head and pair.first.first != pair.second.first:
        return (
            f"{name}not compared, for they began with different versions, and have no losses by example here"
        )
    if not pair.head_to_head:
        return f"{name}Σ Δ {format_nats(pair.first.total.delta)} and {format_nats(pair.second.total.delta)}"
    best = pair.head_to_head[0]
    if best.lo_95 <= 0 <= best.hi_95:
        return f"{name}neither head is told to be better on the {best.part} set ({_delta(best, pair)})"
    better = "B's" if best.delta > 0 else "A's"
    return f"{name}{better} head is better on the {best.part} set ({_delta(best, pair)})"


def _delta(one: HeadToHead, pair: TaskPair) -> str:
    unit = pair.first.unit
    return f"B − A: Δ {one.delta:+.4f} {unit}, 95 % [{one.lo_95:+.4f}, {one.hi_95:+.4f}]"


def _cost_verdict(comparison: Comparison) -> str:
    apart = comparison.joules_told_apart
    ours, theirs = comparison.first.spent.known, comparison.second.spent.known
    if apart is None or ours is None or theirs is None:
        return "what they cost does not compare"
    if ours == theirs:
        return "both cost the same"
    cheaper = "A" if ours.uj <= theirs.uj else "B"
    if not apart:
        return f"{cheaper} cost less by the estimate, within the ranges of both"
    return f"{cheaper} cost less"


def _table(pair: TaskPair, comparison: Comparison) -> ReportTable:
    both = ((pair.first, comparison.first), (pair.second, comparison.second))
    hits = hit_words(pair.first.unit)
    lines: tuple[tuple[str, Callable[[TaskResults, Results], str]], ...] = (
        ("model", lambda task, _: task.model_name or "not said"),
        ("data", lambda task, _: task.data_name),
        ("attempts, kept", lambda _, results: f"{results.summary.attempts}, {results.summary.kept}"),
        (f"Σ Δ ({pair.first.unit})", lambda task, _: format_nats(task.total.delta)),
        ("audit loss", lambda task, _: _loss(task.audit)),
        ("audit Δ, 95 %", lambda task, _: _gain(task.audit)),
        (f"audit {hits}", lambda task, _: _accuracy(task.audit)),
        ("holdout loss", lambda task, _: _loss(task.holdout)),
        (f"holdout {hits}", lambda task, _: _accuracy(task.holdout)),
        ("energy", lambda _, results: cost_text(results)),
        ("η per kJ, all-in", _eta),
        ("looks at the holdout", lambda task, _: str(task.total.looks)),
    )
    rows: list[Cells] = [(name, *(of(*one) for one in both)) for name, of in lines]
    return ReportTable((pair.name, "A", "B"), tuple(rows), (False, True, True))


def _loss(gained: Gained) -> str:
    if gained.after is None:
        return "not measured"
    before = f"{gained.before.loss:.4f} → " if gained.before is not None else ""
    return f"{before}{gained.after.loss:.4f}"


def _gain(gained: Gained) -> str:
    if gained.delta is None:
        return "not measured"
    if gained.delta_lo_95 is None or gained.delta_hi_95 is None:
        return format_nats(gained.delta)
    return f"{gained.delta:+.4f} [{gained.delta_lo_95:+.4f}, {gained.delta_hi_95:+.4f}]"


def _accuracy(gained: Gained) -> str:
    if gained.after is None or gained.after.accuracy is None:
        return "not measured"
    first = gained.before.accuracy if gained.before is not None else None
    before = f"{100 * first:.1f} → " if first is not None else ""
    return f"{before}{100 * gained.after.accuracy:.1f} %"


def _eta(task: TaskResults, results: Results) -> str:
    if results.spent.all_in is None or len(results.tasks) > 1:
        return "not known"
    eta = efficiency(task.total.delta, results.spent.all_in.uj)
    return f"{eta:+.3f}" if eta is not None else "not known"


def _paired(pair: TaskPair) -> ReportTable:
    rows = tuple(
        (one.part, f"{one.count:,}", f"{one.delta:+.4f}", f"[{one.lo_95:+.4f}, {one.hi_95:+.4f}]")
        for one in pair.head_to_head
    )
    heading = ("set", "examples", f"Δ, B against A ({pair.first.unit})", "95 %")
    return ReportTable(heading, rows, (False, True, True, True))


def _paired_note(comparison: Comparison) -> Iterator[str]:
    if any(pair.head_to_head for pair in comparison.tasks):
        yield (
            "Both heads on the same examples, one by one: above zero B's head is better. The interval is one "
            "for a single look; heads were chosen on the holdout, so believe the audit set."
        )


def _differing(comparison: Comparison) -> Iterator[str]:
    for one in comparison.differences:
        yield one.said
    for pair in comparison.tasks:
        for one in pair.differences:
            yield f"{pair.name}: {one.said}"


def _sure(comparison: Comparison) -> Iterator[str]:
    for pair in comparison.tasks:
        yield f"A: {sure_text(pair.first)}"
        yield f"B: {sure_text(pair.second)}"


def _costs(comparison: Comparison, rates: Rates) -> Iterator[str]:
    for name, one in (("A", comparison.first), ("B", comparison.second)):
        if one.spent.known is not None:
            derived = derived_line(one.spent.known, rates)
            yield f"{name}: {energy_text(one.spent.known)}.{f' {derived}' if derived else ''}"
