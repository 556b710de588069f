"""Attempts, versions and judgements as rows, one at a time, and what each column says, in which unit.

The columns are listed once, here: every format writes them, and their page in the reference is made of them.
A change of their names or meanings is a new version of their form.
"""

from __future__ import annotations

__all__ = [
    "ATTEMPT_COLUMNS",
    "JUDGEMENT_COLUMNS",
    "VERSION_COLUMNS",
    "RowColumn",
    "attempt_row",
    "attempt_rows",
    "each_attempt",
    "judgement_rows",
    "version_rows",
]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryoflux.log_state import LogState
from cryoflux.quantities import MICRO
from cryoflux.receipts.attempts import Attempt, attempt_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.flat import flat_judgement
from cryoflux.receipts.numbering import AttemptNumbers
from cryoflux.receipts.reading import each_entry
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion, read_catalogue
from cryoflux.runs.version_facts import VersionFacts, version_facts
from cryoflux.state import StateFolder


@dataclass(frozen=True, slots=True)
class RowColumn:
    """One column."""

    name: str
    kind: Literal["text", "integer", "number", "boolean"]
    unit: str
    """``J``, ``nats``; ``unit`` where the column of that name says it; empty for none"""
    says: str


_LOSS = "`unit`"
ATTEMPT_COLUMNS = (
    RowColumn("state", "text", "", "the state directory, as it was named"),
    RowColumn("number", "integer", "", "place among the attempts of its log, from 1"),
    RowColumn("task_id", "text", "", "id of the attempt"),
    RowColumn("task_name", "text", "", "`lora_delta`, `index_refresh`, or a task of one's own"),
    RowColumn("arm", "text", "", "the recipe that was tried"),
    RowColumn("outcome", "text", "", "`kept`, `rejected`, `undecided`, `carried` or `aborted`"),
    RowColumn("screened_out", "boolean", "", "whether its screen refused it, so that no holdout judged it"),
    RowColumn("cause", "text", "", "why it ended without a verdict; empty where there is one"),
    RowColumn("reason_code", "text", "", "why it was kept or not, as a word that programs compare"),
    RowColumn("reason", "text", "", "the same as a sentence"),
    RowColumn("unit", "text", "", "of losses and Δ"),
    RowColumn("base_loss", "number", _LOSS, "mean loss of the base on the holdout"),
    RowColumn("new_loss", "number", _LOSS, "mean loss of the candidate"),
    RowColumn("delta", "number", _LOSS, "the first less the second"),
    RowColumn("delta_lo_95", "number", _LOSS, "lower end of its 95 % interval, for this look alone"),
    RowColumn("delta_hi_95", "number", _LOSS, "upper end"),
    RowColumn(
        "delta_lo_anytime", "number", _LOSS, "lower end of the interval that decided, where there is one"
    ),
    RowColumn("delta_hi_anytime", "number", _LOSS, "upper end"),
    RowColumn("screen_delta", "number", _LOSS, "mean Δ on examples set aside from training"),
    RowColumn("screen_delta_lo_95", "number", _LOSS, "lower end of its 95 % interval"),
    RowColumn("screen_delta_hi_95", "number", _LOSS, "upper end"),
    RowColumn("accuracy_before", "number", "share, 0 to 1", "of the base on the examples that were read"),
    RowColumn("accuracy_after", "number", "share, 0 to 1", "of the candidate"),
    RowColumn("examples_read", "integer", "examples", "of the holdout"),
    RowColumn("tokens_per_example", "number", "target tokens", "of a document of the holdout, on average"),
    RowColumn("joules", "number", "J", "net energy that it was charged"),
    RowColumn("joules_lo", "number", "J", "lower end of their range"),
    RowColumn("joules_hi", "number", "J", "upper end"),
    RowColumn("workers", "text", "", "whose own meters charged a part of it, with commas"),
    RowColumn("worker_joules", "number", "J", "that those charged"),
    RowColumn("tier", "text", "", "how they came about: `counter`, `power-integrated` or `modelled`"),
    RowColumn("range_kind", "text", "", "what both ends say: `interval-95` or `plausible`"),
    RowColumn("chain_attempts", "integer", "attempts", "that paid for its Δ, itself included"),
    RowColumn("chain_joules", "number", "J", "that these were charged"),
    RowColumn("chain_joules_lo", "number", "J", "lower end of their range"),
    RowColumn("chain_joules_hi", "number", "J", "upper end"),
    RowColumn("eta_per_kj", "number", "`unit`/kJ", "η: Δ by `chain_joules`"),
    RowColumn("eta_low_per_kj", "number", "`unit`/kJ", "η by the upper end of these"),
    RowColumn("base", "text", "", "digest of the version that was to be improved"),
    RowColumn("result", "text", "", "digest of the head afterwards"),
    RowColumn("receipt_hash", "text", "", "RFC 6962 leaf hash of the receipt"),
    RowColumn("started_at", "text", "UTC", "by the wall clock, which is only a label"),
    RowColumn("finished_at", "text", "UTC", "the same of its end"),
)
VERSION_COLUMNS = (
    RowColumn("state", "text", "", "the state directory, as it was named"),
    RowColumn("digest", "text", "", "of the version"),
    RowColumn("task_name", "text", "", "of the task; empty where no entry names the version"),
    RowColumn(
        "parent", "text", "", "digest of the head that it followed; empty where the log begins with it"
    ),
    RowColumn(
        "origin", "text", "", "`version 0`, `receipt`, `round`, `recall`, `parent` of a fork, or `unknown`"
    ),
    RowColumn("attempt", "integer", "", "number of the attempt that made it"),
    RowColumn("arm", "text", "", "its recipe"),
    RowColumn("head", "boolean", "", "whether it is the head of its task"),
    RowColumn("aliases", "text", "", "its names, with commas"),
    RowColumn("here", "boolean", "", "whether its files are"),
    RowColumn("unit", "text", "", "of losses and Δ"),
    RowColumn("holdout_loss", "number", _LOSS, "mean, as its receipt says it"),
    RowColumn("delta", "number", _LOSS, "of its receipt"),
    RowColumn("total_delta", "number", _LOSS, "Σ Δ of updates of its own along the line that leads to it"),
    RowColumn("audit_loss", "number", _LOSS, "mean; empty where no run has evaluated it"),
    RowColumn("audit_delta", "number", _LOSS, "of version 0 less its own"),
    RowColumn("spent_joules", "number", "J", "charged to attempts and rounds of its task until it was made"),
    RowColumn("spent_joules_lo", "number", "J", "lower end of their range"),
    RowColumn("spent_joules_hi", "number", "J", "upper end"),
    RowColumn("spent_tier", "text", "", "how they came about"),
    RowColumn("own_bytes", "integer", "B", "on the disk, of files that no other version has"),
    RowColumn("shared_bytes", "integer", "B", "of those that another one has too"),
    RowColumn("receipt_hash", "text", "", "of the receipt, round or recall that made it"),
    RowColumn("made_at", "text", "UTC", "by the wall clock, which is only a label"),
)
JUDGEMENT_COLUMNS = (
    RowColumn("state", "text", "", "the state directory, as it was named"),
    RowColumn("entry", "integer", "", "place in the log, from 0"),
    RowColumn("name", "text", "", "what was judged"),
    RowColumn("judged", "text", "", "what was handed over: `losses` or `models`"),
    RowColumn("base", "text", "", "what whoever judged calls the one of before"),
    RowColumn("new", "text", "", "the same of the one of after"),
    RowColumn("outcome", "text", "", "`kept`, `rejected` or `undecided`"),
    RowColumn("reason", "text", "", "why, as a sentence"),
    RowColumn("metric", "text", "", "what the losses are"),
    RowColumn("unit", "text", "", "of losses and Δ"),
    RowColumn("base_loss", "number", _LOSS, "mean loss of the one of before"),
    RowColumn("new_loss", "number", _LOSS, "mean loss of the one of after"),
    RowColumn("delta", "number", _LOSS, "the first less the second"),
    RowColumn("delta_lo_95", "number", _LOSS, "lower end of its 95 % interval, for this look alone"),
    RowColumn("delta_hi_95", "number", _LOSS, "upper end"),
    RowColumn(
        "delta_lo_anytime", "number", _LOSS, "lower end of the interval that decided, where there is one"
    ),
    RowColumn("delta_hi_anytime", "number", _LOSS, "upper end"),
    RowColumn("accuracy_before", "number", "share, 0 to 1", "of the one of before"),
    RowColumn("accuracy_after", "number", "share, 0 to 1", "of the one of after"),
    RowColumn("examples_read", "integer", "examples", "of the holdout"),
    RowColumn("looks_before", "integer", "looks", "verdicts of this log on the same holdout before it"),
    RowColumn("joules_stated", "number", "J", "what making the one of after cost, as somebody states it"),
    RowColumn("joules_stated_lo", "number", "J", "lower end of their range"),
    RowColumn("joules_stated_hi", "number", "J", "upper end"),
    RowColumn("tier_stated", "text", "", "how they came about, where a measurement was handed over"),
    RowColumn("receipt_hash", "text", "", "RFC 6962 leaf hash of its entry"),
    RowColumn("judged_at", "text", "UTC", "by the wall clock, which is only a label"),
)
_OTHERWISE = {
    "task_name": "task",
    "reason_code": "code",
    "examples_read": "examples",
    "delta_lo_95": "delta_lo",
    "delta_hi_95": "delta_hi",
    "screen_delta_lo_95": "screen_delta_lo",
    "screen_delta_hi_95": "screen_delta_hi",
}
"""columns that an attempt has under another name"""


def attempt_rows(states: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """The finished attempts of some states, oldest first, one at a time: column → plain value.

    Raises:
        UsageError: a state holds no log.
        StateTamperedError: an entry is not well formed.
        StateError: a newer version wrote an entry.
    """
    for state in states:
        for _, attempt, unit in each_attempt(state):
            yield attempt_row(str(state), attempt, unit)


def each_attempt(
    state: Path, waits: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Entry, Attempt, str | None]]:
    """The finished attempts of a state, oldest first: its entry, the attempt, and the unit of its task.

    Args:
        state: the state directory.
        waits: asked when all were given; waits for more, and says whether to look again.

    Raises:
        UsageError, StateTamperedError, StateError: as for `attempt_rows`.
    """
    memory, numbers = LogState(), AttemptNumbers()
    while True:
        for entry in each_entry(state, memory.size):
            paid = memory.paid(entry)
            memory.take(entry)
            receipt, number = entry.receipt, numbers.take(entry) or 0
            known = memory.tasks.get(receipt.task.name) if receipt is not None else None
            unit = known.metric.unit if known is not None else None
            attempt = attempt_of(entry, number, paid, unit)
            if attempt is not None:
                yield entry, attempt, unit
        if not waits():
            return


def attempt_row(state: str, attempt: Attempt, unit: str | None) -> dict[str, Any]:
    """One finished attempt: column → plain value.

    Args:
        state: as its column says it.
        attempt: of a log.
        unit: of its task, where that is known.
    """
    special = {
        "state": state,
        "cause": attempt.cause.value,
        "unit": attempt.unit or unit,
        "tier": attempt.tier.value,
        "range_kind": attempt.range_kind.value,
        "started_at": _label(attempt.started),
        "finished_at": _label(attempt.finished),
    }
    names = (column.name for column in ATTEMPT_COLUMNS)
    return {
        name: special[name] if name in special else getattr(attempt, _OTHERWISE.get(name, name))
        for name in names
    }


def _label(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    utc = moment.astimezone(UTC) if moment.tzinfo is not None else moment
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"


def judgement_rows(states: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """The judgements of some states, oldest first; the same way.

    Raises:
        UsageError, StateTamperedError, StateError: as for `attempt_rows`.
    """
    for state in states:
        for entry in each_entry(state):
            if (said := entry.judgement) is not None:
                view = flat_judgement(said, entry.leaf_hash)
                when = view["timestamp"]
                at = _label(datetime.fromtimestamp(when, UTC)) if when is not None else None
                found = {**view, "state": str(state), "entry": entry.index, "judged_at": at}
                yield {column.name: found[column.name] for column in JUDGEMENT_COLUMNS}


def version_rows(states: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """The versions of some states, task by task, oldest first; the same way.

    Raises:
        UsageError, StateTamperedError, StateError: as for `attempt_rows`.
    """
    for state in states:
        catalogue = read_catalogue(StateFolder(state))
        facts = version_facts(catalogue)
        for version in catalogue.versions():
            yield _version_row(str(state), catalogue, version, facts[version.task, version.digest])


def _version_row(
    state: str, catalogue: Catalogue, one: CataloguedVersion, facts: VersionFacts
) -> dict[str, Any]:
    names, spent = catalogue.names(one.digest), one.energy
    found = {
        "state": state,
        "digest": one.digest,
        "task_name": one.task,
        "parent": one.parent,
        "origin": one.origin,
        "attempt": one.attempt,
        "arm": one.arm,
        "head": "head" in names,
        "aliases": ",".join(names),
        "here": one.digest in catalogue.present,
        "unit": one.unit,
        "holdout_loss": one.holdout_loss,
        "delta": one.delta,
        "total_delta": one.total_delta if one.unit else None,
        "audit_loss": facts.audit_loss,
        "audit_delta": facts.audit_delta,
        "spent_joules": spent.uj / MICRO if spent is not None else None,
        "spent_joules_lo": spent.lo_uj / MICRO if spent is not None else None,
        "spent_joules_hi": spent.hi_uj / MICRO if spent is not None else None,
        "spent_tier": spent.tier.value if spent is not None else None,
        "own_bytes": facts.own_bytes,
        "shared_bytes": facts.shared_bytes,
        "receipt_hash": one.made_by if one.origin == "receipt" or one.made_from else None,
        "made_at": one.said_at or None,
    }
    return {column.name: found[column.name] for column in VERSION_COLUMNS}
