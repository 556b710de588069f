"""One round, in nine steps: what others offer is checked, composed on the node's own side, and shown once.

Like an attempt it is announced before it is tried, metered from its reservation on, and recorded whatever
became of it. A crash leaves an open announcement; what a look had shown by then is published by whoever
closes it (`cryoflux.network.closing`), so a run that dies cannot look twice.
"""

from __future__ import annotations

__all__ = ["RoundRecord", "Walls", "run_round"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.energy.interface import Reservation
from cryoflux.errors import BudgetError, ModelError, UsageError
from cryoflux.network.guarding import spoiling_step
from cryoflux.network.looking import GuestReading, Looking, keep_losses, look_at_guest, seal_look
from cryoflux.network.membership import (
    Admission,
    barred,
    bringing_back,
    contested_with,
    copied_by,
    copy_of,
    members_of,
    unreached,
)
from cryoflux.network.node_place import NodePlace
from cryoflux.network.prices import LOOKS_ASIDE, RoundBounds, RoundPrices, UnpaidRound
from cryoflux.network.proposing import search_round
from cryoflux.network.recording import (
    AnnouncedRound,
    RoundEnd,
    RoundRecord,
    announce,
    record_round,
    shown_end,
    stopped_end,
    unshown_end,
)
from cryoflux.network.round_losses import LossesByList, LossesOnGuards
from cryoflux.network.round_parts import (
    ChosenOffers,
    Considered,
    OfferHere,
    Screened,
    ShownLook,
    refused,
)
from cryoflux.network.screening import CopyScreen, WasBefore, Whose, by_time, find_copies
from cryoflux.network.search_set import SearchSet
from cryoflux.receipts.network_parts import MOST_CANDIDATES, GuardResult, Member, MemberVerdict
from cryoflux.receipts.statement import Base, Cause
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import StepKind
from cryoflux.registry.parent_lists import keep_lists, parent_lists, updates_of
from cryoflux.tasks.composing import Composing


@dataclass(frozen=True, slots=True)
class Walls:
    """What stands between an offer and the search."""

    admit: Admission
    """looks at the bytes"""
    known: Sequence[Whose] = ()
    """updates of one's own, and earlier ones of others, that a copy may be of"""
    before: WasBefore = by_time
    """says which of two was committed first"""


def run_round(
    context: Context,
    opened: Opened,
    place: NodePlace,
    chosen: ChosenOffers,
    walls: Walls,
    bounds: RoundBounds,
) -> RoundRecord | UnpaidRound | None:
    """Try to improve a head by what others offer, once.

    Args:
        context: the run.
        opened: the task.
        place: where the node works.
        chosen: what it may consider; of strangers it takes as many as their hundredth of the joules pays for.
        walls: what stands between offers and the search.
        bounds: what it may cost.

    Returns:
        its record; what the share of rounds does not pay for yet; or none where nothing is here but of
        strangers, and none of them is paid for.

    Raises:
        BudgetError: the bucket does not pay for a round; nothing was announced.
        UsageError: the task's versions are no lists of updates.
        StateTamperedError: what is kept of an earlier look cannot be read.
        AgentError: the agent went away; the next run closes the round.
        StorageError: the disk is full, read-only, or refuses; the same.
    """
    composing = _composing(opened)
    looking = Looking.of(opened, place.guest, place.guards)
    search = SearchSet.of(opened, composing, place.network)
    count = len(search.indices)
    prices = RoundPrices(context, looking, count, len(walls.known))
    offers = chosen.paid(prices.fit, MOST_CANDIDATES)
    if all(offer.absent for offer in offers):
        return None
    if (unpaid := prices.unpaid(len(offers), bounds)) is not None:
        return unpaid
    reserve_uj = prices.reserve_uj(len(offers), bounds)
    missed = place.refused(opened.base, opened.composition)
    started_at = context.timestamp()
    announced = announce(context, opened, place.tally, offers, count, reserve_uj, chosen.seed)  # 1
    reservation = _reserve(context, opened, announced)  # 2
    considered = Considered()
    trying = _Round(context, opened, composing, looking, search, reservation, missed)
    try:
        considered = trying.consider(offers, walls)  # 3 admission and copies
        screened = trying.search(offers, considered)  # 4 compose, and guards
        end = unshown_end(screened)
        reading = trying.look(screened) if screened.worth_a_look else None  # 5
        if reading is not None:
            shown = keep_look(place, reading, screened, announced.leaf_hash, started_at)  # 6
            end = trying.ended(reading, shown, announced)  # 7
    except AttemptStopped as stopped:
        context.versions.discard_drafts()
        end = stopped_end(stopped)
    record = record_round(context, opened, announced, reservation, started_at, end)  # 8, 9
    names = {offer.update.adapter: offer.name for offer in offers if offer.name}
    return replace(record, names=names, why=considered.why)


def keep_look(
    place: NodePlace, reading: GuestReading, screened: Screened, intent: str, started_at: str
) -> ShownLook:
    """Seal a look, and keep it before anybody learns of it."""
    base = Base(digest=reading.head.digest, files=reading.head.files)
    sums, losses_root = seal_look(reading, base, place.guest, intent)
    search = screened.search
    if search is None:
        raise ValueError("what was not searched for cannot be shown")
    shown = ShownLook(
        intent=intent,
        members=list(screened.members),
        steps=list(screened.steps),
        search=search,
        sums=sums,
        sealed=sums.seal(place.guest.key, intent),
        losses_root=losses_root,
        started_at=started_at,
        guards=list(screened.guards),
    )
    place.guest.keep_look(shown, reading.losses)
    return shown


def _composing(opened: Opened) -> Composing:
    if (composing := opened.task.composing()) is None:
        raise UsageError(
            f"Versions of {opened.task.name} are no lists of updates.",
            why="A round composes updates of others with one's own.",
            hint="Rounds are for the task lora_delta.",
        )
    return composing


def _reserve(context: Context, opened: Opened, announced: AnnouncedRound) -> Reservation:
    intent = announced.intent
    try:
        return context.agent.take(
            intent.reserved_microjoules,
            request_id=intent.id,
            log=context.log.origin,
            intent=announced.leaf_hash,
        )
    except BudgetError:
        gone = stopped_end(AttemptStopped(Cause.UNRESERVED, "unreserved"))
        record_round(context, opened, announced, None, intent.announced_at, gone)
        raise


@dataclass(slots=True)
class _Round:
    """A round in progress."""

    context: Context
    opened: Opened
    composing: Composing
    looking: Looking
    search_set: SearchSet
    reservation: Reservation
    refused: frozenset[str] = frozenset()
    """lists that the guest holdout has refused already"""
    known: LossesByList = field(default_factory=dict)
    """losses of what all its searches tried"""
    guarded: LossesOnGuards = field(init=False)
    """those on guard sets"""

    def __post_init__(self) -> None:
        self.guarded = LossesOnGuards(self.composing)

    @property
    def _recalled(self) -> set[str]:
        return self.context.memory.nodes[self.opened.task.name].recalled

    def spent_uj(self) -> int:
        """What it has cost so far, µJ."""
        return self.context.agent.spent(self.reservation.id).uj

    def affords_search(self) -> bool:
        """Whether the look can still be paid."""
        return self.spent_uj() + (LOOKS_ASIDE - 1) * self.looking.cost_uj < self.reservation.reserved_uj

    def between(self, what: str, count: int) -> Callable[[int], None]:
        """What is called before each batch: somebody may want it to end.

        Args:
            what: is done, in words.
            count: examples.
        """

        def before(done: int) -> None:
            self.context.observer.checking(what, done, count)
            if self.context.stop():
                raise AttemptStopped(Cause.INTERRUPTED, "interrupted.evaluating")

        return before

    def consider(self, offers: Sequence[OfferHere], walls: Walls) -> Considered:
        """Admission and copies: what of the offers may be composed."""
        found: dict[str, Member] = {}
        why: dict[str, str] = {}
        state, head = self.context.state.path, self.opened.composition
        keep_lists(state, [head.terms, *(offer.update.parent for offer in offers)])
        list_of = parent_lists(state)
        for offer in offers:
            if (verdict := barred(offer, head, walls.admit, list_of)) is not None:
                found[offer.update.adapter] = refused(offer.update.adapter, verdict[0])
                why[offer.update.adapter] = verdict[1]
        if self._copies_matter(offers, found, walls):
            found |= self._copies(offers, found, walls, why)
        return Considered(found, why)

    @staticmethod
    def _copies_matter(offers: Sequence[OfferHere], found: Mapping[str, Member], walls: Walls) -> bool:
        return len(offers) - len(found) + len(walls.known) > 1

    def _copies(
        self, offers: Sequence[OfferHere], found: Mapping[str, Member], walls: Walls, why: dict[str, str]
    ) -> dict[str, Member]:
        kept = self.context.state.cache / "copies"
        texts = self.search_set
        digest = self.opened.data.file_digests[texts.part]
        screen = CopyScreen(self.composing, kept, texts.part, digest, texts.indices)
        left = [offer for offer in offers if offer.update.adapter not in found]
        genesis = self.opened.composition.genesis
        known = [one for one in walls.known if one.update.genesis == genesis]
        broken: dict[str, Member] = {}

        looking = self.between("looking for copies", len(texts.indices))

        def fits(one: Whose) -> bool:
            update = one.update
            looking(0)
            if not self.affords_search():
                return False
            try:
                screen.direction(update)
            except ModelError as error:
                broken[update.adapter] = refused(update.adapter, MemberVerdict.STALE)
                why[update.adapter] = error.what
                return False
            return True

        fitting = [offer for offer in left if fits(offer)]
        held = {
            term.adapter
            for term in updates_of(self.opened.composition.terms, parent_lists(self.context.state.path))
        }
        alike = find_copies(filter(fits, known), fitting, screen.direction, walls.before, held)
        whose = {offer.update.adapter: offer for offer in offers}
        for adapter, original in alike.of.items():
            why[adapter] = copy_of(whose[adapter], whose.get(original), original)
        for adapter, other in alike.contested.items():
            why[adapter] = contested_with(whose.get(other), other)
        for adapter, other in alike.copied.items():
            why[adapter] = copied_by(whose.get(other), other)
        mine = {offer.update.adapter for offer in left}
        broken = {adapter: member for adapter, member in broken.items() if adapter in mine}
        copies = {a: refused(a, MemberVerdict.DUPLICATE, of) for a, of in alike.of.items()}
        return broken | copies | {a: refused(a, MemberVerdict.COPIED, of) for a, of in alike.copied.items()}

    def search(self, offers: Sequence[OfferHere], considered: Considered) -> Screened:
        """Compose on the node's own training side what no guard set speaks against.

        What makes one worse is left out, and the rest searched again: else one offer that helps and is barred
        would keep all others out, round after round, as long as somebody makes another of its kind.
        """
        found, left = self._searched(offers, considered), considered
        while found.steps and not found.worth_a_look and self.affords_search():
            step, alone = spoiling_step(self.opened.composition, found.steps, self._is_safe)
            if step.kind is StepKind.REWEIGHT:
                break
            verdict = MemberVerdict.UNSAFE if alone else MemberVerdict.NOT_CHOSEN
            spoiling = refused(step.update.adapter, verdict)
            left = replace(left, refused={**left.refused, spoiling.capsule: spoiling})
            again = self._searched(offers, left)
            if not again.steps:
                members = tuple(left.refused.get(member.capsule, member) for member in found.members)
                return replace(found, members=members)
            found = replace(again, tried=found.tried + again.tried)
        return found

    def _is_safe(self, composed: Composition) -> bool:
        return all(guard.passed for guard in self._guards(composed))

    def _guards(self, composed: Composition) -> tuple[GuardResult, ...]:
        head, between = self.opened.composition, self.between("guard sets", 0)
        return self.looking.guards(self.guarded.of, head, composed, between)

    def _searched(self, offers: Sequence[OfferHere], considered: Considered) -> Screened:
        """Compose on the node's own training side, and hold what comes of it to the guard sets."""
        head = self.opened.composition
        left = [offer.update for offer in offers if offer.update.adapter not in considered.refused]
        texts = self.search_set
        if not left or not texts.indices:
            unread = [considered.refused.get(o.update.adapter) or unreached(o) for o in offers]
            return Screened(tuple(unread), (), head, None, 0)

        composing = self.between("composing", len(texts.indices))

        def losses(composed: Composition, places: range) -> Sequence[int]:
            indices = texts.indices[places.start : places.stop]
            return self.composing.losses(composed, texts.part, indices, composing)

        def taken(composed: Composition) -> None:
            keep_lists(self.context.state.path, [composed.terms])

        found = search_round(
            head,
            left,
            losses,
            len(texts.indices),
            goes_on=self.affords_search,
            taken=taken,
            refused=self.refused,
            unmixed=bringing_back(left, self._recalled, parent_lists(self.context.state.path)),
            known=self.known,
        )
        guards = self._guards(found.composed) if found.steps else ()
        members = members_of(offers, considered, left, found, safe=all(guard.passed for guard in guards))
        return Screened(members, found.steps, found.composed, found.evidence, found.tried, guards)

    def look(self, screened: Screened) -> GuestReading | None:
        """Merge, save, read back, and read the whole guest holdout.

        None where a loss is no number: that is a verdict on what was offered, and stopping by it would let
        one offer stop every round.
        """
        draft = self.composing.draft(screened.composed)
        between = self.between("guest holdout", len(self.looking.guest.examples))
        try:
            return look_at_guest(self.context, self.looking, draft, between)
        except AttemptStopped as stopped:
            if stopped.cause is not Cause.FAILED:
                raise
        self.context.versions.discard(draft)
        return None

    def ended(self, reading: GuestReading, shown: ShownLook, announced: AnnouncedRound) -> RoundEnd:
        """How a round ends by its look: what was composed is kept, or thrown away."""
        versions, unit = self.context.versions, self.opened.task.metric.unit
        end = shown_end(shown, *announced.bar, unit, partial(versions.keep, reading.draft))
        if end.result is None:
            versions.discard(reading.draft)
        else:
            keep_losses(self.context, self.looking, reading.draft, reading.new)
        return end
