"""One attempt, in ten steps: the table of contents of CryoFlux.

A crash at any step leaves the receipts valid, the head whole and the joules charged; the next run gives the
attempt an ``aborted`` receipt (`cryoflux.runs.recovery`). Nothing is counted twice. An accepted update takes
effect once its receipt is in the log and, where that is required, a quorum of witnesses has seen it there.
"""

from __future__ import annotations

__all__ = [
    "AnnouncedAttempt",
    "abort_attempt",
    "begin_attempt",
    "enough_reserve_j",
    "finish_attempt",
    "give_up_attempt",
    "least_reserve_uj",
    "next_arm",
    "run_attempt",
]

from collections.abc import Mapping
from dataclasses import dataclass

from cryoflux.attempt import recording, stages, training
from cryoflux.attempt.charging import Charging, OwnCharging
from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.phase_joules import PhaseJoules
from cryoflux.attempt.recording import AttemptRecord, Ending
from cryoflux.attempt.training import Candidate, Delivered
from cryoflux.attempt.watch import AttemptStopped, Phases, Step
from cryoflux.energy.interface import Reservation
from cryoflux.errors import BudgetError
from cryoflux.evaluation.losses import Losses
from cryoflux.log_state import OpenIntent
from cryoflux.quantities import MICRO, format_energy
from cryoflux.receipts.statement import Cause, Intent
from cryoflux.scheduling.policy import Arm, ArmRow, Choice, Plateau, choose
from cryoflux.tasks.interface import Offer

_MOST_GROWN = 6
"""attempts in a row by which a reservation grows"""


@dataclass(frozen=True, slots=True)
class AnnouncedAttempt:
    """An attempt that is announced."""

    opened: Opened
    announced: OpenIntent
    started_at: str

    @property
    def intent(self) -> Intent:
        """What was announced."""
        return self.announced.intent


def run_attempt(context: Context, left_uj: int | None = None) -> AttemptRecord | Plateau:
    """Try to improve a head once, unless no arm is expected to pay.

    Args:
        context: the run.
        left_uj: what its attempts may still spend, µJ; none for all that the bucket holds.

    Raises:
        BudgetError: the bucket pays for no arm; nothing was announced.
        AgentError: the agent went away; the next run settles what was reserved.
        StorageError: the disk is full, read-only, or refuses.
        StateError: a quorum of witnesses is required, and has not seen the receipt: the head stays.
    """
    phases = Phases()
    attempt = begin_attempt(context, phases, left_uj)  # 1 to 3
    if isinstance(attempt, Plateau):
        return attempt
    with context.step(Step.RESERVE, phases):  # 4
        charging = OwnCharging(context, attempt.intent, _reserve(context, attempt))
        context.observer.reserved(charging.reservation)
    phases.joules = PhaseJoules(lambda: context.agent.spent(charging.reservation.id))
    try:
        return _try(context, attempt, charging, phases)
    except AttemptStopped as stopped:
        return abort_attempt(context, attempt, charging, phases, stopped)


def begin_attempt(context: Context, phases: Phases, left_uj: int | None = None) -> AnnouncedAttempt | Plateau:
    """Choose what to try and announce it, unless no arm is expected to pay.

    Args:
        context: the run.
        phases: count what it costs.
        left_uj: what its attempts may still spend, µJ; none for all that the bucket holds.

    Raises:
        BudgetError: the bucket pays for no arm; nothing was announced.
    """
    started_at = context.timestamp()
    with context.step(Step.SAMPLE, phases):  # 1
        sample = context.agent.sample()
        context.observer.sampled(sample)
    with context.step(Step.SCHEDULE, phases):  # 2
        offers = _offers(context, left_uj)
        choice = _choose(context, offers, sample.bucket_uj)
    if choice is None:
        raise BudgetError(
            f"The bucket holds {format_energy(sample.bucket_uj)}, which pays for no attempt.",
            why=f"An attempt reserves {format_energy(context.terms.reserve_uj)}.",
            hint="Grant more: cryoflux run --budget 2kJ.",
        )
    if isinstance(choice, Plateau):
        return choice
    context.observer.chosen(choice)
    opened, offer = context.tasks[choice.arm.task], offers[choice.arm]
    with context.step(Step.ANNOUNCE, phases):  # 3
        announced = recording.announce(context, opened, choice, offer, sample.bucket_uj)
    return AnnouncedAttempt(opened, announced, started_at)


def plateau(context: Context, left_uj: int) -> Plateau | None:
    """Why no arm is expected to pay now; none where one is, or where the bucket pays for none.

    Args:
        context: the run.
        left_uj: what its attempts may still spend, µJ.
    """
    choice = _choose(context, _offers(context, left_uj), context.agent.bucket_uj())
    return choice if isinstance(choice, Plateau) else None


def next_arm(context: Context, left_uj: int | None = None) -> ArmRow | None:
    """The arm that the next attempt would pull, with what is expected of it; none where none pays.

    Args:
        context: the run.
        left_uj: what its attempts may still spend, µJ; none for all that the bucket holds.
    """
    choice = _choose(context, _offers(context, left_uj), context.agent.bucket_uj())
    if not isinstance(choice, Choice):
        return None
    return next(row for row in choice.table if row.arm == choice.arm)


def _choose(context: Context, offers: Mapping[Arm, Offer], bucket_uj: int) -> Choice | Plateau | None:
    return choose(
        list(offers),
        context.memory.memories(
            {name: opened.rule.min_delta for name, opened in context.tasks.items()},
            {name: opened.data.count("train") for name, opened in context.tasks.items()},
        ),
        len(context.memory.lessons),
        bucket_uj=bucket_uj,
        seed=context.terms.seed,
        policy=context.terms.policy,
    )


def least_reserve_uj(context: Context, left_uj: int) -> int:
    """What has to be left for the cheapest arm, µJ.

    Args:
        context: the run.
        left_uj: what its attempts may still spend, µJ.
    """
    return min((arm.reserve_uj for arm in _offers(context, left_uj)), default=context.terms.reserve_uj)


def most_at_once(context: Context) -> int | None:
    """How many attempts can be open at once; none where there is no such number: an arm goes on from nothing.

    Args:
        context: the run.
    """
    arms = [offer for one in context.tasks.values() for offer in one.task.arms(one.drawn, one.part)]
    return len(arms) if arms and all(offer.carries for offer in arms) else None


def enough_reserve_j(context: Context) -> int:
    """What an attempt of the dearest arm had better reserve, J."""
    # base and candidate evaluated once each, and as much again for training
    reserve_uj = context.terms.reserve_uj
    costs = (
        opened.task.aside_uj(offer.arm, opened.part, reserve_uj)
        for opened in context.tasks.values()
        for offer in opened.task.arms(opened.drawn, opened.part)
    )
    dearest = max(costs, default=reserve_uj)  # a task that has nothing to do by now offers no arm
    return max(1, round(4 * dearest / MICRO))


def _offers(context: Context, left_uj: int | None) -> dict[Arm, Offer]:
    """Every arm of every task that is at work, with what it reserves and should cost by now."""
    found = {}
    going_on = {(one.intent.task.name, one.intent.task.arm) for one in context.memory.open.values()}
    for name, opened in context.tasks.items():
        if opened.waits:
            continue
        for offer in opened.task.arms(opened.drawn, opened.part):
            if offer.carries and (name, offer.arm) in going_on:  # a chain goes on one attempt after another
                continue
            reserve_uj = _reservation(context, opened, offer, left_uj)
            prior_uj = min(reserve_uj, offer.prior_uj or reserve_uj)
            unit = opened.task.metric.unit
            found[Arm(name, offer.arm, reserve_uj, prior_uj, unit, offer.after)] = offer
    return found


def _reservation(context: Context, opened: Opened, offer: Offer, left_uj: int | None) -> int:
    """What an attempt of an arm reserves, µJ: at least what was asked for, and what it takes to finish.

    It grows by half with each attempt that its chain has made without an update being kept: gains shrink, so
    the next one takes more steps; but not beyond what is left, which ends no run that could go on. What is
    not needed is refunded.
    """
    chain = opened.chain(offer.arm) if offer.carries else None
    waiting = chain.attempts if chain is not None else 0
    asked_uj = opened.reserve_uj or context.terms.reserve_uj
    grown_uj = asked_uj + asked_uj * min(waiting, _MOST_GROWN) // 2
    least_uj = max(asked_uj, offer.least_uj)
    held_uj = context.agent.bucket_uj()
    return max(least_uj, min(grown_uj, held_uj if left_uj is None else min(left_uj, held_uj)))


def _reserve(context: Context, attempt: AnnouncedAttempt) -> Reservation:
    intent = attempt.intent
    try:
        return context.agent.take(
            intent.reserved_microjoules,
            request_id=intent.task.id,
            log=context.log.origin,
            intent=attempt.announced.leaf_hash,
        )
    except BudgetError:
        give_up_attempt(context, attempt)
        raise


def give_up_attempt(context: Context, attempt: AnnouncedAttempt) -> None:
    """Write the receipt of an attempt for which no joules could be taken: others drew on its bucket."""
    gone = Ending(stopped=AttemptStopped(Cause.UNRESERVED, "unreserved"))
    figure = recording.energy_figure(context, None, attempt.intent)
    recording.record(context, attempt.opened, attempt.announced, figure, attempt.started_at, gone)
    context.published(binding=False)


def _try(context: Context, attempt: AnnouncedAttempt, charging: Charging, phases: Phases) -> AttemptRecord:
    opened, reservation = attempt.opened, charging.reservation
    # A base that was never evaluated is evaluated first: so the attempt knows what evaluation costs.
    base = stages.base_losses(context, opened, reservation, phases)

    with context.step(Step.TRAIN, phases):  # 5
        candidate = training.train(context, opened, attempt.announced, reservation, phases)
    return _judged(context, attempt, charging, phases, base, candidate)


def finish_attempt(
    context: Context, attempt: AnnouncedAttempt, charging: Charging, phases: Phases, delivered: Delivered
) -> AttemptRecord:
    """Judge an update that was trained in another process, and write its receipt.

    Args:
        context: the run.
        attempt: that it was trained for.
        charging: what pays for it, here and there.
        phases: count what is done here.
        delivered: the update.
    """
    opened = attempt.opened
    try:
        base = stages.base_losses(context, opened, charging.reservation, phases)
        candidate = training.received(
            context, opened, attempt.announced, charging.reservation, phases, delivered
        )
        return _judged(context, attempt, charging, phases, base, candidate)
    except AttemptStopped as stopped:
        return abort_attempt(context, attempt, charging, phases, stopped)


def _judged(
    context: Context,
    attempt: AnnouncedAttempt,
    charging: Charging,
    phases: Phases,
    base: Losses,
    candidate: Candidate,
) -> AttemptRecord:
    try:
        return _judge(context, attempt, charging, phases, base, candidate)
    except AttemptStopped as stopped:
        # What it left can be gone on from, whatever became of its evaluation.
        left = candidate if candidate.update.working else None
        return abort_attempt(context, attempt, charging, phases, stopped, left)


def _judge(
    context: Context,
    attempt: AnnouncedAttempt,
    charging: Charging,
    phases: Phases,
    base: Losses,
    candidate: Candidate,
) -> AttemptRecord:
    opened, reservation = attempt.opened, charging.reservation
    if candidate.update.stopped_by == "interrupt":
        raise AttemptStopped(Cause.INTERRUPTED, "interrupted.training", steps=candidate.update.steps)
    with context.step(Step.EVALUATE, phases):  # 6
        reading = None
        if candidate.look.refused is None:
            reading = stages.read_holdout(context, opened, reservation, candidate, base)
    with context.step(Step.DECIDE, phases):  # 7
        if reading is not None:
            judged = stages.judge(context, opened, candidate, reading)
        else:
            judged = stages.refuse(context, opened, candidate)
        verdict = judged.verdict
    with context.step(Step.MERGE, phases):  # 8
        result = stages.keep(context, opened, candidate, reading, verdict)
    unread_uj = opened.task.aside_uj(candidate.arm, opened.part, reservation.reserved_uj)
    with context.step(Step.SETTLE, phases):  # 9
        charged = charging.settle(phases.joules)
    with context.step(Step.RECORD, phases):  # 10
        ending = Ending(candidate=candidate, judged=judged, result=result)
        chain = opened.chain_of(attempt.intent)
        statement, leaf_hash = recording.record(
            context, opened, attempt.announced, charged.figure, attempt.started_at, ending
        )
        context.published(binding=verdict.accepted)
        if verdict.accepted:
            opened.task.adopt(result)
            context.versions.point_head(result.digest, opened.task.name, context.memory.list_of)
    return AttemptRecord(
        number=attempt.announced.number,
        statement=statement,
        leaf_hash=leaf_hash,
        evidence=judged.evidence,
        head_loss=reading.new.mean if reading and verdict.accepted else base.mean,
        phases=phases.seconds,
        bucket_uj=charged.bucket_uj,
        saved_uj=candidate.update.saved_uj + (reading.saved_uj if reading else unread_uj),
        chain=chain,
    )


def abort_attempt(
    context: Context,
    attempt: AnnouncedAttempt,
    charging: Charging,
    phases: Phases,
    stopped: AttemptStopped,
    left: Candidate | None = None,
) -> AttemptRecord:
    """End an attempt without a verdict, and write its receipt.

    Args:
        context: the run.
        attempt: the attempt.
        charging: what pays for it.
        phases: what it cost by phase.
        stopped: why.
        left: what it leaves for the next one to go on from.
    """
    opened = attempt.opened
    context.versions.discard_drafts()
    with context.step(Step.SETTLE, phases):
        charged = charging.settle(phases.joules)
    with context.step(Step.RECORD, phases):
        ending = Ending(stopped=stopped, candidate=left)
        chain = opened.chain_of(attempt.intent)
        statement, leaf_hash = recording.record(
            context, opened, attempt.announced, charged.figure, attempt.started_at, ending
        )
        context.published(binding=False)
    return AttemptRecord(
        number=attempt.announced.number,
        statement=statement,
        leaf_hash=leaf_hash,
        evidence=None,
        head_loss=stages.known_head_loss(context, opened),
        phases=phases.seconds,
        bucket_uj=charged.bucket_uj,
        chain=chain,
    )
