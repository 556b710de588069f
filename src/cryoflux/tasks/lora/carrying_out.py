"""Carries out an order of work: an attempt of a chain, or one of its own, in whichever process that is."""

from __future__ import annotations

__all__ = ["carry_out"]

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.looking import is_at_its_end
from cryoflux.registry.versions import Version
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.tasks.interface import Update, Watch, WorkOrder
from cryoflux.tasks.lora.candidates import ChainMaterial, Prospects, look_is_due
from cryoflux.tasks.lora.chain import train_chain
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.once import train_once
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.working import Working, read_working, write_working
from cryoflux.tasks.pacing import Limits, Progress


def carry_out(
    order: WorkOrder,
    recipe: Recipe,
    model: HeadModel,
    data: PreparedData,
    start: Version,
    state: StateFolder,
    into: Path,
    limits: Limits,
    watch: Watch,
) -> Update:
    """Train one update; its receipt's section does not say yet what the head is composed of with it.

    Args:
        order: what to do.
        recipe: how, as the order names it.
        model: the order's base in memory.
        data: its examples.
        start: the version that the update is added to: where a chain began, else the base.
        state: where what a chain goes on from lies.
        into: an empty folder; the update's files go here.
        limits: joules, and whether to stop.
        watch: is told how it goes.

    Raises:
        JoulesEndedError: the joules do not reach for anything.
        TrainingFailedError: training came to nothing usable.
    """

    def progress(done: Progress) -> None:
        watch.trained(done, order.reserve_microjoules)

    if order.chain is not None and recipe.carry:
        material = model.chain_material(start, recipe, order.pool.count)
        return _gone_on(order, recipe, material, model, state, into, limits, progress, watch)
    trained = train_once(model, data, order, recipe, limits, into, progress=progress, watch=watch)
    return Update(
        files=(ADAPTER, ADAPTER_CONFIG),
        section=trained.section(),
        drawn=tuple(trained.drawn),
        fresh=trained.fresh,
        steps=trained.steps,
        stopped_by=trained.stopped_by,
        saved_uj=trained.saved_uj,
        screening=trained.screening.evidence if trained.screening else None,
        threads=torch.get_num_threads(),
        device=model.device,
    )


def _gone_on(
    order: WorkOrder,
    recipe: Recipe,
    material: ChainMaterial,
    model: HeadModel,
    state: StateFolder,
    into: Path,
    limits: Limits,
    progress: Callable[[Progress], None],
    watch: Watch,
) -> Update:
    """Train one attempt of a chain, and leave what the next one goes on from."""
    done = train_chain(
        material,
        recipe,
        limits,
        into,
        seed=order.seed,
        working=_left_before(order, state),
        judged=order.judged,
        is_due=partial(look_is_due, is_worth=order.is_worth),
        at_its_end=Prospects(partial(order.is_worth, ended=True), looked=bool(order.judged)),
        progress=progress,
        preparing=watch.prepared,
    )
    left = ""
    if not is_at_its_end(done.stopped_by, carries=True):
        state.workings.mkdir(exist_ok=True)
        left = write_working(state.workings, done.working)
    return Update(
        files=(ADAPTER, ADAPTER_CONFIG),
        section=done.section(model.backend),
        drawn=tuple(done.drawn),
        fresh=max(0, min(done.reached - order.drawn, len(done.drawn))),
        steps=done.steps,
        stopped_by=done.stopped_by,
        screening=done.screened,
        threads=torch.get_num_threads(),
        device=model.device,
        working=left,
    )


def _left_before(order: WorkOrder, state: StateFolder) -> Working | None:
    link = order.chain
    return read_working(state.working(link.working), link.working) if link and link.working else None
