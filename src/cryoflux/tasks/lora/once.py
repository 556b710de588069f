"""An attempt of its own: of no chain, its update is kept or thrown away."""

from __future__ import annotations

__all__ = ["train_once"]

from collections.abc import Callable
from pathlib import Path

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.screening import needed_evidence
from cryoflux.tasks.interface import Watch, WorkOrder
from cryoflux.tasks.lora.adapter import Trained
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.recipe import Method, Recipe
from cryoflux.tasks.pacing import Limits, Progress


def train_once(
    model: HeadModel,
    data: PreparedData,
    order: WorkOrder,
    recipe: Recipe,
    limits: Limits,
    into: Path,
    *,
    progress: Callable[[Progress], None],
    watch: Watch,
) -> Trained:
    """Train an update as its recipe says, in our own loop or through PEFT.

    Args:
        model: the head.
        data: its examples.
        order: what is asked for.
        recipe: how.
        limits: joules, and whether to stop.
        into: folder for the update's files.
        progress: called after each step.
        watch: is told what is prepared.

    Raises:
        JoulesEndedError: nothing is left to train with.
        TrainingFailedError: the loss stopped being finite.
    """
    if recipe.method is Method.LEAN:
        from cryoflux.tasks.lora.lean import train_lean

        # the bar follows from earlier verdicts alone, so training learns nothing else of the holdout
        needed = needed_evidence(order.bar.needed_milli, order.holdout_count)
        material = model.material(recipe, order.drawn, needed)
        return train_lean(
            material, recipe, limits, into, seed=order.seed, progress=progress, preparing=watch.prepared
        )
    from cryoflux.tasks.lora.with_peft import train_with_peft

    pool = model.pool
    seen, fresh = pool.draw(order.drawn, fresh=recipe.fresh_size, most=recipe.slice_size)
    return train_with_peft(
        model.version.folder,
        data.examples("train"),
        recipe,
        limits,
        into,
        drawn=[*seen, *fresh],
        fresh=len(fresh),
        screen=pool.screen[: recipe.screen_size],
        first=pool.counts[0],
        seed=order.seed,
        device=model.device,
        progress=progress,
    )
