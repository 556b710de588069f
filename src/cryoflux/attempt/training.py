"""What step 5 of an attempt does: an update is trained, or taken over, and made a draft of a version."""

from __future__ import annotations

__all__ = ["Candidate", "Delivered", "received", "spent_since", "train", "work_order"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.fitting import taken_over
from cryoflux.attempt.phase_joules import PREPARE
from cryoflux.attempt.watch import AttemptStopped, Phases, Step
from cryoflux.decision.looking import Look, is_at_its_end, judged_before
from cryoflux.digests import file_digest
from cryoflux.energy.interface import Reservation
from cryoflux.log_state import OpenIntent
from cryoflux.receipts.statement import Cause, Intent
from cryoflux.registry.versions import Version
from cryoflux.task_tallies import EVERYTHING
from cryoflux.tasks.interface import Update, WorkOrder
from cryoflux.tasks.pacing import JoulesEndedError, Limits, TrainingFailedError, TrainingInterruptedError

_MARGIN = 1.35
"""how much dearer than before evaluation may be; what is not needed is refunded, so width costs little"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained update: its capsule and, unless the screen refused it, the merged version as a draft."""

    capsule: Path
    update: Update
    arm: str
    look: Look
    """at the holdout, or why it need not be read"""
    draft: Version | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """An update that was trained in another process."""

    order: WorkOrder
    """that it was trained by"""
    update: Update
    write: Callable[[Path], None]
    """puts its files into a folder, and what the next attempt goes on from into the state"""


def work_order(opened: Opened, announced: OpenIntent, pool_seed: int) -> WorkOrder:
    """What an announced attempt asks of whoever trains."""
    intent = announced.intent
    reserve_uj = intent.reserved_microjoules
    chain, known = opened.chain_of(intent), opened.known()
    aside_uj = round(_MARGIN * opened.task.aside_uj(intent.task.arm, opened.part, reserve_uj))
    return WorkOrder(
        id=intent.task.id,
        task=intent.task.name,
        arm=intent.task.arm,
        base=intent.base,
        data=intent.data.digest,
        recipe=intent.recipe,
        seed=intent.seed,
        pool_seed=pool_seed,
        drawn=announced.drawn,
        bar=intent.bar,
        holdout_count=intent.data.holdout.count,
        reserve_microjoules=reserve_uj,
        limit_microjoules=max(0, reserve_uj - aside_uj),
        rule=intent.rule,
        composed=chain.composed if chain else opened.composition,
        unit=opened.task.metric.unit,
        chain=intent.chain,
        before=chain.steps if chain else 0,
        judged=chain.judged if chain else "",
        pool=known.pool_for(intent) if known is not None else EVERYTHING,
    )


def spent_since(context: Context, reservation: Reservation, start_uj: int) -> int:
    """µJ that something has cost; never less than none, though net energy may well measure as that.

    Args:
        context: the run.
        reservation: that it is charged to.
        start_uj: what that had spent before, µJ.
    """
    return max(0, context.agent.spent(reservation.id).uj - start_uj)


def train(
    context: Context, opened: Opened, announced: OpenIntent, reservation: Reservation, phases: Phases
) -> Candidate:
    """Train on what the reservation leaves after evaluation; screen, where that was announced, and merge."""
    order = work_order(opened, announced, opened.task.place.pool_seed)
    with context.versions.capsule_draft() as folder:
        update = _trained(context, opened, order, reservation, folder, phases)
        if update.stopped_by == "interrupt" and not update.working:
            raise AttemptStopped(Cause.INTERRUPTED, "interrupted.training", steps=update.steps)
        with phases.measure(Step.MERGE):
            capsule = context.versions.keep_capsule(folder, update.files[0])
    return _candidate(context, opened, announced.intent, order, update, capsule, reservation, phases)


def received(
    context: Context,
    opened: Opened,
    announced: OpenIntent,
    reservation: Reservation,
    phases: Phases,
    delivered: Delivered,
) -> Candidate:
    """Take over what another process trained, and merge it into the head as it is by now.

    Where the head has moved since it was announced, what the update does for the present one is screened
    anew: its own screen compared it with another.
    """
    elsewhere, order = opened.task.elsewhere(), delivered.order
    if elsewhere is None:
        raise ValueError(f"what the task {order.task} trains is not taken over from other processes")
    intent, moved = announced.intent, order.base != opened.base
    if order.chain is None:
        order = order.but(base=opened.base, composed=opened.composition)
    with phases.measure(Step.MERGE), context.versions.capsule_draft() as folder:
        delivered.write(folder)
        update = taken_over(opened, intent, order, folder, delivered.update)  # before it is kept
        capsule = context.versions.keep_capsule(folder, update.files[0])
    if not moved or not intent.rule.screen or update.stopped_by == "interrupt":
        return _candidate(context, opened, intent, order, update, capsule, reservation, phases)
    draft = _draft(context, opened, capsule, update, reservation, phases)
    with phases.measure(Step.EVALUATE):
        update = replace(update, screening=elsewhere.screened_again(order, draft))
    return _candidate(context, opened, intent, order, update, capsule, reservation, phases, draft)


def _candidate(
    context: Context,
    opened: Opened,
    intent: Intent,
    order: WorkOrder,
    update: Update,
    capsule: Path,
    reservation: Reservation,
    phases: Phases,
    draft: Version | None = None,
) -> Candidate:
    if intent.rule.screen and update.screening is None:
        raise AttemptStopped(Cause.FAILED, "failed", what="The task did not screen its update.")
    look = _look(context, opened, intent, order, update, capsule)
    wanted = look.refused is None and update.stopped_by != "interrupt"
    if wanted and draft is None:
        draft = _draft(context, opened, capsule, update, reservation, phases)
    elif not wanted and draft is not None:
        opened.task.discard(draft, opened.part)
        context.versions.discard(draft)
        draft = None
    return Candidate(capsule, update, order.arm, look, draft)


def _draft(
    context: Context,
    opened: Opened,
    capsule: Path,
    update: Update,
    reservation: Reservation,
    phases: Phases,
) -> Version:
    start_uj = context.agent.spent(reservation.id).uj
    with phases.measure(Step.MERGE):
        draft = _applied(opened, capsule, update)
    opened.task.applied(spent_since(context, reservation, start_uj))
    return draft


def _look(
    context: Context, opened: Opened, intent: Intent, order: WorkOrder, update: Update, capsule: Path
) -> Look:
    """Whether the holdout is read, and at which bar: that of now, for another may have looked meanwhile."""
    chain = opened.chain_of(intent)
    if chain is not None and chain.judged == file_digest(capsule / update.files[0]):
        return judged_before()
    ended = is_at_its_end(update.stopped_by, carries=intent.chain is not None)
    return order.but(bar=context.bar(opened)).look(update.screening, ended=ended)


def _applied(opened: Opened, capsule: Path, update: Update) -> Version:
    try:
        return opened.task.apply(opened.task.head, capsule, update)
    except TrainingFailedError as error:
        raise AttemptStopped(Cause.FAILED, "failed", what=error.what) from error


def _trained(
    context: Context,
    opened: Opened,
    order: WorkOrder,
    reservation: Reservation,
    folder: Path,
    phases: Phases,
) -> Update:
    def spent_uj() -> int:
        return context.agent.spent(reservation.id).uj

    limits = Limits(order.limit_microjoules, spent_uj, context.stop, lambda: phases.measure(PREPARE))
    try:
        limits.check()
        return opened.task.train(order, folder, limits, context.observer)
    except TrainingInterruptedError as error:
        raise AttemptStopped(Cause.INTERRUPTED, "interrupted.preparing") from error
    except JoulesEndedError as error:
        raise AttemptStopped(Cause.EXHAUSTED, error.code) from error
    except TrainingFailedError as error:
        raise AttemptStopped(Cause.FAILED, "failed", what=error.what) from error
