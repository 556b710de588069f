"""What a log has come to as a node's: who it is, its guest holdouts, its offers, and rounds that are open.

Values and how they follow from one another; the fold over a log's entries is `cryoflux.log_state`.
"""

from __future__ import annotations

__all__ = [
    "STRANGERS_PART",
    "ChargedTally",
    "Consideration",
    "ContractTally",
    "GuestLook",
    "GuestTally",
    "NodeState",
    "OpenRound",
    "RoundGain",
]

from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from cryoflux.decision.levels import RoundBudget
from cryoflux.quantities import MICRO
from cryoflux.receipts.certified import CertifiedLevels, brought_by
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    ContractLook,
    ContractResult,
    ProposedContract,
    last_kept,
)
from cryoflux.receipts.network_parts import GuestInUse, MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    Node,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.receipts.parts import Base

ContractSaid = ProposedContract | AcceptedContract | ContractLook | ContractResult
"""what a party of a contract says"""
NodeSaid = (
    Node | GuestHoldout | UpdateOffer | RoundIntent | RoundResult | GuestOpening | Recall | ContractSaid
)
"""what a node says"""
_MOST_GAINS = 4
"""newest rounds that the next one is expected to be like"""
STRANGERS_PART = 100
"""strangers get one part of so many of a node's joules"""


class OpenRound(Struct, frozen=True):
    """A round that was announced and has no record yet."""

    intent: RoundIntent
    leaf_hash: str


class GuestLook(Struct, frozen=True):
    """What the log says of one look at a guest holdout."""

    intent: str
    """leaf hash of the announcement of its round"""
    sealed: str
    needed_milli: int
    level: int
    """that an acceptance certifies; 0 where nothing was accepted"""
    base: Base
    """that it compared with"""


class Consideration(Struct, frozen=True):
    """What rounds of the log have said of an update that was offered."""

    verdict: MemberVerdict
    """the last one"""
    times: int
    head: str
    """digest of the head that it was considered for last"""


class RoundGain(Struct, frozen=True):
    """What a round has come to, as the next one may be expected to."""

    delta_nano: int
    """mean Δ on the node's own training side, billionths of the unit; 0 where nothing was adopted"""
    hi_uj: int
    """upper end of what it was charged, µJ"""


class ChargedTally(Struct):
    """What the entries of a log say was charged, µJ: as the account paid it, not the ends of its range.

    A reservation bounds just that figure, so whether a share is kept is known before a round is tried.
    """

    all_uj: int = 0
    """attempts, rounds, and what sessions cost beside them"""
    rounds_uj: int = 0
    strangers_uj: int = 0
    """of rounds, their parts that were strangers': a round's joules × its strangers / its candidates"""

    def take(self, figure: EnergyFigure) -> None:
        """Go on by what an attempt or a session was charged."""
        self.all_uj += max(0, figure.microjoules)

    def take_round(self, figure: EnergyFigure, opened: OpenRound | None) -> None:
        """Go on by what a round was charged.

        Args:
            figure: its charge.
            opened: its announcement; none where there was none: then nobody knows who its candidates were.
        """
        self.take(figure)
        charged_uj = max(0, figure.microjoules)
        self.rounds_uj += charged_uj
        if opened is not None:
            named = opened.intent.candidates
            self.strangers_uj += strangers_uj(charged_uj, _by_lottery(opened.intent), len(named))

    def strangers_fit(self, round_uj: int, strangers: int, candidates: int) -> bool:
        """Whether strangers would have had no more than their hundredth, that round included.

        Args:
            round_uj: what the round may cost at most, µJ.
            strangers: of its candidates.
            candidates: all of them.
        """
        then_uj = self.strangers_uj + strangers_uj(round_uj, strangers, candidates)
        return not strangers or then_uj <= (self.all_uj + round_uj) // STRANGERS_PART

    def pays_for(self, intent: RoundIntent) -> bool:
        """Whether the strangers of an announced round are paid for by the joules that were settled before."""
        strangers, candidates = _by_lottery(intent), len(intent.candidates)
        return self.strangers_fit(intent.reserved_microjoules, strangers, candidates)

    @property
    def shares_ppm(self) -> tuple[int, int]:
        """What rounds were charged, and of them strangers, of all joules, parts per million."""
        whole_uj = max(1, self.all_uj)
        return self.rounds_uj * MICRO // whole_uj, self.strangers_uj * MICRO // whole_uj

    def left_for_rounds_uj(self, share_ppm: int) -> int:
        """What one more round may cost at most so that rounds keep to a share of all joules, it included, µJ.

        Args:
            share_ppm: the share, parts per million; all of them leave no bound.
        """
        left = share_ppm * self.all_uj - MICRO * self.rounds_uj
        return max(0, left) // (MICRO - share_ppm) if share_ppm < MICRO else 2**53


def strangers_uj(round_uj: int, strangers: int, candidates: int) -> int:
    """The part of a round's joules that is its strangers', µJ, rounded up.

    Args:
        round_uj: what the round is charged.
        strangers: of its candidates.
        candidates: all of them.
    """
    return -(-round_uj * strangers // candidates)


def _by_lottery(intent: RoundIntent) -> int:
    return sum(one.by_lottery for one in intent.candidates)


class GuestTally(Struct):
    """What a guest holdout was used for."""

    said: GuestHoldout
    index: int
    """position of the entry that entered it"""
    looks: list[GuestLook] = msgspec.field(default_factory=list)
    """verdicts that it has given, in order"""
    opened: bool = False

    @property
    def kept(self) -> int:
        """How many of its verdicts were acceptances."""
        return sum(look.level > 0 for look in self.looks)

    @property
    def budget(self) -> RoundBudget:
        """What it may still err."""
        return RoundBudget(self.said.alpha_ppm, len(self.looks), self.kept)

    @property
    def in_use(self) -> GuestInUse:
        """As the next round names it."""
        return GuestInUse(
            root=self.said.root,
            count=self.said.count,
            alpha_ppm=self.said.alpha_ppm,
            looks=len(self.looks),
            kept=self.kept,
            needed_milli=self.budget.needed_milli,
        )

    def is_due(self, at: str) -> bool:
        """Whether the day has passed by which it was to be opened.

        Args:
            at: a time as an entry writes it.
        """
        return at[:10] > self.said.open_by

    @property
    def retired(self) -> bool:
        """Whether it gives no verdict any more."""
        return self.opened or len(self.looks) >= self.said.max_looks or self.budget.exhausted


class ContractTally(Struct):
    """What a log says of a contract of its owner."""

    terms: AgreedTerms
    looks: list[ContractLook] = msgspec.field(default_factory=list)
    """in order, the first of each window: no other counts"""
    results: list[ContractResult] = msgspec.field(default_factory=list)
    """of each window the newest: a list, because facts of logs are kept as JSON, whose keys are text"""

    @property
    def bases(self) -> frozenset[str]:
        """Digests of the lists that the next window may be compared with.

        A look that witnesses saw too late counts nothing, and which those are no log says of itself. So each
        beginning of the looks may be all that counts; both logs decide (`network.contracts.due`).
        """
        last = (last_kept(self.looks[:end]) for end in range(len(self.looks) + 1))
        return frozenset(look.result if look is not None else self.terms.start for look in last)

    def result(self, window: int) -> ContractResult | None:
        """What a window came to, by the newest entry; none where no entry says so."""
        return next((one for one in self.results if one.window == window), None)

    def take(self, said: ContractLook | ContractResult) -> None:
        """Go on by a look or a result; a second look at a window is none."""
        if isinstance(said, ContractResult):
            self.results = [*(one for one in self.results if one.window != said.window), said]
        elif all(one.window != said.window for one in self.looks):
            self.looks.append(said)


@dataclass(slots=True)
class NodeState:
    """What a log has come to as a node's, for one task."""

    node: Node | None = None
    """who it says it is, as of the newest entry"""
    node_leaf: str = ""
    """leaf hash of that entry"""
    guests: dict[str, GuestTally] = field(default_factory=dict)
    """root → what it was used for, in the order in which they were entered"""
    offers: dict[str, int] = field(default_factory=dict)
    """adapter → position of the entry that offers it"""
    adopted: dict[str, list[str]] = field(default_factory=dict)
    """capsule → the offered ones that brought it into the head, itself or as what they were trained on; not
    what was recalled, nor what only that had brought"""
    recalled: set[str] = field(default_factory=set)
    """capsules that were taken out of the head: no round considers them again"""
    open: dict[str, OpenRound] = field(default_factory=dict)
    """leaf hash of the announcement → what was announced"""
    contracts: dict[str, ContractTally] = field(default_factory=dict)
    """digest of a contract → what it was used for"""
    considered: dict[str, Consideration] = field(default_factory=dict)
    """capsule → what rounds have said of it"""
    gains: list[RoundGain] = field(default_factory=list)
    """of the newest rounds that came to a verdict, oldest first"""
    certified: CertifiedLevels = field(default_factory=CertifiedLevels)
    """what its rounds certify, less what was recalled since"""

    def take(self, said: NodeSaid, index: int, leaf_hash: str) -> None:
        """Go on by the next entry of the log's owner.

        Args:
            said: what it says.
            index: its position in the log.
            leaf_hash: its name.
        """
        match said:
            case Node():
                self.take_node(said, leaf_hash)
            case GuestHoldout():
                self.enter(said, index)
            case UpdateOffer():
                self.offers.setdefault(said.update.adapter, index)
            case RoundIntent():
                self.announce(said, leaf_hash)
            case RoundResult():
                self.close(said)
            case Recall():
                self.recall(said)
            case GuestOpening():
                self.retire(said)
            case _:
                self.take_contract(said)

    def take_node(self, node: Node, leaf_hash: str) -> None:
        """Go on with who the node says it is."""
        self.node, self.node_leaf = node, leaf_hash

    def enter(self, guest: GuestHoldout, index: int) -> None:
        """Go on by a guest holdout; one that is there already stays what it was."""
        self.guests.setdefault(guest.root, GuestTally(guest, index))

    def announce(self, intent: RoundIntent, leaf_hash: str) -> None:
        """Go on by an announced round. One at a time: the one before can get no record any more."""
        self.open = {leaf_hash: OpenRound(intent, leaf_hash)}

    def close(self, record: RoundResult) -> OpenRound | None:
        """Go on by the record of a round; the announcement that it closes."""
        opened = self.open.pop(record.intent, None)
        if opened is None:
            return None
        guest, look = opened.intent.guest, record.look
        if look is not None and (tally := self.guests.get(guest.root)) is not None:
            seen = GuestLook(record.intent, look.sealed, guest.needed_milli, look.level, record.base)
            tally.looks.append(seen)
        for member in record.members:
            times = self.considered[member.capsule].times if member.capsule in self.considered else 0
            self.considered[member.capsule] = Consideration(member.verdict, times + 1, record.base.digest)
        if record.outcome is not RoundOutcome.ABORTED:
            self.gains = [*self.gains[1 - _MOST_GAINS :], _gain_of(record)]
        for capsule, offered in brought_by(record):
            known = self.adopted.setdefault(capsule, [])
            if offered not in known:
                known.append(offered)
        self.certified.take(record)
        return opened

    def retire(self, opening: GuestOpening) -> None:
        """Go on by a guest holdout that was opened."""
        if (tally := self.guests.get(opening.root)) is not None:
            tally.opened = True

    def recall(self, recall: Recall) -> None:
        """Go on by an update that was taken out of the head."""
        left = {
            capsule: [one for one in offered if one != recall.capsule]
            for capsule, offered in self.adopted.items()
            if capsule != recall.capsule
        }
        self.adopted = {capsule: offered for capsule, offered in left.items() if offered}
        self.recalled.add(recall.capsule)
        copied = [one for one, said in self.considered.items() if said.verdict is MemberVerdict.COPIED]
        for capsule in copied:  # what is gone may have been the copy: then it may help now
            del self.considered[capsule]
        self.certified.take(recall)

    def take_contract(self, said: ContractSaid) -> None:
        """Go on by a contract, which stays what it was where it is there already, or by what it came to."""
        if isinstance(said, ProposedContract | AcceptedContract):
            self.contracts.setdefault(said.terms.digest, ContractTally(said.terms))
        elif (tally := self.contracts.get(said.contract)) is not None:
            tally.take(said)

    def contract_looks(self, root: str) -> list[tuple[AgreedTerms, ContractLook]]:
        """The sealed looks that a guest holdout has given for contracts, in the order of its opening."""
        tallies = [tally for tally in self.contracts.values() if tally.terms.guest_root == root]
        return [(tally.terms, look) for tally in tallies for look in tally.looks if look.sealed]

    @property
    def pledged(self) -> frozenset[str]:
        """Roots of the guest holdouts that contracts are judged by."""
        return frozenset(tally.terms.guest_root for tally in self.contracts.values())

    @property
    def unused(self) -> dict[str, GuestTally]:
        """Root → a guest holdout that judged nothing, and that no contract is judged by yet."""
        pledged = self.pledged
        return {
            root: tally
            for root, tally in self.guests.items()
            if root not in pledged and not tally.looks and not tally.retired
        }

    @property
    def guest(self) -> GuestTally | None:
        """The guest holdout that the next round looks at: the first that neither retired nor is pledged."""
        pledged = self.pledged
        free = (tally for root, tally in self.guests.items() if root not in pledged)
        return next((tally for tally in free if not tally.retired), None)


def _gain_of(record: RoundResult) -> RoundGain:
    gained = record.search if record.outcome is RoundOutcome.ACCEPTED else None
    delta_nano = gained.delta_nano_nat if gained is not None else 0
    return RoundGain(delta_nano, max(1, record.energy.hi_microjoules))
