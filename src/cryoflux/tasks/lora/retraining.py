"""Training again what a receipt says was trained: an attempt of its own, or a chain from its start."""

from __future__ import annotations

__all__ = ["recipe_of", "train_again", "train_chain_again"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.screening import needed_evidence
from cryoflux.errors import CryoFluxError
from cryoflux.registry.versions import Version
from cryoflux.tasks.again import CannotRetrainError, played_back, pool_of, values_of
from cryoflux.tasks.lora.playback import play_back
from cryoflux.tasks.lora.recipe import SINCE, Method, Recipe, find_recipe
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


def recipe_of(said: Mapping[str, str | int]) -> Recipe:
    """A recipe as a receipt has it.

    Raises:
        CannotRetrainError: a field is missing or not one of ours.
    """
    values = values_of(Recipe, said, SINCE)
    name = str(values.pop("name"))
    return find_recipe(name, {name: {}}, values)


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
    pool = pool_of(plan, data)
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
    pool = pool_of(plan, data)
    loaded: dict[str, HeadModel] = {}

    def material(training: Training, recipe: Recipe) -> ChainMaterial:
        device = training.device or "cpu"
        torch.set_num_threads(training.threads or torch.get_num_threads())
        if device not in loaded:
            loaded[device] = _loaded(version, data, recipes, cache, device, pool)
        return _chain_material(loaded[device], training, recipe)

    return play_back(plan.chain, recipes, plan.intent.seed, material, into)


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
