"""Rounds beside attempts: when a run looks at what others offer, and what it takes into a round.

``adopt-eta/v2``: where offers wait, a round is made if none was made before, if no arm is expected to pay, or
if the newest rounds brought as much Δ for a joule as the arm that would be pulled is expected to. Both are Δ
on the node's own training side, where the verdict kept it, over upper joules. And beside attempts only as far
as all rounds of the log, this one included at what it reserves, stay within a share of all joules that the
log has settled, whatever they bring: so the first one waits until training has earned it. A round that a
person asked for (``node round``) is not held by the share, and counts in it.

An offer is considered again only for another head, at most three times: never a copy, nor what is malformed,
unsafe, of another genesis or was recalled.
"""

from __future__ import annotations

__all__ = ["Adopting", "OwnUpdate", "due_offers", "own_updates"]

import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.orchestrator import next_arm
from cryoflux.errors import ModelError
from cryoflux.network.head_times import SeenBy
from cryoflux.network.membership import Admission
from cryoflux.network.node_place import NodePlace, no_guest
from cryoflux.network.prices import RoundBounds, UnpaidRound
from cryoflux.network.recording import RoundRecord
from cryoflux.network.round_parts import ChosenOffers, OfferHere
from cryoflux.network.rounds import Walls, run_round
from cryoflux.network.screening import WasBefore, Whose, by_time
from cryoflux.network_state import GuestTally, NodeState, RoundGain
from cryoflux.quantities import MICRO
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.registry.made import lists_on_the_way
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.parent_lists import keep_lists, parent_lists, updates_of
from cryoflux.scheduling.policy import ArmRow

_MOST_COMPARED = 512
"""offers of earlier rounds, the newest, that a new one may be a copy of"""
MOST_TIMES = 3
"""that rounds consider an offer"""
_FOR_GOOD = frozenset(
    {MemberVerdict.DUPLICATE, MemberVerdict.MALFORMED, MemberVerdict.UNSAFE, MemberVerdict.STALE}
)
_COMPOSABLE = frozenset({MemberVerdict.ADOPTED, MemberVerdict.NOT_CHOSEN, MemberVerdict.SCREENED})
_NOT_READ = frozenset({MemberVerdict.UNREACHED, MemberVerdict.UNAVAILABLE})


OfferChoice = Callable[[list[OfferHere], int], ChosenOffers]
"""which offers a round may consider of those that are due, by a seed"""


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What the share of rounds has to grow to, by the offers that were here, and one guest holdout."""

    wanted_uj: int
    guest: str
    """root of the guest holdout"""
    mark: Hashable
    """of what was pulled by then"""


class Adopting:
    """The rounds of a run, for one of its tasks.

    Args:
        context: the run.
        opened: the task.
        offers: what is offered by now, in the order of commitments, and read anew each time.
        mark: of what was pulled by now: another one where other offers may be here; it reads none.
        admit: looks at the bytes of an offer.
        guards: name of a guard set → its file.
        choose: which of those that are due a round considers.
        share_ppm: of all joules, what rounds beside attempts may cost, parts per million.
        before: says which of two offers was committed first.
    """

    def __init__(
        self,
        context: Context,
        opened: Opened,
        offers: Callable[[], Sequence[OfferHere]],
        mark: Callable[[], Hashable],
        admit: Admission,
        guards: Mapping[str, Path],
        choose: OfferChoice,
        share_ppm: int = MICRO,
        before: WasBefore = by_time,
    ) -> None:
        self._context, self._opened, self._offers, self._mark = context, opened, offers, mark
        self._admit, self._guards, self._choose, self._share_ppm = admit, guards, choose, share_ppm
        self._awaited: _Awaited | None = None
        self._idle: tuple[Hashable, str] | None = None
        """what was pulled, and the head for which nothing of it was due"""
        self._before = before

    @property
    def _node(self) -> NodeState:
        return self._context.memory.nodes.get(self._opened.task.name) or NodeState()

    def next(self, left_uj: int, *, beside_attempts: bool) -> RoundRecord | None:
        """Make a round, if it is its turn.

        Args:
            left_uj: what may still be spent, µJ.
            beside_attempts: whether the run makes attempts too, which may be worth more.

        Returns:
            none where nothing waits or an attempt is worth more, or where attempts are made too and there is
            no guest holdout that could judge, or the share of rounds does not pay for one yet.

        Raises:
            BudgetError: what is left does not pay for a round; or only rounds are made and each guest
                holdout has retired.
            UsageError: only rounds are made, and no guest holdout was entered.
        """
        node = self._node
        if node.guest is None or (beside_attempts and node.guest.is_due(self._context.timestamp())):
            if beside_attempts:
                return None
            raise no_guest(self._context.state, worn=bool(node.guests))
        share_uj = self._context.memory.charged.left_for_rounds_uj(self._share_ppm)
        mark = self._mark()  # before they are read: what comes meanwhile is read the next time
        if beside_attempts and share_uj < self._least_uj(node.guest, mark):
            return None  # no round reserves less: nothing has to be read to know that
        is_worth_it = not beside_attempts or self._worth_more(left_uj)
        offers, due = self._due(node, mark) if is_worth_it else ((), [])
        if not due:
            return None
        place = NodePlace.of(self._context, self._opened, self._guards)
        seed = secrets.randbelow(2**53)  # nobody can offer by it who does not know it
        own = own_updates(
            self._context, self._opened, {offer.update.adapter: offer for offer in reversed(offers)}
        )
        mine = {one.update.adapter for one in own}
        chosen = self._choose([offer for offer in due if offer.update.adapter not in mine], seed)
        here = {one.update.adapter for one in (*chosen.known, *chosen.strangers)}
        before = [offer for offer in offers if _was_composable(node, offer)][-_MOST_COMPARED:]
        known: list[Whose] = [*own, *(offer for offer in before if offer.update.adapter not in here)]
        if not here:
            return None
        bounds = RoundBounds(left_uj, share_uj if beside_attempts else None)
        walls = Walls(self._admit, known, self._before)
        made = run_round(self._context, self._opened, place, chosen, walls, bounds)
        if isinstance(made, UnpaidRound):
            self._awaited = _Awaited(made.wanted_uj, node.guest.said.root, mark)
            return None
        return made

    def _due(self, node: NodeState, mark: Hashable) -> tuple[Sequence[OfferHere], list[OfferHere]]:
        """All that is offered, and what of it is due; it is read only where something may be."""
        head = self._opened.task.head.digest
        if self._idle == (mark, head):
            return (), []
        offers = self._offers()
        due = due_offers(node, offers, head, self._context.log.origin)
        # Before the first attempt of a log nothing is told of what is offered.
        self._idle = (mark, head) if offers and not due else None
        return offers, due

    def _least_uj(self, guest: GuestTally, mark: Hashable) -> int:
        """What the next round reserves at least, µJ, by what is known without reading what is offered."""
        least_uj, known = self._context.terms.reserve_uj, self._awaited
        if known is None or (known.guest, known.mark) != (guest.said.root, mark):
            return least_uj
        return max(least_uj, known.wanted_uj)

    def _worth_more(self, left_uj: int) -> bool:
        gains = self._node.gains
        return not gains or is_worth_more(gains, next_arm(self._context, left_uj))


def is_worth_more(gains: Sequence[RoundGain], rival: ArmRow | None) -> bool:
    """Whether rounds like the newest ones bring as much for a joule as the arm that would be pulled.

    Args:
        gains: of the newest rounds.
        rival: what is expected of that arm; none where none pays.
    """
    if rival is None:
        return True
    delta_nano, hi_uj = sum(one.delta_nano for one in gains), sum(one.hi_uj for one in gains)
    return delta_nano * rival.expected.cost_uj >= rival.expected.delta_nano * hi_uj


def due_offers(node: NodeState, offers: Sequence[OfferHere], head: str, origin: str) -> list[OfferHere]:
    """The offers that the next round considers, in the order of their commitments, each capsule once.

    Args:
        node: what the log has come to as a node's.
        offers: all that are known, in that order.
        head: digest of the head.
        origin: of the node's own log, whose offers are its own.
    """
    found: dict[str, OfferHere] = {}
    for offer in offers:
        adapter = offer.update.adapter
        if offer.by_lottery and offer.absent:
            continue  # of what a stranger withholds nobody has to hear
        if offer.origin != origin and _is_due(node, offer, head):
            known = found.get(adapter)  # of two who offer the same bytes, the earlier one whose are here
            if known is None or (known.absent and not offer.absent):
                found[adapter] = offer
    # Of what is withheld a round says so beside what it can compose, once; for that alone it is not made.
    due = sorted(found.values(), key=lambda offer: (offer.committed_s, offer.update.adapter))
    return due if any(not offer.absent for offer in due) else []


def _was_composable(node: NodeState, offer: OfferHere) -> bool:
    before = node.considered.get(offer.update.adapter)
    return before is not None and before.verdict in _COMPOSABLE


def _is_due(node: NodeState, offer: OfferHere, head: str) -> bool:
    adapter = offer.update.adapter
    if any(adapter in known for known in (node.offers, node.adopted, node.recalled)):
        return False
    before = node.considered.get(adapter)
    if before is None:
        return True
    if before.verdict in _FOR_GOOD or before.times >= MOST_TIMES:
        return False
    if before.verdict in _NOT_READ:
        return not offer.absent
    return before.head != head


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """An update that the head is the sum of."""

    update: OfferedUpdate
    origin: str
    """of the log of whoever made it"""
    seen: SeenBy | None = None
    """when the receipt of whoever offered it was seen; none where it was made here, before all that is
    offered"""


def own_updates(
    context: Context, opened: Opened, offered: Mapping[str, OfferHere] | None = None
) -> list[OwnUpdate]:
    """The updates that a head is the sum of, with what each was trained on.

    Args:
        context: the run.
        opened: the task.
        offered: adapter → the first offer of it; of what none offers the log of the run made it.
    """
    offered = offered or {}
    known, state = opened.known(), context.state.path
    if known is None:
        return []
    keep_lists(state, lists_on_the_way(known.made, known.head.digest).values())
    list_of, composed, found = parent_lists(state), opened.composition, list[OwnUpdate]()
    for term in updates_of(composed.terms, list_of):
        try:
            parent = list_of(term.parent)
        except ModelError:  # of before there were lists: it can be compared with nothing
            continue
        update = OfferedUpdate(adapter=term.adapter, genesis=composed.genesis, parent=parent)
        offer = offered.get(term.adapter)
        made_here = OwnUpdate(update, context.log.origin)
        found.append(OwnUpdate(update, offer.origin, offer.seen) if offer is not None else made_here)
    return found
