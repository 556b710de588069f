"""What steps 5 to 8 of an attempt do: each takes the frozen value of the step before and returns its own."""

from __future__ import annotations

__all__ = [
    "Candidate",
    "CandidateVerdict",
    "HoldoutReading",
    "base_losses",
    "judge",
    "keep",
    "known_head_loss",
    "read_holdout",
    "refuse",
    "train",
    "work_order",
]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.phase_joules import EVALUATE_BASE, PREPARE
from cryoflux.attempt.repeats import require_repeats, require_same_bytes
from cryoflux.attempt.watch import AttemptStopped, Phases, Step
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.looking import Look, is_at_its_end, judged_before
from cryoflux.decision.rules import WITH_BUDGET, Verdict, decide
from cryoflux.decision.sequential import decide_partial, hopeless, looks, reading_order
from cryoflux.digests import file_digest, sha256_hex
from cryoflux.energy.interface import Reservation
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import EvaluationFailedError, Losses, write_evidence
from cryoflux.evaluation.scoring import LossesAndHits, Scorer, score
from cryoflux.files import write_atomic
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.profiles import ROUNDED
from cryoflux.receipts.statement import Bar, Cause, Intent
from cryoflux.registry.versions import Version
from cryoflux.task_tallies import EVERYTHING
from cryoflux.tasks.interface import Update, WorkOrder
from cryoflux.tasks.pacing import JoulesEndedError, Limits, TrainingFailedError, TrainingInterruptedError

_MARGIN = 1.35
"""how much dearer than before evaluation may be; what is not needed is refunded, so width costs little"""
_OVERDRAFT = 0.05
"""share of its reservation that an attempt may overdraw"""


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
class HoldoutReading:
    """Losses on the holdout of base and candidate, as far as it was read."""

    base: Losses
    new: Losses
    read: int
    """examples: in the set's order where all were read, else the first of the reading order"""
    cost_uj: int
    saved_uj: int
    """what not reading the rest saved; modelled"""


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """The verdict on a candidate, with what it rests on."""

    bar: Bar
    """as it stood"""
    verdict: Verdict
    evidence: Evidence | None = None
    """of the holdout; none where the screen refused the update"""
    per_example: str = ""
    """SHA-256 of the file of losses"""
    losses_root: str = ""
    """over the same losses, one leaf an example"""
    profile: str = ""
    """in which arithmetic they were computed"""


def work_order(opened: Opened, intent: Intent, pool_seed: int) -> WorkOrder:
    """What an announced attempt asks of whoever trains."""
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
        drawn=opened.drawn,
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


def base_losses(context: Context, opened: Opened, reservation: Reservation, phases: Phases) -> Losses:
    """Losses of the head on the holdout: remembered, or measured once."""
    known = _remembered(context, opened)
    if known is None:
        with phases.measure(EVALUATE_BASE):
            known = _measured(context, opened, reservation)
    return known.losses


def _measured(context: Context, opened: Opened, reservation: Reservation) -> KnownLosses:
    task, part = opened.task, opened.part
    start = context.agent.spent(reservation.id).uj
    everything, share = list(range(opened.count)), task.share_to_compute(part)
    scores = _score(context, opened, reservation, task.scorer(task.head, part), everything, 0)
    _hold_to_it(context, opened, reservation, task.head, everything, scores)
    cost = _spent_since(context, reservation, start)
    known = KnownLosses(Losses(tuple(scores[0]), tuple(scores[1])), cost)
    task.evaluated("", part, cost, share)
    context.losses.put(task.head.digest, opened.holdout, task.cut, known, task.profile(part))
    return known


def _spent_since(context: Context, reservation: Reservation, start_uj: int) -> int:
    """µJ that something has cost; never less than none, though net energy may well measure as that."""
    return max(0, context.agent.spent(reservation.id).uj - start_uj)


def known_head_loss(context: Context, opened: Opened) -> float | None:
    """Holdout loss of the head, in its unit; none where it was never measured."""
    known = _remembered(context, opened)
    return known.losses.mean if known else None


def _remembered(context: Context, opened: Opened) -> KnownLosses | None:
    """Cached losses of the head, if they agree with every receipt that evaluated it."""
    task, holdout = opened.task, opened.holdout
    profile = task.profile(opened.part)
    known = context.losses.get(task.head.digest, holdout, task.cut, opened.count, profile, task.largest)
    if known is None or (told := opened.known()) is None:
        return known
    signed = told.losses.get((holdout, profile, task.cut))
    found = (sum(known.losses.nano_nats), sum(known.losses.correct))
    return known if signed is None or (signed.loss_sum, signed.hits) == found else None


def _score(
    context: Context,
    opened: Opened,
    reservation: Reservation,
    scorer: Scorer,
    indices: list[int],
    before: int,
) -> tuple[list[int], list[bool]]:
    """Losses and hits of some holdout examples, inside the reservation."""
    ceiling = round(reservation.reserved_uj * (1 + _OVERDRAFT * 0.8))

    def between(done: int) -> None:
        context.observer.evaluated(min(before + done, opened.count), opened.count)
        if context.stop():
            raise AttemptStopped(Cause.INTERRUPTED, "interrupted.evaluating")
        if context.agent.spent(reservation.id).uj > ceiling:
            raise AttemptStopped(Cause.EXHAUSTED, "exhausted.evaluating")

    try:
        return score(scorer, indices, between, opened.task.largest)
    except EvaluationFailedError as error:
        raise AttemptStopped(Cause.FAILED, "failed", what=error.what) from error


def _hold_to_it(
    context: Context,
    opened: Opened,
    reservation: Reservation,
    version: Version,
    indices: Sequence[int],
    found: LossesAndHits,
) -> None:
    """Read some losses again, by a scorer that knows nothing of the first time, and the bytes of the set."""
    task, part = opened.task, opened.part
    if not task.read_again:
        return

    def again(some: list[int]) -> LossesAndHits:
        return _score(context, opened, reservation, task.scorer(version, part), some, len(indices))

    require_same_bytes(opened.data, part)
    if task.profile(part) not in ROUNDED:  # there, losses are equal within a tolerance alone, and say so
        require_repeats(again, indices, found, most=task.read_again, unit=task.metric.unit)


def train(
    context: Context, opened: Opened, intent: Intent, reservation: Reservation, phases: Phases
) -> Candidate:
    """Train on what the reservation leaves after evaluation; screen, where that was announced, and merge."""
    order = work_order(opened, intent, opened.task.place.pool_seed)
    with context.versions.capsule_draft() as folder:
        update = _trained(context, opened, order, reservation, folder, phases)
        if update.stopped_by == "interrupt" and not update.working:
            raise AttemptStopped(Cause.INTERRUPTED, "interrupted.training", steps=update.steps)
        with phases.measure(Step.MERGE):
            capsule = context.versions.keep_capsule(folder, update.files[0])
    if intent.rule.screen and update.screening is None:
        raise AttemptStopped(Cause.FAILED, "failed", what="The task did not screen its update.")
    look = _look(context, opened, intent, order, update, capsule)
    draft = None
    if look.refused is None and update.stopped_by != "interrupt":
        start_uj = context.agent.spent(reservation.id).uj
        with phases.measure(Step.MERGE):
            draft = _applied(opened, capsule, update)
        opened.task.applied(_spent_since(context, reservation, start_uj))
    return Candidate(capsule, update, order.arm, look, draft)


def _look(
    context: Context, opened: Opened, intent: Intent, order: WorkOrder, update: Update, capsule: Path
) -> Look:
    """Whether the holdout is read, and at which bar: that of now, for another may have looked meanwhile."""
    chain = opened.chain_of(intent)
    if chain is not None and chain.judged == file_digest(capsule / update.files[0]):
        return judged_before()
    ended = is_at_its_end(update.stopped_by, carries=intent.chain is not None)
    return order.but(bar=context.bar(opened)).look(update.screening, ended=ended)


def _bar(context: Context, opened: Opened, look: Look) -> Bar:
    """The bar of a look."""
    return context.bar(opened).but(stake_milli=look.stake_milli, needed_milli=look.needed_milli)


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


def read_holdout(
    context: Context, opened: Opened, reservation: Reservation, candidate: Candidate, base: Losses
) -> HoldoutReading:
    """Losses of the merged, saved and re-read candidate; the reading stops once it is hopeless."""
    try:
        return _read(context, opened, reservation, candidate, base)
    except AttemptStopped:
        if candidate.draft is not None:
            opened.task.discard(candidate.draft, opened.part)
        raise


def _read(
    context: Context, opened: Opened, reservation: Reservation, candidate: Candidate, base: Losses
) -> HoldoutReading:
    task, part, count, rule = opened.task, opened.part, opened.count, opened.rule.name
    scorer = task.scorer(candidate.draft or task.head, part)
    thresholds = opened.thresholds(_bar(context, opened, candidate.look))
    order = reading_order(count, opened.holdout)
    start, read = context.agent.spent(reservation.id).uj, 0
    losses: list[int] = []
    right: list[bool] = []
    for until in looks(count) if rule in WITH_BUDGET else [count]:
        found = _score(context, opened, reservation, scorer, order[read:until], read)
        losses, right, read = [*losses, *found[0]], [*right, *found[1]], until
        known = Losses(
            tuple(base.nano_nats[i] for i in order[:read]), tuple(base.correct[i] for i in order[:read])
        )
        if hopeless(_pair(opened, known, Losses(tuple(losses), tuple(right))), count, thresholds, rule):
            break
    _hold_to_it(context, opened, reservation, candidate.draft or task.head, order[:read], (losses, right))
    cost = _spent_since(context, reservation, start)
    task.evaluated(candidate.arm, part, cost, read / count)
    if read < count:
        new = Losses(tuple(losses), tuple(right))
        return HoldoutReading(known, new, read, cost, cost * (count - read) // read)
    place = {index: position for position, index in enumerate(order)}
    new = Losses(tuple(losses[place[i]] for i in range(count)), tuple(right[place[i]] for i in range(count)))
    return HoldoutReading(base, new, count, cost, 0)


def _pair(opened: Opened, base: Losses, new: Losses) -> Evidence:
    if not opened.task.hits:
        return pair_losses(base.nano_nats, new.nano_nats)
    return pair_losses(base.nano_nats, new.nano_nats, base.correct, new.correct)


def judge(
    context: Context, opened: Opened, candidate: Candidate, reading: HoldoutReading
) -> CandidateVerdict:
    """Evidence and verdict; the per-example losses go into a file that anyone can sum up again."""
    base, new, count = reading.base, reading.new, opened.count
    evidence = _pair(opened, base, new)
    content = write_evidence(base, new)
    digest = sha256_hex(content)
    write_atomic(context.state.losses(digest), content)
    bar = _bar(context, opened, candidate.look)
    thresholds, rule = opened.thresholds(bar), opened.rule.name
    order: Sequence[int] = range(count)
    if reading.read < count:
        verdict = decide_partial(rule, evidence, count, thresholds)
        order = reading_order(count, opened.holdout)[: reading.read]
    else:
        verdict = decide(rule, evidence, thresholds)
    leaves = loss_leaves(order, base.nano_nats, new.nano_nats, base.correct, new.correct)
    profile = opened.task.profile(opened.part)
    return CandidateVerdict(bar, verdict, evidence, digest, losses_root(leaves), profile)


def refuse(context: Context, opened: Opened, candidate: Candidate) -> CandidateVerdict:
    """The judgement on an update that the screen refused.

    Raises:
        ValueError: it did not.
    """
    if candidate.look.refused is None:
        raise ValueError("the screen let the update pass")
    return CandidateVerdict(context.bar(opened), Verdict(False, candidate.look.refused))


def keep(
    context: Context, opened: Opened, candidate: Candidate, reading: HoldoutReading | None, verdict: Verdict
) -> Version:
    """The head after the verdict: the candidate under its final name, or the base."""
    task, part = opened.task, opened.part
    if candidate.draft is None or reading is None:
        return task.head
    if not verdict.accepted:
        task.discard(candidate.draft, part)
        context.versions.discard(candidate.draft)
        return task.head
    kept = context.versions.keep(candidate.draft)
    known = KnownLosses(reading.new, reading.cost_uj)
    context.losses.put(kept.digest, opened.holdout, task.cut, known, task.profile(part))
    return kept
