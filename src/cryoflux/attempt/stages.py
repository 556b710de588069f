"""What steps 6 to 8 of an attempt do: each takes the frozen value of the step before and returns its own."""

from __future__ import annotations

__all__ = [
    "CandidateVerdict",
    "HoldoutReading",
    "base_losses",
    "judge",
    "keep",
    "known_head_loss",
    "read_holdout",
    "refuse",
]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.phase_joules import EVALUATE_BASE
from cryoflux.attempt.repeats import require_repeats, require_same_bytes
from cryoflux.attempt.training import Candidate, spent_since
from cryoflux.attempt.watch import AttemptStopped, Phases
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.looking import Look
from cryoflux.decision.rules import WITH_BUDGET, Verdict, decide
from cryoflux.decision.sequential import decide_partial, hopeless, looks, reading_order
from cryoflux.digests import sha256_hex
from cryoflux.energy.interface import Reservation
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import EvaluationFailedError, Losses, write_evidence
from cryoflux.evaluation.scoring import LossesAndHits, Scorer, score
from cryoflux.files import write_atomic
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.profiles import ROUNDED
from cryoflux.receipts.statement import Bar, Cause
from cryoflux.registry.versions import Version

_OVERDRAFT = 0.05
"""share of its reservation that an attempt may overdraw"""


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
    cost = spent_since(context, reservation, start)
    known = KnownLosses(Losses(tuple(scores[0]), tuple(scores[1])), cost)
    task.evaluated("", part, cost, share)
    context.losses.put(task.head.digest, opened.holdout, task.cut, known, task.profile(part))
    return known


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


def _bar(context: Context, opened: Opened, look: Look) -> Bar:
    """The bar of a look."""
    return context.bar(opened).but(stake_milli=look.stake_milli, needed_milli=look.needed_milli)


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
    cost = spent_since(context, reservation, start)
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
