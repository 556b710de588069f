"""What a node may show, and from when on: nothing before a quorum has seen who made it first.

A receipt is the commitment to an update. Whoever could fetch an adapter, or read its digest, before witnesses
have seen the receipt could have a copy of it, or the digest alone, witnessed earlier. So a log is shown up to
the newest head that a quorum of the node's own policy has cosigned, and of what entries name, what those
name that are shown. A policy that needs nobody reveals nothing by that alone: a node that has no witnesses
says so.

Cosignatures have whole seconds. A copy that was cosigned in the second of its original would come no later,
so nothing is shown before that second is over.
"""

from __future__ import annotations

__all__ = ["MOST_HELD_S", "Commitments", "Needed", "OwnOffer", "RevealRule"]

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cryoflux.errors import ModelError, VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Note
from cryoflux.receipts.entry import Entry, Kind
from cryoflux.receipts.network_statement import GuestOpening, UpdateOffer
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.composition import Term, beginnings, list_digest
from cryoflux.registry.made import lists_on_the_way
from cryoflux.registry.mixture import after
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.policy import Policy

_Lists = Mapping[str, tuple[Term, ...]]
MOST_HELD_S = 2.0
"""that a head is held back: a witness whose clock is further ahead would hold back everything"""


@dataclass(frozen=True, slots=True)
class RevealRule:
    """Whose cosignatures a node waits for."""

    policy: Policy
    no_witnesses: bool = False
    """whether the node states that it has none, where the policy needs nobody: its own head is enough then"""

    now: Callable[[], float] = time.time
    """the node's own clock, POSIX seconds"""

    def head(self, cosigned: Iterable[Note], newest: Note) -> tuple[Note | None, float]:
        """The newest head that may be shown, none where there is none yet.

        Args:
            cosigned: heads of the log that witnesses cosigned, newest first.
            newest: its newest head, whoever cosigned it.

        Returns:
            and how long until a newer one may be, s; 0 where none is held back.
        """
        if self.policy.reached(set()):
            return (newest if self.no_witnesses else None), 0.0
        held = list[float]()
        for head in cosigned:
            left_s = self._left_s(head)
            if left_s == 0:
                return head, min(held, default=0.0)
            if left_s is not None:
                held.append(left_s)
        return None, min(held, default=0.0)

    def _left_s(self, head: Note) -> float | None:
        """How long until the second is over in which a quorum had seen a head, s; none where none has."""
        try:
            reached, time_s = quorum_time(head, self.policy)
        except VerificationError:  # a false cosignature counts for nothing
            return None
        if not reached:
            return None
        left_s = (time_s or 0) + 1 - self.now()
        return left_s if 0 < left_s <= MOST_HELD_S else 0.0


@dataclass(frozen=True, slots=True)
class OwnOffer:
    """An offer in the node's own log."""

    offer: UpdateOffer
    index: int


@dataclass(frozen=True, slots=True)
class Needed:
    """What is needed to compose some versions, beside their genesis."""

    lists: dict[str, tuple[Term, ...]]
    adapters: tuple[str, ...]
    unknown: tuple[str, ...]
    """digests of lists that are not known here"""


@dataclass(slots=True)
class Commitments:
    """What the entries of a log that are shown have committed to; they are taken one after the other."""

    state: LogState = field(default_factory=LogState)
    made: dict[str, str] = field(default_factory=dict)
    """adapter of the node's own → SHA-256 of its settings; empty where its receipt does not name them"""
    offers: dict[str, OwnOffer] = field(default_factory=dict)
    """adapter → the first offer of it"""
    openings: dict[str, tuple[GuestOpening, Entry]] = field(default_factory=dict)
    """root of a guest holdout → what opens it, and the entry that says so"""
    looks: dict[str, list[tuple[Term, ...]]] = field(default_factory=dict)
    """root of a guest holdout → the lists of which its looks compared what they make"""
    below: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    """digest of a list → it, of those that heads had and that lists of looks hang on"""
    named: set[str] = field(default_factory=set)
    """digests of what entries are about that are no attempts"""
    node_entry: Entry | None = None
    """by which the node last said who it is"""

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        self._take_look(entry)
        self.state.take(entry)
        self._take_head(entry)
        statement = entry.statement
        if isinstance(statement, ReceiptStatement):
            by_name = {one.name: one.digest.sha256 for one in statement.subject}
            if (adapter := by_name.get(ADAPTER)) is not None:
                self.made.setdefault(adapter, by_name.get(ADAPTER_CONFIG, ""))
        elif entry.intent is None:
            self.named.update(one.digest.sha256 for one in statement.subject)
        self._take_network(entry)

    def _take_look(self, entry: Entry) -> None:
        """Remember what a look compared, by the head from before its record."""
        said = entry.round
        if said is None or said.look is None or said.task not in self.state.tasks:
            return
        opened = self.state.nodes[said.task].open.get(said.intent) if said.task in self.state.nodes else None
        if opened is None:
            return
        head, looks = self.state.tasks[said.task], self.looks.setdefault(opened.intent.guest.root, [])
        looks.append(head.composition.terms)
        for step in said.steps:
            self.below |= beginnings(step.update.parent)
        with suppress(ModelError):  # then there was nothing to look at
            looks.append(after(head.composition, said.steps, folds=self.below).terms)

    def _take_head(self, entry: Entry) -> None:
        """Remember what a head is composed of; a recall may have made other lists on its way."""
        moved = entry.round or entry.recall
        task = entry.receipt.task.name if entry.receipt is not None else moved.task if moved else ""
        if (known := self.state.tasks.get(task)) is None:
            return
        self.below[known.composition.digest] = known.composition.terms
        if entry.recall is not None:
            self.below |= lists_on_the_way(known.made, known.head.digest)

    def _take_network(self, entry: Entry) -> None:
        said = entry.network.predicate if entry.network is not None else None
        if isinstance(said, UpdateOffer):
            self.offers.setdefault(said.update.adapter, OwnOffer(said, entry.index))
        elif isinstance(said, GuestOpening):
            self.openings.setdefault(said.root, (said, entry))
        elif entry.kind is Kind.NODE:
            self.node_entry = entry

    @property
    def own_offers(self) -> list[OwnOffer]:
        """The offers of what the log made."""
        return [found for adapter, found in self.offers.items() if adapter in self.made]

    def needed(self, offers: Iterable[OwnOffer], others: _Lists) -> Needed:
        """What has to be had to compose the node's heads, what offers were trained on, and opened looks.

        What a look was made of is shown with what opens it, also where no head has it: whoever made it may
        show it no more, and then nobody could make the verdict again.

        Args:
            offers: of the log.
            others: digest of a list → its updates, of lists of others that are known here.
        """
        heads = [self.state.tasks[task] for task in self.state.nodes if task in self.state.tasks]
        parents = [found.offer.update.parent for found in offers]
        looked = [terms for root in self.openings for terms in self.looks.get(root, ())]
        known = {**others, **self.below}
        for head in heads:
            known |= lists_on_the_way(head.made, head.head.digest)
        for terms in parents:
            known |= beginnings(terms)
        return _closure([*(head.composition.terms for head in heads), *parents, *looked], known)


def _closure(wanted: Sequence[tuple[Term, ...]], known: _Lists) -> Needed:
    """The lists that some lists lead to, by what their updates were trained on and by what was folded."""
    left, known = list(wanted), dict(known)
    lists, adapters = dict[str, tuple[Term, ...]](), dict[str, None]()
    while left:
        terms = left.pop()
        if not terms or (digest := list_digest(terms)) in lists:
            continue
        lists[digest] = terms
        known |= beginnings(terms)
        adapters |= {term.adapter: None for term in terms if not term.is_list}
        left += [known[term.parent] for term in terms if term.parent in known]
    named = dict.fromkeys(term.parent for terms in lists.values() for term in terms)
    return Needed(lists, tuple(adapters), tuple(digest for digest in named if digest not in known))
