"""What a node may show of its updates, and from when on: nothing before a quorum has seen who made it first.

A receipt is the commitment to an update. Whoever could fetch an adapter before witnesses have seen its
receipt could have a copy of it witnessed earlier. So bytes are revealed once a quorum of the node's own
policy has cosigned a head that covers the receipt, and what else a log names once such a head covers the
entry that names it. A policy that needs nobody reveals nothing by that alone: a node that has no witnesses
says so.
"""

from __future__ import annotations

__all__ = ["Commitments", "MadeHere", "Needed", "OwnOffer", "RevealRule"]

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cryoflux.errors import VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Note
from cryoflux.receipts.entry import Entry, Kind
from cryoflux.receipts.network_statement import GuestOpening, UpdateOffer
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.composition import Term, beginnings, list_digest
from cryoflux.registry.made import lists_on_the_way
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.policy import Policy

_Lists = Mapping[str, tuple[Term, ...]]


@dataclass(frozen=True, slots=True)
class RevealRule:
    """Whose cosignatures a node waits for."""

    policy: Policy
    no_witnesses: bool = False
    """whether the node states that it has none, where the policy needs nobody: its own head is enough then"""

    def covered(self, heads: Iterable[Note], size: int) -> int:
        """So many entries may be revealed.

        Args:
            heads: of the log, with their cosignatures, newest first.
            size: entries that its newest head covers, whoever cosigned it.
        """
        if self.policy.reached(set()):
            return size if self.no_witnesses else 0
        return next((head.checkpoint.size for head in heads if self._reached(head)), 0)

    def _reached(self, head: Note) -> bool:
        try:
            return quorum_time(head, self.policy)[0]
        except VerificationError:  # a false cosignature counts for nothing
            return False


@dataclass(frozen=True, slots=True)
class MadeHere:
    """An update of the node's own."""

    index: int
    """position of the receipt that first names it"""
    config: str
    """SHA-256 of its settings; empty where the receipt does not name it"""


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
    """What a log has committed to so far; entries are taken one after the other."""

    state: LogState = field(default_factory=LogState)
    made: dict[str, MadeHere] = field(default_factory=dict)
    """adapter → the receipt that made it"""
    offers: dict[str, OwnOffer] = field(default_factory=dict)
    """adapter → the first offer of it"""
    openings: dict[str, tuple[GuestOpening, Entry]] = field(default_factory=dict)
    """root of a guest holdout → what opens it, and the entry that says so"""
    named: dict[str, int] = field(default_factory=dict)
    """digest of what an entry is about that is no attempt → position of the first one"""
    node_entry: Entry | None = None
    """by which the node last said who it is"""

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        self.state.take(entry)
        statement = entry.statement
        if isinstance(statement, ReceiptStatement):
            by_name = {one.name: one.digest.sha256 for one in statement.subject}
            if (adapter := by_name.get(ADAPTER)) is not None:
                self.made.setdefault(adapter, MadeHere(entry.index, by_name.get(ADAPTER_CONFIG, "")))
        elif entry.intent is None:
            for one in statement.subject:
                self.named.setdefault(one.digest.sha256, entry.index)
        self._take_network(entry)

    def _take_network(self, entry: Entry) -> None:
        said = entry.network.predicate if entry.network is not None else None
        if isinstance(said, UpdateOffer):
            self.offers.setdefault(said.update.adapter, OwnOffer(said, entry.index))
        elif isinstance(said, GuestOpening):
            self.openings.setdefault(said.root, (said, entry))
        elif entry.kind is Kind.NODE:
            self.node_entry = entry

    def revealed_offers(self, covered: int) -> Iterator[OwnOffer]:
        """The offers that may be shown: of what the log made, both entries being covered.

        Args:
            covered: entries that a quorum has cosigned.
        """
        for adapter, found in self.offers.items():
            made = self.made.get(adapter)
            if made is not None and max(made.index, found.index) < covered:
                yield found

    def needed(self, offers: Iterable[OwnOffer], others: _Lists) -> Needed:
        """What has to be had to compose the node's heads, and the versions that offers were trained on.

        Args:
            offers: of the log.
            others: digest of a list → its updates, of lists of others that are known here.
        """
        heads = [self.state.tasks[task] for task in self.state.nodes if task in self.state.tasks]
        parents = [found.offer.update.parent for found in offers]
        known = dict(others)
        for head in heads:
            known |= lists_on_the_way(head.made, head.head.digest)
        for terms in parents:
            known |= beginnings(terms)
        return _closure([*(head.composition.terms for head in heads), *parents], known)


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
