"""One LoRA attempt in CryoFlux's own loop: PEFT's gradients for a fraction of the joules.

1. Draw examples, and compute what the frozen layers make of those whose activations are not kept yet,
   as far as the joules reach.
2. Train LoRA on the layers above, and the head beside it, on batches of about equal length.
3. Half way, and at the end, look at the screening examples: stop what is hopeless, choose the scale.

Frozen products run in the cheapest arithmetic that the machine has (`encoder.linear`); what learns is
float32. Source: LoRA, Hu et al. 2021 (arXiv 2106.09685); AdamW, Loshchilov and Hutter 2019; averaging
the last steps, Izmailov et al. 2018 (arXiv 1803.05407).
"""

from __future__ import annotations

__all__ = ["TrainingMaterial", "train_lean"]

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import torch

from cryoflux.data.batching import mixed_buckets
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import TensorEntry
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.model import Encoder
from cryoflux.quantities import NANO
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.adapter import Screening, Trained, save_adapter
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.screening import screen_losses
from cryoflux.tasks.lora.weighing import training_loss
from cryoflux.tasks.pacing import (
    JoulesEndedError,
    Limits,
    Pacer,
    Progress,
    TrainingInterruptedError,
    rate_at,
    screen_before,
)

_PREPARING = 0.7
"""share of the joules that may go into activations of fresh examples"""
_CHUNK = 256
_SCREEN_BATCH = 64
_QUICK_SCREEN = 128
"""screening examples that are looked at half way"""
_HOPELESS_Z = -3.0
"""half way, an update that makes the screening loss worse by so many standard errors is given up"""


@dataclass(frozen=True, slots=True)
class TrainingMaterial:
    """The model and the examples that an attempt learns from."""

    encoder: Encoder
    entries: Sequence[TensorEntry]
    """digests of the encoder's tensors"""
    sets: Sets
    labels: torch.Tensor
    """class of each training example, int64"""
    seen: list[int]
    """examples that earlier attempts drew, oldest first"""
    fresh: list[int]
    """examples that no attempt has drawn yet"""
    screen: list[int]
    base: str
    """how the adapter names its base model"""
    evidence: float
    """(Σδ)²/Σδ² that the screening examples have to show before a larger scale is preferred"""
    weights: torch.Tensor | None = None
    """of the classes while it learns; none where all are equal"""


def train_lean(
    material: TrainingMaterial,
    recipe: Recipe,
    limits: Limits,
    into: Path,
    *,
    seed: int,
    progress: Callable[[Progress], None],
    preparing: Callable[[int, int], None],
) -> Trained:
    """Train one adapter and write its files.

    Args:
        material: what to learn from.
        recipe: how.
        limits: joules, and whether to stop.
        into: the folder for its files.
        seed: of initial weights, order and dropout.
        progress: called after each step.
        preparing: called with (examples done, examples to do) while activations are computed.

    Raises:
        JoulesEndedError: no example was ready in time, or screening leaves no joules to train with.
        TrainingInterruptedError: somebody asked to stop while activations were computed.
        TrainingFailedError: the loss stopped being finite.
    """
    torch.manual_seed(seed)
    update = Learning(material.encoder, recipe, seed)
    source = Activations(material.encoder, material.entries, material.sets, update.depth)
    with limits.preparing():
        material = _prepare(source, material, limits, preparing)
    drawn = [*material.seen, *material.fresh]
    if not drawn:
        raise _nothing_ready()
    screen, looks = material.screen, len(recipe.scales.split())
    before, limits = screen_before(
        limits, len(screen), looks, lambda: _screen(material, update, source, screen, limits.check)
    )
    pacer = Pacer(limits, recipe.steps_for(len(drawn)))
    start_uj = limits.spent_uj()
    loss = _loop(material, update, source, drawn, recipe, pacer, before, seed, progress)
    saved_uj = _saved_uj(pacer, limits.spent_uj() - start_uj)
    screening = _choose_scale(material, update, source, recipe, before)
    _save(into, recipe, update, material.base)
    return Trained(
        drawn=drawn,
        fresh=len(material.fresh),
        steps=pacer.step,
        planned_steps=pacer.planned,
        planned_at_step=pacer.planned_at,
        stopped_by=pacer.ended_by(),
        modules=list(update.lora),
        trained_parameters=sum(p.numel() for p in update.parameters),
        last_loss_nano_nat=round(loss * NANO),
        backend=material.encoder.backend.value,
        saved_uj=saved_uj,
        screening=screening,
    )


def _saved_uj(pacer: Pacer, spent_uj: int) -> int:
    left = pacer.planned - pacer.step if pacer.stopped_by == "hopeless" else 0
    return left * spent_uj // max(1, pacer.step)


def _nothing_ready() -> JoulesEndedError:
    return JoulesEndedError(
        "The joules were used up before one training example was ready.",
        why="What the frozen layers make of an example is computed before it is learned from.",
        hint="Raise --reserve; what was computed is kept, so the next attempt gets further.",
        code="exhausted.preparing",
    )


def _prepare(
    source: Activations, material: TrainingMaterial, limits: Limits, preparing: Callable[[int, int], None]
) -> TrainingMaterial:
    """Compute activations as far as the joules reach; return the material that has them."""
    enough = limits.spent_uj() + round(_PREPARING * (limits.limit_uj - limits.spent_uj()))

    class _Enough(Exception):  # noqa: N818 - it is no error
        pass

    def between(done: int, count: int) -> None:
        preparing(done, count)
        if limits.stop():
            raise TrainingInterruptedError("Interrupted before training.")
        if done and limits.spent_uj() >= enough:
            raise _Enough

    try:
        # in drawing order: what is ready when the joules end is a beginning, and no choice of short texts
        for wanted in (material.screen, material.seen, material.fresh):
            for start in range(0, len(wanted), _CHUNK):
                source.prepare(wanted[start : start + _CHUNK], between)
    except _Enough:
        pass
    missing = set(source.missing([*material.seen, *material.fresh, *material.screen]))
    return replace(
        material,
        seen=[i for i in material.seen if i not in missing],
        screen=[i for i in material.screen if i not in missing],
        fresh=list(takewhile(lambda index: index not in missing, material.fresh)),
    )


def _loop(
    material: TrainingMaterial,
    update: Learning,
    source: Activations,
    drawn: list[int],
    recipe: Recipe,
    pacer: Pacer,
    before: tuple[list[int], list[bool]],
    seed: int,
    progress: Callable[[Progress], None],
) -> float:
    optimiser = FusedAdamW(update.parameters, weight_decay=recipe.weight_decay)
    lengths = material.sets.tokens.lengths(drawn).tolist()
    batches = mixed_buckets(lengths, recipe.batch_size, random.Random(f"{seed}/batches"))  # noqa: S311
    average = _Average(update)
    loss = 0.0
    while pacer.goes_on():
        rate = rate_at(pacer.step, pacer.planned, schedule=recipe.schedule, warm_up=recipe.warm_up)
        batch = [drawn[i] for i in next(batches)]
        logits = logits_of(material.encoder, update, source.batch(batch), recipe.hidden_dropout)
        error = training_loss(logits, material.labels[batch].to(logits.device), material.weights)
        error.backward()
        optimiser.step(recipe.learning_rate * rate)
        loss = float(error.detach())
        progress(pacer.done(loss))
        if pacer.step > pacer.planned * (1 - recipe.average):
            average.add()
        half_way = pacer.step == pacer.planned // 2 and pacer.stopped_by == "steps"
        if half_way and _hopeless(material, update, source, before):
            pacer.stopped_by = "hopeless"
    average.apply()
    return loss


class _Average:
    """The mean of the weights after some steps."""

    def __init__(self, update: Learning) -> None:
        self._update = update
        self._count = 0
        self._sums: list[torch.Tensor] = []

    def add(self) -> None:
        self._count += 1
        values = [parameter.detach() for parameter in self._update.parameters]
        self._sums = (
            [s + v for s, v in zip(self._sums, values, strict=True)]
            if self._sums
            else [v.clone() for v in values]
        )

    def apply(self) -> None:
        if self._count > 1:
            self._update.load([total / self._count for total in self._sums])


def _screen(
    material: TrainingMaterial,
    update: Learning,
    source: Activations,
    indices: Sequence[int],
    between: Callable[[], None] = lambda: None,
) -> tuple[list[int], list[bool]]:
    """Losses, nano-nats, and hits of the update as it is, on screening examples; ``between`` may raise."""

    def score(rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = [indices[row] for row in rows]
        logits = logits_of(material.encoder, update, source.batch(batch)).float()
        return logits, material.labels[batch].to(logits.device)

    lengths = material.sets.tokens.lengths(indices).tolist()
    return screen_losses(lengths, _SCREEN_BATCH, score, between)


def _hopeless(
    material: TrainingMaterial, update: Learning, source: Activations, before: tuple[list[int], list[bool]]
) -> bool:
    few = material.screen[:_QUICK_SCREEN]
    if len(few) < _QUICK_SCREEN // 2:
        return False
    now = _screen(material, update, source, few)
    return _pair((before[0][: len(few)], before[1][: len(few)]), now).z < _HOPELESS_Z


def _pair(before: tuple[list[int], list[bool]], after: tuple[list[int], list[bool]]) -> Evidence:
    return pair_losses(before[0], after[0], before[1], after[1])


def _choose_scale(
    material: TrainingMaterial,
    update: Learning,
    source: Activations,
    recipe: Recipe,
    before: tuple[list[int], list[bool]],
) -> Screening | None:
    """Shrink the update to a scale that the screening examples bear out.

    Of the scales whose gain is evident enough, the one that gains most; where none is, the most evident.
    A smaller step gains less, but it varies less still from example to example.
    """
    if not material.screen:
        return None
    full = [parameter.detach().clone() for parameter in update.parameters]
    tried = []
    for scale in recipe.scales.split():
        update.load(full)
        update.shrink(float(scale))
        tried.append(Screening(_pair(before, _screen(material, update, source, material.screen)), scale))
    evident = [one for one in tried if _weight(one.evidence) > material.evidence]
    if evident:
        best = max(evident, key=lambda one: one.evidence.delta)
    else:
        best = max(tried, key=lambda one: _weight(one.evidence))
    update.load(full)
    update.shrink(float(best.scale))
    return best


def _weight(evidence: Evidence) -> float:
    return math.copysign(evidence.delta**2 / max(1, evidence.delta_squared), evidence.delta)


def _save(folder: Path, recipe: Recipe, update: Learning, base: str) -> None:
    lora = {name: (one.a.detach().cpu(), one.b.detach().cpu()) for name, one in update.lora.items()}
    whole = {name: tensor.detach().cpu() for name, tensor in {**update.beside, **update.head}.items()}
    save_adapter(folder, recipe, lora, whole, base)
