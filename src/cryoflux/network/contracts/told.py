"""What the logs of a contract say, as far as it is settled by them: parsed entries and times of witnesses.

An entry is as old as the earliest published head that covers it, by the time that a quorum of the contract's
policy gives that head. Heads are published append-only: one that comes after a larger one is passed over, so
that nobody can date an offer back once another has seen that it was not there. Until when a log is
here is said by the newest cosignatures: a quiet one has no new head, and witnesses cosign its last one again.
"""

from __future__ import annotations

__all__ = [
    "AttemptTold",
    "ContractTold",
    "HeadTold",
    "LookTold",
    "OfferTold",
    "TrialTold",
    "UnreadEntry",
    "UnreadTold",
    "contract_told",
]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryoflux.network.head_times import HeadTimes
from cryoflux.quantities import Tier
from cryoflux.receipts.charged import UNTOLD, EnergyFigure
from cryoflux.receipts.contract_parts import AgreedTerms, look_name
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    ContractLook,
    ContractResult,
    ProposedContract,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import MemberVerdict, SealedSums
from cryoflux.receipts.network_statement import GuestOpening, RoundIntent, RoundResult, UpdateOffer
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.composition import Term

_HAD = frozenset(MemberVerdict) - {MemberVerdict.UNAVAILABLE, MemberVerdict.UNREACHED}


@dataclass(frozen=True, slots=True)
class HeadTold:
    """A published head of a log."""

    size: int
    """entries"""
    time_s: int
    """when a quorum of witnesses had seen it, Unix seconds"""


@dataclass(frozen=True, slots=True)
class OfferTold:
    """An update that the seller offers, with all that it rests on."""

    leaf: str
    adapter: str
    result: str
    """digest of the list that it makes"""
    genesis: str
    of_list: tuple[Term, ...]
    """what it was trained on, and it"""
    committed_s: int

    @property
    def adapters(self) -> frozenset[str]:
        """Of that list."""
        return frozenset(term.adapter for term in self.of_list)


@dataclass(frozen=True, slots=True)
class AttemptTold:
    """An attempt at training, or a round, that the seller announced."""

    leaf: str
    """of the announcement"""
    announced_s: int
    upper_uj: int | None
    """none where it has no record"""
    tier: Tier = Tier.COUNTER
    """as long as it has no record, nothing is known against it"""
    made: str = ""
    """adapter that it made"""


@dataclass(frozen=True, slots=True)
class LookTold:
    """A look that the buyer published."""

    said: ContractLook
    leaf: str
    committed_s: int


@dataclass(frozen=True, slots=True)
class TrialTold:
    """A round of somebody who had an update that was offered."""

    leaf: str
    capsule: str
    committed_s: int


@dataclass(frozen=True, slots=True)
class UnreadTold:
    """An entry of a form that is not known here: it may be an attempt, an offer or a look."""

    leaf: str
    seen_s: int
    """when a quorum had seen it, Unix seconds"""


@dataclass(frozen=True, slots=True)
class UnreadEntry:
    """An entry that cannot be read here."""

    index: int
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class ContractTold:
    """What one log says of a contract; only what witnesses had seen by the newest head."""

    origin: str
    size: int = 0
    """entries that are here"""
    root: str = ""
    """over them"""
    seen_s: int = 0
    """when a quorum had last seen the log: of what came later, nothing is here"""
    agreed_s: int | None = None
    """when it had seen the entry that proposes or accepts; none where there is none"""
    offers: tuple[OfferTold, ...] = ()
    """since then, oldest first, as are all below"""
    attempts: tuple[AttemptTold, ...] = ()
    looks: tuple[LookTold, ...] = ()
    trials: tuple[TrialTold, ...] = ()
    opened: Mapping[int, SealedSums | None] | None = None
    """window → sums that were opened, none where they are not those that were sealed; none where the guest
    holdout is not opened"""
    opened_leaf: str = ""
    results: tuple[tuple[str, ContractResult], ...] = ()
    """leaf of the entry, and what it says"""
    unread: tuple[UnreadTold, ...] = ()
    convicted: str = ""
    """why it is known to have told two histories; empty where it is not"""


def _times(heads: Iterable[HeadTold]) -> HeadTimes:
    """Since when a quorum had seen how much; a head that comes after a larger one is passed over."""
    counted, largest = [], 0
    for head in heads:
        if head.size >= largest:
            largest = head.size
            counted.append((head.size, head.time_s))
    return HeadTimes.of(counted)


def contract_told(
    origin: str,
    entries: Sequence[Entry | UnreadEntry],
    heads: Iterable[HeadTold],
    terms: AgreedTerms,
    *,
    last_s: int | None = None,
    root: str = "",
    convicted: str = "",
) -> ContractTold:
    """What a log says of a contract.

    Args:
        origin: of the log.
        entries: all of them, in order.
        heads: that were published, in their order.
        terms: of the contract.
        last_s: when a quorum had last seen one of the heads; none where that is the newest of their times.
        root: over the entries.
        convicted: why the log is known to have told two histories; empty where it is not.
    """
    heads = list(heads)
    found = _Reader(terms, _times(heads))
    for entry in entries:
        found.take(entry)
    return ContractTold(
        origin=origin,
        size=len(entries),
        root=root,
        seen_s=max((head.time_s for head in heads), default=0) if last_s is None else last_s,
        agreed_s=found.agreed_s,
        offers=tuple(found.offers),
        attempts=tuple(found.attempts.values()),
        looks=tuple(found.looks),
        trials=tuple(found.trials),
        opened=found.opened,
        opened_leaf=found.opened_leaf,
        results=tuple(found.results),
        unread=tuple(found.unread),
        convicted=convicted,
    )


class _Reader:
    """One pass over a log."""

    def __init__(self, terms: AgreedTerms, times: HeadTimes) -> None:
        self._terms, self._times, self._digest = terms, times, terms.digest
        self.agreed_s: int | None = None
        self.offers: list[OfferTold] = []
        self.attempts: dict[str, AttemptTold] = {}
        self.looks: list[LookTold] = []
        self.trials: list[TrialTold] = []
        self.opened: dict[int, SealedSums | None] | None = None
        self.opened_leaf = ""
        self.results: list[tuple[str, ContractResult]] = []
        self.unread: list[UnreadTold] = []

    def take(self, entry: Entry | UnreadEntry) -> None:
        """Go on by an entry that witnesses have seen."""
        if (at_s := self._times.at(entry.index)) is None:
            return
        if isinstance(entry, Entry):
            self._read(entry, at_s)
        elif self.agreed_s is not None:
            self.unread.append(UnreadTold(entry.leaf_hash, at_s))

    def _read(self, entry: Entry, at_s: int) -> None:
        statement, said = entry.statement, entry.statement.predicate
        if isinstance(said, ProposedContract | AcceptedContract):
            if self.agreed_s is None and said.terms == self._terms:
                self.agreed_s = at_s
        elif isinstance(said, RoundResult):
            self._round(entry, said, at_s)
        elif self.agreed_s is None:
            return  # what came before is no part of it
        elif isinstance(statement, ReceiptStatement):
            self._record(statement.predicate.intent, statement.predicate.energy, statement)
        elif entry.intent is not None or isinstance(said, RoundIntent):
            self.attempts[entry.leaf_hash] = AttemptTold(entry.leaf_hash, at_s, None)
        else:
            self._say(entry, at_s)

    def _say(self, entry: Entry, at_s: int) -> None:
        match entry.statement.predicate:
            case UpdateOffer(update=update):
                of_list = (*update.parent, update.term)
                about = update.adapter, update.made.digest, update.genesis, of_list
                self.offers.append(OfferTold(entry.leaf_hash, *about, at_s))
            case ContractLook() as look if look.contract == self._digest:
                self.looks.append(LookTold(look, entry.leaf_hash, at_s))
            case ContractResult() as result if result.contract == self._digest:
                self.results.append((entry.leaf_hash, result))
            case GuestOpening() as opening if opening.root == self._terms.guest_root and self.opened is None:
                self.opened_leaf = entry.leaf_hash
                self.opened = _opened(opening, self._digest, self.looks)

    def _record(self, announced: str, figure: EnergyFigure, statement: ReceiptStatement | None) -> None:
        if (attempt := self.attempts.get(announced)) is None:
            return
        upper_uj, tier = max(0, figure.hi_microjoules), figure.known_tier
        if not UNTOLD.isdisjoint(figure.flags):  # up to all that was reserved, and nobody here knows how much
            upper_uj = max(upper_uj, figure.reserved_microjoules)
        made = statement.subject[0].digest.sha256 if statement is not None else ""
        told = AttemptTold(attempt.leaf, attempt.announced_s, upper_uj, tier, made)
        self.attempts[announced] = told

    def _round(self, entry: Entry, said: RoundResult, at_s: int) -> None:
        self._record(said.intent, said.energy, None)
        for member in said.members:
            if member.verdict in _HAD:
                self.trials.append(TrialTold(entry.leaf_hash, member.capsule, at_s))


def _opened(opening: GuestOpening, digest: str, looks: Sequence[LookTold]) -> dict[int, SealedSums | None]:
    """The sums that an opening shows, by the windows that the buyer sealed a look of."""
    first: dict[int, ContractLook] = {}
    for told in looks:
        first.setdefault(told.said.window, told.said)
    sums = {one.window: one.sums for one in opening.contract_looks if one.contract == digest}
    key = bytes.fromhex(opening.key)
    found: dict[int, SealedSums | None] = {}
    for window, look in first.items():
        shown = sums.get(window)
        holds = shown is not None and shown.seal(key, look_name(digest, window)) == look.sealed
        found[window] = shown if holds else None
    return found
