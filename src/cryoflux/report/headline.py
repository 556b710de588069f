"""The one line that a state is told by, and the sentence under it."""

from __future__ import annotations

__all__ = ["headline", "lede"]

from collections.abc import Mapping, Sequence
from itertools import takewhile

from cryoflux.log_view import LogSummary, TaskTotal
from cryoflux.quantities import MICRO, RangeKind, counted, format_energy, hit_words
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.judged_words import judgements_text, last_judgement_text
from cryoflux.report.network_words import rounds_text
from cryoflux.runs.scores import Change

_SEVERAL = 3
_KINDS = ("kept", "undecided", "rejected", "carried", "aborted")


def headline(summary: LogSummary) -> str:
    """``1.49 nats better on the holdout for 810 J.``: what all of it brought and cost."""
    spent = summary.known
    cost = f" for {format_energy(spent.uj)}" if spent is not None else ""
    if summary.all_in is None and cost:
        cost += " in attempts so far" if summary.beside is None else " so far"
    if not summary.tasks and summary.judged is not None:
        return f"{last_judgement_text(summary.judged)}."
    if not summary.tasks:
        return f"Nothing judged yet{cost}."
    gained = [total for total in summary.tasks if total.delta > 0]
    if not gained and summary.rounds is not None and summary.rounds.accepted:
        return f"{counted(summary.rounds.adopted, 'offer')} of others adopted{cost}."
    if not gained:
        return f"Nothing gained yet{cost}."
    said = " and ".join(_gain(total, named=len(summary.tasks) > 1) for total in gained)
    return f"{said}{cost}."


def _gain(total: TaskTotal, *, named: bool) -> str:
    each = f" ({total.delta_per_token})" if total.delta_per_token else ""
    own = " by its own updates" if total.of_others else ""
    figure = f"{_figure(total.delta)} {total.unit}{each} better on the holdout{own}"
    return f"{total.name} {figure}" if named else figure


def lede(summary: LogSummary, attempts: Sequence[Attempt], scores: Mapping[str, Change]) -> str:
    """How many attempts became what, how accuracy moved, and what the joules are worth.

    Args:
        summary: of the log.
        attempts: finished ones.
        scores: task → what its first version and its head score on the holdout in use.
    """
    counts = [(kind, getattr(summary, kind)) for kind in _KINDS]
    said = ", ".join(f"{count} {kind}" for kind, count in counts if count)
    parts = [f"{counted(summary.attempts, 'attempt')}: {said}."] if said else []
    parts += [f"{judgements_text(summary.judged)}."] if summary.judged is not None else []
    parts = parts or ["No attempt has ended yet."]
    parts += [f"{rounds_text(summary.rounds)}."] if summary.rounds is not None else []
    parts += [_accuracy(total, scores, named=len(summary.tasks) > 1) for total in summary.tasks]
    parts += _since_the_last_kept(attempts)
    spent = summary.known
    if spent is not None:
        low, high = format_energy(spent.lo_uj), format_energy(spent.hi_uj)
        if spent.range_kind is RangeKind.PLAUSIBLE:
            parts.append(f"Joules are modelled from CPU time; plausible is {low} to {high}.")
        else:
            parts.append(f"The joules were measured: 95 % between {low} and {high}.")
    if summary.all_in is None and summary.energy is not None:
        parts.append("What the run spends beside its attempts is not in the log yet.")
    return " ".join(part for part in parts if part)


def _since_the_last_kept(attempts: Sequence[Attempt]) -> list[str]:
    """What was spent since something was kept, where that was several attempts ago."""
    since = list(takewhile(lambda one: not one.kept, reversed(attempts)))
    if len(since) < _SEVERAL or len(since) == len(attempts):
        return []
    joules = format_energy(sum(round(one.joules * MICRO) for one in since))
    return [f"Nothing was kept since #{attempts[-len(since) - 1].number}: {joules} in {len(since)} attempts."]


def _accuracy(total: TaskTotal, scores: Mapping[str, Change], *, named: bool) -> str:
    """How accuracy moved on the holdout in use; another one has other examples."""
    first, head = scores.get(total.name, (None, None))
    before, after = (one.accuracy if one is not None else None for one in (first, head))
    if before is None or after is None or first == head:
        return ""
    whose = f" of {total.name}" if named else ""
    word = hit_words(total.unit)
    return f"{word.capitalize()}{whose} on the holdout went from {100 * before:.1f} to {100 * after:.1f} %."


def _figure(value: float) -> str:
    """Three digits that count: ``1.50``, ``0.0549``, ``165``."""
    return f"{value:#.3g}".rstrip(".")
