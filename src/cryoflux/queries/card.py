"""What a model card says of one version: what it gained and cost, by which receipts, and what they prove."""

from __future__ import annotations

__all__ = ["CardFacts", "card_facts"]

from dataclasses import dataclass
from typing import Any

from cryoflux.energy.derived import Rates, derived_fields
from cryoflux.errors import UsageError
from cryoflux.log_view import Log
from cryoflux.quantities import Energy
from cryoflux.queries.results import Gained, Results, TaskResults, audit_losses, gained, results_of
from cryoflux.receipts.attempts import Attempt
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.scores import Scores


@dataclass(frozen=True, slots=True)
class CardFacts:
    """One version with what its log says of it."""

    version: CataloguedVersion
    is_head: bool
    results: Results
    task: TaskResults
    holdout: Gained
    """from the first version to this one, on the holdout in use"""
    audit: Gained
    energy: Energy | None
    """what it took to make it; none where nothing is on the log"""
    all_in: bool
    """whether that has everything that runs spent; else it has the attempts of its task until it was made"""
    derived: dict[str, Any]
    """CO₂e and cost of that, with the factor of each; nothing of what is not set"""
    line: tuple[Attempt, ...]
    """the attempts whose updates it rests on, oldest first"""


def card_facts(log: Log, catalogue: Catalogue, version: CataloguedVersion, rates: Rates) -> CardFacts:
    """What a card says of a version.

    Args:
        log: that made it.
        catalogue: of the same state.
        version: one of it.
        rates: what a kilowatt-hour emits and costs, as it is set.

    Raises:
        UsageError: no entry of the log says anything of it.
    """
    results = results_of(log, rates)
    task = next((one for one in results.tasks if one.name == version.task), None)
    if task is None:
        raise UsageError(
            f"No entry of the log names {version.digest[:16]}…",
            why="A card tells what receipts say.",
            hint="Choose another one: cryoflux models list.",
        )
    is_head = version.digest == task.head
    whole = results.spent.all_in if is_head and len(results.tasks) == 1 else None
    energy = whole if whole is not None else version.energy
    numbers = {one.attempt for one in catalogue.tasks[task.name].line(version.digest)}
    return CardFacts(
        version=version,
        is_head=is_head,
        results=results,
        task=task,
        holdout=_holdout(task, version.digest),
        audit=_audit(log, task, version.digest),
        energy=energy,
        all_in=whole is not None,
        derived=derived_fields(energy, rates) if energy is not None else {},
        line=tuple(attempt for attempt in results.kept if attempt.number in numbers),
    )


def _holdout(task: TaskResults, digest: str) -> Gained:
    if digest == task.head:
        return task.holdout
    here = (point for point in task.curve if point.version == digest and point.holdout == task.holdout.sha256)
    found = next((Scores(point.loss, point.accuracy) for point in here), None)
    return Gained(task.holdout.sha256, task.holdout.count, task.holdout.before, found)


def _audit(log: Log, task: TaskResults, digest: str) -> Gained:
    before, after = (audit_losses(log, task, version) for version in (task.first, digest))
    hits = any(point.accuracy is not None for point in task.curve)
    return gained(task.audit, before, after, hits=hits)
