"""Training again what a receipt says was trained: an attempt of its own, or a chain from its start."""

from __future__ import annotations

__all__ = ["played_back", "recipe_of", "train_again", "train_chain_again"]

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.screening import needed_evidence
from cryoflux.errors import CryoFluxError
from cryoflux.registry.versions import Version
from cryoflux.tasks.lora.playback import CannotRetrainError, play_back
from cryoflux.tasks.lora.recipe import Method, Recipe, find_recipe
from cryoflux.tasks.pacing import Limits, Progress
from cryoflux.tasks.pool import Pool, make_pool, slice_digest

if TYPE_CHECKING:
    from cryoflux.receipts.statement import Training
    from cryoflux.tasks.lora.candidates import ChainMaterial
    from cryoflux.tasks.lora.head import HeadModel
    from cryoflux.tasks.lora.lean import TrainingMaterial
    from cryoflux.verification.retrain import Drawn, Plan

_CHUNK = 256
"""examples whose activations a training run prepares together"""
_CACHE_BYTES = 4_000_000_000
_SINCE_CHAINS = {
    "carry",
    "rising_steps",
    "fixed_steps",
    "first_look",
    "first_passes",
    "temperature",
    "least_gain_nano",
    "class_weights",
}
"""fields of a recipe that older receipts lack: what they stand for by themselves is what was done then"""


def recipe_of(said: Any) -> Recipe:
    """A recipe as a receipt has it: ratios are decimal text, truth values integers.

    Raises:
        CannotRetrainError: a field is missing or not one of ours.
    """
    kinds = {field.name: str(field.type) for field in fields(Recipe)}
    missing = sorted(kinds.keys() - said.keys() - _SINCE_CHAINS)
    if missing or said.keys() - kinds.keys():
        raise CannotRetrainError(f"Its recipe is not one of this version: it lacks {', '.join(missing[:3])}.")
    made = {"float": float, "bool": bool}
    values = {key: made.get(kinds[key], lambda value: value)(value) for key, value in said.items()}
    name = str(values.pop("name"))
    return find_recipe(name, {name: {}}, values)


def played_back(training: Training) -> tuple[Limits, list[Progress]]:
    """Limits that make a pacer plan and stop at the steps where it did then, and where to count steps.

    Args:
        training: what the receipt says; at least two steps, or one that was the whole plan.
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

    return Limits(limit, spent_uj, lambda: False), steps


def _number(training: Training, name: str) -> int:
    found = training.section.fields.get(name)
    if not isinstance(found, int):
        raise CannotRetrainError(f"Its receipt has no whole number {name}.")
    return found


def _backend(training: Training) -> str:
    return str(training.section.fields.get("backend", ""))


def train_again(
    plan: Plan, recipe: Recipe, data: PreparedData, version: Version, cache: Path, into: Path
) -> None:
    """Train one attempt that is of no chain.

    Raises:
        CannotRetrainError: its receipt says too little.
    """
    training = plan.drawn.training
    # what is set aside is the same for every recipe, but none at all is where the recipe says so
    pool = _pool(plan, data)
    seen, fresh = _slice(pool, recipe, plan.drawn)
    if slice_digest([*seen, *fresh]) != training.slice_sha256:
        raise CannotRetrainError("The examples that it drew do not follow from the log.")
    screen = list(pool.screen[: recipe.screen_size])
    if len(screen) != (training.screen.count if training.screen else 0):
        raise CannotRetrainError(
            "It screened fewer examples than its recipe asks for; which is not recorded."
        )
    limits, steps = played_back(training)
    device = training.device or "cpu"
    if recipe.method is Method.PEFT:
        from cryoflux.tasks.lora.with_peft import train_with_peft

        train_with_peft(
            version.folder,
            data.examples("train"),
            recipe,
            limits,
            into,
            drawn=[*seen, *fresh],
            fresh=len(fresh),
            screen=screen,
            first=pool.counts[0],
            seed=plan.intent.seed,
            device=device,
            progress=steps.append,
        )
        return
    from cryoflux.tasks.lora.lean import train_lean

    material = _material(plan, recipe, data, version, cache, pool)
    material = replace(material, seen=seen, fresh=fresh)
    train_lean(
        material,
        recipe,
        limits,
        into,
        seed=plan.intent.seed,
        progress=steps.append,
        preparing=lambda _done, _count: None,
    )


def train_chain_again(plan: Plan, data: PreparedData, version: Version, cache: Path, into: Path) -> str:
    """Play a chain back from its start; which attempt departs from what is recorded of it, if one does.

    Raises:
        CannotRetrainError: a receipt says too little, or what cannot be.
    """
    import torch

    recipes = [recipe_of(played.recipe) for played in plan.chain]
    pool = _pool(plan, data)
    loaded: dict[str, HeadModel] = {}

    def material(training: Training, recipe: Recipe) -> ChainMaterial:
        device = training.device or "cpu"
        torch.set_num_threads(training.threads or torch.get_num_threads())
        if device not in loaded:
            loaded[device] = _loaded(version, data, recipes, cache, device, pool)
        return _chain_material(loaded[device], training, recipe)

    return play_back(plan.chain, recipes, plan.intent.seed, material, into)


def _pool(plan: Plan, data: PreparedData) -> Pool:
    pool = plan.drawn.pool
    return make_pool(pool if pool.counts else data.count("train"), plan.pool_seed)


def _loaded(
    version: Version, data: PreparedData, recipes: Sequence[Recipe], cache: Path, device: str, pool: Pool
) -> HeadModel:
    from cryoflux.tasks.lora.head import HeadModel

    return HeadModel(
        version, data, {f"{n}": recipe for n, recipe in enumerate(recipes)},
        cache=cache, cache_bytes=_CACHE_BYTES, device=device, pool=pool,
    )  # fmt: skip


def _chain_material(loaded: HeadModel, training: Training, recipe: Recipe) -> ChainMaterial:
    from cryoflux.encoder.linear import Backend
    from cryoflux.encoder.model import Encoder
    from cryoflux.tasks.lora.candidates import ChainMaterial

    if loaded.layout is None:
        raise CannotRetrainError("The layout of its base model is not known here.")
    screen = loaded.pool.screen[: recipe.screen_size]
    if len(screen) != (training.screen.count if training.screen else 0):
        raise CannotRetrainError("It screened other examples than its recipe asks for.")
    found = loaded.material(recipe, 0)
    return ChainMaterial(
        encoder=Encoder(loaded.layout, loaded.tensors, Backend(_backend(training)), loaded.device),
        entries=found.entries,
        sets=found.sets,
        labels=found.labels,
        weights=found.weights,
        order=loaded.pool.order,
        ends=loaded.pool.ends,
        screen=screen,
        head=([], []),
        base=loaded.version.digest,
    )


def _slice(pool: Pool, recipe: Recipe, drawn: Drawn) -> tuple[list[int], list[int]]:
    """What an attempt drew, as far as its joules reached."""
    seen, fresh = pool.draw(drawn.before, fresh=recipe.fresh_size, most=recipe.slice_size)
    count = drawn.training.fresh_count
    return seen[: drawn.training.slice_count - count], fresh[:count]


def _material(
    plan: Plan, recipe: Recipe, data: PreparedData, version: Version, cache: Path, pool: Pool
) -> TrainingMaterial:
    from cryoflux.encoder.linear import Backend
    from cryoflux.encoder.model import Encoder

    recipes = {
        f"{n}": recipe_of(one.recipe) for n, one in enumerate((*plan.earlier, plan.drawn)) if _known(one)
    }
    training = plan.drawn.training
    device = training.device or "cpu"
    loaded = _loaded(version, data, list(recipes.values()) or [recipe], cache, device, pool)
    if loaded.layout is None:
        raise CannotRetrainError("The layout of its base model is not known here.")
    needed = needed_evidence(plan.intent.bar.needed_milli, plan.intent.data.holdout.count)
    material = loaded.material(recipe, plan.drawn.before, needed)
    encoder = Encoder(loaded.layout, loaded.tensors, Backend(_backend(training)), device)
    material = replace(material, encoder=encoder)
    _prepare_as_then(plan, recipe, material, loaded)
    return material


def _known(drawn: Drawn) -> bool:
    try:
        return recipe_of(drawn.recipe).method is Method.LEAN
    except CryoFluxError:
        return False


def _prepare_as_then(plan: Plan, recipe: Recipe, material: TrainingMaterial, loaded: HeadModel) -> None:
    """Compute activations in the batches in which the log's attempts did.

    Neighbours in a batch change the last bit of a product, so bytes are the same only if batches were.
    """
    from cryoflux.encoder.activations import Activations

    layers = material.encoder.layout.layers
    depth = layers - min(recipe.layers, layers)
    for drawn in (*plan.earlier, plan.drawn):
        if not depth or not _known(drawn) or _backend(drawn.training) != _backend(plan.drawn.training):
            continue
        other = recipe_of(drawn.recipe)
        source = Activations(
            material.encoder, material.entries, material.sets, layers - min(other.layers, layers)
        )
        pool = make_pool(drawn.pool, plan.pool_seed) if drawn.pool.counts else loaded.pool
        seen, fresh = pool.draw(drawn.before, fresh=other.fresh_size, most=other.slice_size)
        reached = -(-drawn.training.fresh_count // _CHUNK) * _CHUNK
        for wanted in (list(loaded.pool.screen[: other.screen_size]), seen, fresh[:reached]):
            for start in range(0, len(wanted), _CHUNK):
                source.prepare(wanted[start : start + _CHUNK], lambda _done, _count: None)
