"""What tasks that train have in common where `cryoflux verify` does their work again."""

from __future__ import annotations

__all__ = ["CannotRetrainError", "as_then", "composed_again", "played_back", "pool_of", "values_of"]

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.data.prepared import PreparedData, open_prepared
from cryoflux.errors import CryoFluxError
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import TensorFolder, write_model
from cryoflux.registry.versions import Version, Versions
from cryoflux.tasks.lora.libraries import shielded
from cryoflux.tasks.pacing import Limits, Progress
from cryoflux.tasks.pool import Pool, make_pool
from cryoflux.tasks.recipes import kinds_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from cryoflux.receipts.statement import Training
    from cryoflux.verification.recomputer import Models
    from cryoflux.verification.retrain import Plan


class CannotRetrainError(CryoFluxError):
    """A receipt does not record what training again would need, or this machine cannot do it."""


def composed_again(composed: Composition, models: Models, into: Path) -> Path:
    """Add a list of updates up, from its genesis on, with nothing that the run had in memory; its folder."""
    import torch

    sums = compose(
        composed,
        TensorFolder(models.genesis),
        lambda adapter: read_adapter(models.capsule(adapter), adapter),
        models.list_of,
    )
    changed = {name: torch.from_numpy(tensor) for name, tensor in sums.rounded().items()}
    write_model(models.base, models.genesis, changed, into)
    return into


def values_of(
    recipe: type[DataclassInstance], said: Mapping[str, str | int], since: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """The fields of a recipe as an intent has them: ratios are decimal text, truth values integers.

    Args:
        recipe: of which kind.
        said: by the intent.
        since: fields that older intents lack: what they stand for by themselves is what was done then.

    Raises:
        CannotRetrainError: a field is missing, or not one of ours.
    """
    kinds = kinds_of(recipe)
    lacking, strange = sorted(kinds.keys() - said.keys() - since), sorted(said.keys() - kinds.keys())
    if lacking or strange:
        how = f"it lacks {', '.join(lacking[:3])}" if lacking else f"it has {', '.join(strange[:3])}"
        raise CannotRetrainError(f"Its recipe is not one of this version: {how}.")
    made = {"float": float, "bool": bool}
    return {key: made.get(kinds[key], lambda value: value)(value) for key, value in said.items()}


def pool_of(plan: Plan, data: PreparedData) -> Pool:
    """The order in which the training examples of its time were drawn."""
    pool = plan.drawn.pool
    return make_pool(pool if pool.counts else data.count("train"), plan.pool_seed)


def played_back(training: Training) -> tuple[Limits, list[Progress]]:
    """Limits that make a pacer plan and stop at the steps where it did then, and where to count steps.

    Args:
        training: what the receipt says; at least two steps, or one that was the whole plan.

    Raises:
        CannotRetrainError: it does not say how many steps were planned, and when.
    """
    steps: list[Progress] = []
    planned_steps, planned_at = _number(training, "plannedSteps"), _number(training, "plannedAtStep")
    each, limit = 2, 2 * planned_steps + 1
    cut_short = training.stopped_by == "joules" and training.steps < planned_steps

    def spent_uj() -> int:
        step = len(steps) + 1  # asked when a step is done, before it is counted here
        if cut_short and step >= training.steps:
            return limit
        return each * planned_at if planned_at and step >= planned_at else 0

    def stop() -> bool:
        return training.stopped_by == "interrupt" and len(steps) >= training.steps

    return Limits(limit, spent_uj, stop), steps


def _number(training: Training, name: str) -> int:
    found = training.section.fields.get(name)
    if not isinstance(found, int):
        raise CannotRetrainError(f"Its receipt has no whole number {name}.")
    return found


@contextmanager
def as_then(plan: Plan, threads: int) -> Iterator[tuple[PreparedData, Version]]:
    """Data set and base version of a plan, while torch computes with as many threads as then.

    Args:
        plan: what is trained again.
        threads: with which torch computes otherwise, and where nobody has said how many there were.

    Raises:
        CannotRetrainError: the receipt says too little, or this machine lacks what was used.
    """
    import torch

    if plan.first_step_ended and not plan.chain:
        raise CannotRetrainError("The joules ended with its first step, which cannot be played back.")
    devices = {plan.drawn.training.device, *(played.training.device for played in plan.chain)}
    if "cuda" in devices and not torch.cuda.is_available():
        raise CannotRetrainError("It was trained on a GPU, and there is none here.")
    data = open_prepared(plan.state / "data" / plan.data, plan.data[:8])
    version = Versions(plan.state).open(plan.base)
    torch.set_num_threads(plan.drawn.training.threads or threads)
    try:
        with shielded():
            yield data, version
    finally:
        torch.set_num_threads(threads)
