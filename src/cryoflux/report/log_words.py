"""What a log has come to: the report, the caption of its picture and its JSON say one thing."""

from __future__ import annotations

__all__ = ["attempts_document", "by_class_lines", "log_lines"]

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from cryoflux.energy.derived import Rates, derived_fields
from cryoflux.errors import CryoFluxError
from cryoflux.log_view import Log, LogSummary, TaskTotal
from cryoflux.quantities import Energy, counted, efficiency_name, format_energy, format_nats
from cryoflux.queries.marks import DrawnAs, drawn_as
from cryoflux.queries.read_losses import recalls_of
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.attempt_words import energy_document, energy_text
from cryoflux.report.cut_words import cut_line
from cryoflux.report.judged_words import judgements_document, judgements_text, last_judgement_text
from cryoflux.report.network_words import rounds_document, rounds_text
from cryoflux.report.recall_words import recall_documents, recall_lines
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Origin
from cryoflux.tasks.registry import CAUSAL

_AS_THEY_ARE = (
    *("number", "task_id", "arm", "outcome", "kept", "reason", "unit", "base_loss", "new_loss", "delta"),
    *("accuracy_before", "accuracy_after", "joules", "joules_lo", "joules_hi", "receipt_hash"),
    *("chain_attempts", "chain_joules", "chain_joules_lo", "chain_joules_hi"),
    *("screen_delta", "screen_examples"),
)

_COUNTS = ("kept", "rejected", "undecided", "carried", "aborted", "open")


def log_lines(log: Log) -> list[str]:
    """How many attempts became what, their Δ, and what they cost, all-in too where that is on the log."""
    summary = log.summary()
    counts = [(kind, sum(drawn_as(attempt) is kind for attempt in log)) for kind in DrawnAs]
    said = ", ".join(f"{count} {kind.word}" for kind, count in counts if count)
    lines = []
    if summary.attempts or summary.judged is None:
        lines.append(f"{counted(summary.attempts, 'attempt')}{f': {said}' if said else ''}")
    if summary.judged is not None:
        lines += [judgements_text(summary.judged), f"last: {last_judgement_text(summary.judged)}"]
    if summary.rounds is not None:
        lines.append(rounds_text(summary.rounds))
    if summary.session_open:
        lines.append("A run goes on, or has died: what it spends beside its attempts is not on the log yet.")
    for total in summary.tasks:
        name = f"{total.name}: " if len(summary.tasks) > 1 else ""
        lines.append(
            f"{name}Δ total {format_nats(total.delta)} {total.unit}{_per_token(total)}{_own(total)}"
            f"{_of(summary, total)}{_back(total)}"
        )
    return [*lines, *_cuts(log)]


def _cuts(log: Log) -> list[str]:
    """How much of a text was read, where the state says it."""
    origins: dict[str, Origin] = {}
    with suppress(CryoFluxError):  # a log can be read without the file that a run would need
        origins = stored_origins(StateFolder(log.state))
    said = {
        name: cut_line(origin.cut, origin.longer_ppm, ends=name != CAUSAL)
        for name, origin in origins.items()
        if origin.cut
    }
    return [f"{name}: {line}" if len(said) > 1 else f"T{line[1:]}" for name, line in said.items()]


def by_class_lines(log: Log) -> list[str]:
    """Recall by class of each task whose classes are uneven, first version and head."""
    return [line for found in recalls_of(log).values() for line in recall_lines(found)]


def _per_token(total: TaskTotal) -> str:
    return f" ({total.delta_per_token})" if total.delta_per_token else ""


def _own(total: TaskTotal) -> str:
    return " by updates of its own" if total.of_others else ""


def _back(total: TaskTotal) -> str:
    if not total.taken_back:
        return ""
    were = (
        "one kept update that was" if total.taken_back == 1 else f"{total.taken_back} kept updates that were"
    )
    return f"; without the Δ of {were} taken back"


def _of(summary: LogSummary, total: TaskTotal) -> str:
    """The joules and η of a task; all-in where one task had them all."""
    if len(summary.tasks) == 1 and summary.all_in is not None and summary.all_in_eta_per_kj is not None:
        spent, eta, how = summary.all_in, summary.all_in_eta_per_kj, ", all-in"
        alone = f"; attempts alone {format_energy(summary.energy.uj)}" if summary.energy is not None else ""
    elif summary.energy is not None and total.eta_per_kj is not None and len(summary.tasks) == 1:
        spent, eta, how, alone = summary.energy, total.eta_per_kj, ", in attempts", ""
    else:
        return "" if total.eta_per_kj is None else f", η {total.eta_per_kj:+.3f} {total.unit}/kJ in attempts"
    return f" for {energy_text(spent)}{how}, η {eta:+.3f} {total.unit}/kJ{alone}"


def attempts_document(log: Log, rates: Rates) -> dict[str, Any]:
    """The same for a program, attempt by attempt.

    Args:
        log: the log.
        rates: what a kilowatt-hour emits and costs; what follows from them is told where they are set.
    """
    summary, found = log.summary(), recalls_of(log)
    return {
        "state": str(log.state),
        "attempts": [_attempt(attempt, rates) for attempt in log],
        "total": {
            **{name: getattr(summary, name) for name in _COUNTS},
            "attempts": summary.attempts,
            "energy": _energy(summary.energy, rates),
            "all_in": _energy(summary.all_in, rates),
            "judged": judgements_document(summary.judged),
            "rounds": rounds_document(summary.rounds),
            "tasks": [
                {**_task(total, summary), "recalls": recall_documents(found.get(total.name, ()))}
                for total in summary.tasks
            ],
        },
    }


def _attempt(attempt: Attempt, rates: Rates) -> dict[str, Any]:
    found = {name: getattr(attempt, name) for name in _AS_THEY_ARE}
    return {
        **found,
        "task_name": attempt.task,
        "screened_out": drawn_as(attempt) is DrawnAs.SCREENED,
        "tier": attempt.tier.value,
        "range_kind": attempt.range_kind.value,
        "phases": [asdict(phase) for phase in attempt.phases] or None,
        "screen_delta_lo_95": attempt.screen_delta_lo,
        "screen_delta_hi_95": attempt.screen_delta_hi,
        "delta_lo_95": attempt.delta_lo,
        "delta_hi_95": attempt.delta_hi,
        "delta_lo_anytime": attempt.delta_lo_anytime,
        "delta_hi_anytime": attempt.delta_hi_anytime,
        efficiency_name("eta", attempt.unit): attempt.eta_per_kj,
        efficiency_name("eta_low", attempt.unit): attempt.eta_low_per_kj,
        "examples_read": attempt.examples,
        "finished_at": f"{attempt.finished:%Y-%m-%dT%H:%M:%SZ}" if attempt.finished is not None else None,
        **_derived(attempt.energy, rates),
    }


def _derived(energy: Energy, rates: Rates) -> dict[str, Any]:
    found = derived_fields(energy, rates)
    return {"derived": found} if found else {}


def _energy(energy: Energy | None, rates: Rates) -> dict[str, Any] | None:
    said = energy_document(energy)
    return said | _derived(energy, rates) if said is not None and energy is not None else None


def _task(total: TaskTotal, summary: LogSummary) -> dict[str, Any]:
    return {
        "task_name": total.name,
        "unit": total.unit,
        "delta": total.delta,
        efficiency_name("eta", total.unit): total.eta_per_kj,
        efficiency_name("all_in_eta", total.unit): summary.all_in_eta_per_kj,
        "head": total.head,
        "looks": total.looks,
        "taken_back": total.taken_back,
    }
