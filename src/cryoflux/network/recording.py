"""Where a round meets its log: the announcement before it, and the record after it, whatever became of it."""

from __future__ import annotations

__all__ = [
    "AnnouncedRound",
    "RoundEnd",
    "RoundRecord",
    "announce",
    "record_round",
    "shown_end",
    "stopped_end",
    "unshown_end",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.recording import figure_of
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.decision.levels import certified_level
from cryoflux.decision.reason import Reason
from cryoflux.energy.interface import Reservation
from cryoflux.evaluation.machine import software
from cryoflux.files import copy_regular
from cryoflux.network.round_parts import OfferHere, Screened, ShownLook
from cryoflux.network_state import GuestTally
from cryoflux.receipts.network_parts import (
    RULES,
    GuardResult,
    Member,
    MemberVerdict,
    RoundCandidate,
    RoundOutcome,
    SealedLook,
    Search,
)
from cryoflux.receipts.network_statement import RoundIntent, RoundIntentStatement, RoundResult, RoundStatement
from cryoflux.receipts.statement import Base, Cause, Sha256Digest, Subject
from cryoflux.registry.ancestry import ancestry_of
from cryoflux.registry.composition import Composition, cannot_compose
from cryoflux.registry.made import lists_on_the_way
from cryoflux.registry.mixture import ListStep, after
from cryoflux.registry.parent_lists import adapter_place, keep_lists, parent_lists
from cryoflux.registry.versions import Version
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, HEAD


@dataclass(frozen=True, slots=True)
class AnnouncedRound:
    """The announcement of a round, in the log."""

    intent: RoundIntent
    leaf_hash: str

    @property
    def bar(self) -> tuple[int, int]:
        """Examples of the guest holdout, and the evidence that its look needs, thousandths."""
        return self.intent.guest.count, self.intent.guest.needed_milli


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round that has its record."""

    record: RoundResult
    leaf_hash: str
    bucket_uj: int
    """what the bucket holds after it, µJ"""
    number: int
    """among the rounds of the log"""
    shares_ppm: tuple[int, int] = (0, 0)
    """of all joules that the log has settled by then, what rounds were charged, and of them strangers"""
    names: Mapping[str, str] = field(default_factory=dict)
    """capsule → what it is called here"""
    why: Mapping[str, str] = field(default_factory=dict)
    """capsule → why it was no part of the search, in words"""


def announce(
    context: Context,
    opened: Opened,
    tally: GuestTally,
    offers: Sequence[OfferHere],
    screened_with: int,
    reserve_uj: int,
    seed: int,
) -> AnnouncedRound:
    """Write the announcement of a round before anything is tried.

    Args:
        context: the run.
        opened: the task.
        tally: the guest holdout that may be looked at.
        offers: the candidates, in the order of their commitments.
        screened_with: training-side examples that the search has.
        reserve_uj: what it takes from the bucket, µJ.
        seed: that the candidates were chosen by.
    """
    composed = opened.composition
    intent = RoundIntent(
        sequence=context.log.size,
        prev=context.log.head_hash,
        id=f"round_{int(context.now().timestamp())}_{context.log.size}",
        task=opened.task.name,
        base=opened.base,
        genesis=composed.genesis,
        composed=composed.digest,
        guest=tally.in_use,
        candidates=[
            RoundCandidate(
                capsule=one.update.adapter, origin=one.origin, offer=one.offer, by_lottery=one.by_lottery
            )
            for one in offers
        ],
        screened_with=max(1, screened_with),
        seed=seed,
        rules=RULES,
        reserved_microjoules=reserve_uj,
        meter=context.terms.meter,
        announced_at=context.timestamp(),
    )
    subject = Subject(name=HEAD, digest=Sha256Digest(sha256=opened.base.files))
    entry = context.append(lambda *_: RoundIntentStatement(subject=[subject], predicate=intent))
    return AnnouncedRound(intent, entry.leaf_hash)


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """How a round ended."""

    outcome: RoundOutcome
    reason: Reason
    members: Sequence[Member] = ()
    steps: Sequence[ListStep] = ()
    search: Search | None = None
    guards: Sequence[GuardResult] = ()
    look: SealedLook | None = None
    result: Version | None = None
    """what was composed, kept; none where the head stays"""
    cause: Cause = Cause.NONE


def stopped_end(stopped: AttemptStopped) -> RoundEnd:
    """Of a round that came to no verdict."""
    return RoundEnd(RoundOutcome.ABORTED, stopped.reason, cause=stopped.cause)


def unshown_end(screened: Screened) -> RoundEnd:
    """Of a round that composed nothing worth a look, or what came to no losses in its look."""
    code = "round.unsafe" if screened.steps else "round.unshown"
    code = "round.broken" if screened.worth_a_look else code
    reason = Reason(code=code, numbers={"candidates": len(screened.members), "tried": screened.tried})
    members, steps, guards = [*map(_not_chosen, screened.members)], screened.steps, screened.guards
    return RoundEnd(RoundOutcome.UNSHOWN, reason, members, steps, screened.search, guards)


def shown_end(
    shown: ShownLook, count: int, needed_milli: int, unit: str, keep: Callable[[], Version]
) -> RoundEnd:
    """Of a round whose look is known: one bit, and what an acceptance certifies.

    Args:
        shown: the look.
        count: examples of the guest holdout.
        needed_milli: evidence that it needs, thousandths.
        unit: of the losses.
        keep: gives what was composed its final name; called only where it is accepted.
    """
    level = certified_level(shown.sums.evidence(count), needed_milli)
    look = SealedLook(
        sealed=shown.sealed, losses_root=shown.losses_root, profile=shown.sums.profile, level=level
    )
    if level:
        reason = Reason(code="round.kept", numbers={"count": count, "level": level, "unit": unit})
        parts = shown.members, shown.steps, shown.search, shown.guards, look, keep()
        return RoundEnd(RoundOutcome.ACCEPTED, reason, *parts)
    members = [_not_chosen(member) for member in shown.members]
    reason = Reason(code="round.missed", numbers={"count": count})
    return RoundEnd(RoundOutcome.REJECTED, reason, members, shown.steps, shown.search, shown.guards, look)


def _not_chosen(member: Member) -> Member:
    if member.verdict is not MemberVerdict.ADOPTED:
        return member
    return Member(capsule=member.capsule, verdict=MemberVerdict.NOT_CHOSEN)


def record_round(
    context: Context,
    opened: Opened,
    announced: AnnouncedRound,
    reservation: Reservation | None,
    started_at: str,
    end: RoundEnd,
) -> RoundRecord:
    """Settle a round, write its record, and let the head follow; from here on it has happened.

    Args:
        context: the run.
        opened: the task.
        announced: the round.
        reservation: that it is charged to; none where this meter has none of it.
        started_at: when it began.
        end: how it ended.

    Raises:
        StateError: a quorum of witnesses is required, and has not seen the record.
        StorageError: the disk is full, read-only, or refuses.
    """
    intent, before = announced.intent, opened.composition
    composed = after(before, end.steps) if end.result is not None else before
    if end.result is not None:
        _take_over(context, opened, composed)
    settlement = context.agent.settle(reservation.id) if reservation is not None else None
    figure = figure_of(context, settlement, reserved_uj=intent.reserved_microjoules, meter=intent.meter)
    base, result = opened.base, end.result
    head = Base(digest=result.digest, files=result.files) if result is not None else base
    record = RoundResult(
        sequence=context.log.size,
        prev=context.log.head_hash,
        intent=announced.leaf_hash,
        id=intent.id,
        task=intent.task,
        outcome=end.outcome,
        reason=end.reason,
        base=base,
        result=head,
        composed=composed.digest,
        members=list(end.members),
        steps=list(end.steps),
        search=end.search,
        look=end.look,
        energy=figure,
        software=software(opened.task.libraries),
        started_at=started_at,
        finished_at=context.timestamp(),
        guards=list(end.guards),
        cause=end.cause,
    )
    subject = Subject(name=HEAD, digest=Sha256Digest(sha256=head.files))
    entry = context.append(lambda *_: RoundStatement(subject=[subject], predicate=record))
    context.published(binding=result is not None)
    if result is not None:
        opened.task.adopt(result)
        context.versions.point_head(result.digest, opened.task.name, context.memory.list_of)
    log, held_uj = context.memory, context.agent.bucket_uj()
    return RoundRecord(record, entry.leaf_hash, held_uj, log.rounds, log.charged.shares_ppm)


def _take_over(context: Context, opened: Opened, composed: Composition) -> None:
    """Keep all that the new head rests on, as if it had been made here.

    Raises:
        ModelError: a list is not here.
    """
    state, known = context.state, opened.known()
    if known is not None:
        keep_lists(state.path, lists_on_the_way(known.made, known.head.digest).values())
    rests = ancestry_of(composed.terms, parent_lists(state.path))
    if rests.missing:
        raise cannot_compose(f"The list {min(rests.missing)[:16]}… is not here.")
    for adapter in sorted(rests.adapters - rests.folded):
        place = adapter_place(state)(adapter)
        if place != state.capsule(adapter):
            with context.versions.capsule_draft() as draft:
                for name in (ADAPTER, ADAPTER_CONFIG):
                    copy_regular(place / name, draft / name)
                context.versions.keep_capsule(draft, ADAPTER)
