"""One pass over a peer's log: every entry is read strictly, and signed by the key that is valid at its place.

Each follows the one before. Where an entry is not what it has to be, the pass ends there for good: what a log
says from there on counts for nobody.
"""

from __future__ import annotations

__all__ = ["BAD_SIGNATURE", "walk"]

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.decision.levels import LEVELS, certified_level
from cryoflux.errors import VerificationError
from cryoflux.network.log_facts import LogFacts, OfferFact, OpeningFact, RoundFact
from cryoflux.network_state import GuestTally, NodeState, OpenRound
from cryoflux.receipts.checkpoint import VerifierKey, named_after
from cryoflux.receipts.decoding import NewerFormatError
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.log_key import vouched_log_key
from cryoflux.receipts.merkle import CompactRange, leaf_hash
from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import (
    GuestOpening,
    NetworkStatement,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.receipts.offering import offer_complaints
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.registry.mixture import StepKind
from cryoflux.signing.envelope import pae, parse_envelope
from cryoflux.signing.keys import key_id, raw_key_id, raw_public_key
from cryoflux.verification.signature_pool import SignaturePool

BAD_SIGNATURE = "the signature does not match the payload"
EntryAt = Callable[[int], bytes]


class _FaultError(Exception):
    """What is wrong with an entry."""


@dataclass(slots=True)
class _Walk:
    facts: LogFacts
    log: VerifierKey
    entry_at: EntryAt
    pool: SignaturePool
    authority: Authority
    tree: CompactRange
    bad: list[int] = field(default_factory=list)
    """entries whose signature does not hold"""

    def take(self, envelope: bytes) -> None:
        """The next entry.

        Raises:
            _FaultError: it is not what it has to be.
        """
        facts = self.facts
        try:
            entry = parse_entry(facts.size, envelope)
        except NewerFormatError:
            self._newer(envelope)
            return
        except VerificationError as error:
            raise _FaultError(error.what) from error
        said = entry.statement.predicate
        if (said.sequence, said.prev) != (facts.size, facts.last):
            raise _FaultError("it does not follow the entry before it")
        if not facts.size:
            self._first(entry)
        self._signed(entry)
        self._say(entry)
        self._passed(entry.leaf_hash)

    def _newer(self, envelope: bytes) -> None:
        """An entry of a newer form: who signed it can be seen all the same."""
        signed = parse_envelope(envelope)
        key = self.authority.receipt_key
        if key is None or signed.keyid != key_id(key):
            raise _FaultError("it is of a newer form, and another key than the valid one signed it")
        self._check(key, signed.payload, signed.signature)
        self.facts.unread += 1
        self._passed(leaf_hash(envelope).hex())

    def _first(self, entry: Entry) -> None:
        if named_after(entry.signed.keyid) != self.log.name:
            raise _FaultError("its key is not the one that the log is named after")
        if vouched_log_key(entry) not in {"", raw_key_id(self.log.raw)}:
            raise _FaultError("it vouches for another key of the log's heads")

    def _signed(self, entry: Entry) -> None:
        key = self.authority.receipt_key
        if entry.key is not None:
            complaint = self.authority.admit(entry)
        else:
            complaint = self.authority.stranger(entry)
            if not complaint and key is not None:
                self._check(key, entry.signed.payload, entry.signed.signature)
        if complaint:
            raise _FaultError(complaint)

    def _check(self, key: Ed25519PublicKey, payload: bytes, signature: bytes) -> None:
        at = self.facts.size
        self.pool.check(raw_public_key(key), pae(payload), signature, lambda: self.bad.append(at))

    def _passed(self, leaf: str) -> None:
        self.tree.append(bytes.fromhex(leaf))
        self.facts.size += 1
        self.facts.last = leaf

    def _say(self, entry: Entry) -> None:
        facts = self.facts
        if entry.intent is not None:
            facts.open.add(entry.leaf_hash)
        elif (receipt := entry.receipt) is not None:
            self._spent(receipt)
            facts.lines.take(receipt)
            if receipt.outcome is Outcome.ACCEPTED and len(entry.statement.subject) > 1:
                adapter, config = (one.digest.sha256 for one in entry.statement.subject[:2])
                facts.made.setdefault(adapter, (config, entry.index))
        elif (move := entry.move) is not None:
            facts.lines.take(move)
        elif (said := entry.network) is not None:
            self._network(entry, said)
        elif (contract := entry.contract) is not None:  # it may pledge a guest holdout
            agreed = contract.predicate
            node = self.facts.nodes.setdefault(agreed.task, NodeState())
            node.take(agreed, entry.index, entry.leaf_hash)

    def _spent(self, record: Receipt | RoundResult) -> None:
        self.facts.open.discard(record.intent)
        self.facts.upper_uj += max(0, record.energy.hi_microjoules)
        self.facts.tiers.add(record.energy.tier.value)

    def _network(self, entry: Entry, statement: NetworkStatement) -> None:
        said = statement.predicate
        node = self.facts.nodes.setdefault(said.task, NodeState())
        match said:
            case RoundIntent():
                guest = node.guest
                self.facts.broken += guest is None or guest.in_use != said.guest
                self.facts.open.add(entry.leaf_hash)
                node.take(said, entry.index, entry.leaf_hash)
            case RoundResult():
                self._spent(said)
                self.facts.lines.take(said)
                self._round(entry, said, node)
            case Recall():
                self.facts.lines.take(said)
                node.take(said, entry.index, entry.leaf_hash)
            case GuestOpening():
                self._opened(entry, said, node)
            case UpdateOffer():
                self._offered(entry, said, node)
            case _:
                node.take(said, entry.index, entry.leaf_hash)

    def _round(self, entry: Entry, said: RoundResult, node: NodeState) -> None:
        opened = node.close(said)
        guest = node.guests.get(opened.intent.guest.root) if opened is not None else None
        if opened is None or guest is None or not _fits(said, opened):
            self.facts.broken += 1
            return
        fact = RoundFact(
            index=entry.index,
            guest_index=guest.index,
            root=guest.said.root,
            level=said.look.level if said.look is not None else 0,
            members={one.capsule: one.verdict for one in said.members},
            origins={one.capsule: one.origin for one in opened.intent.candidates},
            copied={one.capsule: one.of for one in said.members if one.verdict is MemberVerdict.COPIED},
            shown_alone=_shown_alone(said),
        )
        self.facts.rounds.append(fact)

    def _opened(self, entry: Entry, said: GuestOpening, node: NodeState) -> None:
        guest = node.guests.get(said.root)
        if guest is not None and not guest.opened:
            follows = said.count == guest.said.count and _seals_follow(said, guest)
            told = said.root, said.key, said.examples, said.count
            self.facts.openings.append(OpeningFact(*told, follows=follows, index=entry.index))
        node.retire(said)

    def _offered(self, entry: Entry, said: UpdateOffer, node: NodeState) -> None:
        if said.update.adapter in node.offers or said.receipt_at >= entry.index:
            return
        try:
            made = parse_entry(said.receipt_at, self.entry_at(said.receipt_at))
        except (VerificationError, OSError):
            return
        if made.receipt is None or any(offer_complaints(said, made)):
            return
        node.offers[said.update.adapter] = entry.index
        fact = OfferFact(
            update=said.update,
            index=entry.index,
            leaf=entry.leaf_hash,
            receipt_index=said.receipt_at,
            receipt_leaf=said.receipt,
            config=said.config,
            adapter_bytes=said.adapter_bytes,
            upper_uj=max(0, made.receipt.energy.hi_microjoules),
        )
        self.facts.offers.append(fact)


def _fits(said: RoundResult, opened: OpenRound) -> bool:
    """Whether what a round says of its candidates and its look goes together with what was announced."""
    accepted = said.outcome is RoundOutcome.ACCEPTED
    level = said.look.level if said.look is not None else None
    announced = [] if said.outcome is RoundOutcome.ABORTED else [c.capsule for c in opened.intent.candidates]
    adopted = {one.capsule for one in said.members if one.verdict is MemberVerdict.ADOPTED}
    return (
        [one.capsule for one in said.members] == announced
        and (level in LEVELS if accepted else not level)
        and adopted == (_brought(said) if accepted else set())
    )


def _brought(said: RoundResult) -> set[str]:
    """Updates that the steps of a round bring in."""
    return {step.update.adapter for step in said.steps if step.kind is not StepKind.REWEIGHT}


def _shown_alone(said: RoundResult) -> str:
    """The update that all steps are of which the guest holdout was shown; empty where there is none."""
    every = {step.update.adapter for step in said.steps} if said.look is not None else set[str]()
    return next(iter(every)) if len(every) == 1 and every == _brought(said) else ""


def _seals_follow(said: GuestOpening, guest: GuestTally) -> bool:
    """Whether all looks of a guest holdout are opened, to what was sealed, and their levels follow."""
    if [one.intent for one in said.rounds] != [look.intent for look in guest.looks]:
        return False
    key = bytes.fromhex(said.key)
    for one, look in zip(said.rounds, guest.looks, strict=True):
        level = certified_level(one.sums.evidence(said.count), look.needed_milli)
        if (
            one.sums.seal(key, look.intent) != look.sealed
            or level != look.level
            or one.sums.base != look.base
        ):
            return False
    return True


def walk(
    facts: LogFacts,
    log: VerifierKey,
    receipt_key: bytes,
    entries: Iterable[bytes],
    entry_at: EntryAt,
    *,
    count: int = 0,
    wanted: frozenset[int] = frozenset(),
) -> tuple[dict[int, bytes], int | None]:
    """Go on by what is new in a log.

    Args:
        facts: of the entries before; they are gone on by.
        log: the key of the log.
        receipt_key: the one that the log began under.
        entries: those from ``facts.size`` on.
        entry_at: gives an earlier one.
        count: how many are new; many are checked on all processors.
        wanted: sizes of which the roots are asked for.

    Returns:
        size → root, of those that it came by; and the first entry whose signature does not hold, if there is
        one: then the facts are of more than the log before it.
    """
    tree = CompactRange()
    tree.size, tree.peaks = facts.size, list(facts.peaks)
    with SignaturePool.for_entries(count) as pool:
        going = _Walk(facts, log, entry_at, pool, _authority(facts, receipt_key), tree)
        roots = {tree.size: tree.root()} if tree.size in wanted else {}
        for envelope in entries:
            if facts.fault:
                break
            try:
                going.take(envelope)
            except _FaultError as fault:
                facts.fault = f"entry {facts.size}: {fault}"
            if tree.size in wanted:
                roots[tree.size] = tree.root()
        pool.finish()
    authority = going.authority
    facts.receipt_key, facts.root_key = (
        raw_public_key(key) if key is not None else b"" for key in (authority.receipt_key, authority.root_key)
    )
    facts.reigns, facts.peaks = authority.reigns, going.tree.peaks
    return roots, min(going.bad, default=None)


def _authority(facts: LogFacts, first: bytes) -> Authority:
    if not facts.size:
        return Authority(Ed25519PublicKey.from_public_bytes(first))
    receipt, root = (
        Ed25519PublicKey.from_public_bytes(raw) if raw else None
        for raw in (facts.receipt_key, facts.root_key)
    )
    return Authority(receipt, root, list(facts.reigns))
