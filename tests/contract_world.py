"""Two parties of a contract, a verifier and a witness: logs that say what is due, or what is forged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.digests import sha256_hex
from cryoflux.network.contracts.due import ContractLogs, DueLook
from cryoflux.network.contracts.evaluation import ContractVerdict, evaluate
from cryoflux.network.contracts.logs import read_logs
from cryoflux.network.contracts.looking import look_of, sums_of
from cryoflux.network.contracts.told import ContractTold, HeadTold, contract_told
from cryoflux.quantities import Tier
from cryoflux.receipts.checkpoint import (
    KeyType,
    VerifierKey,
    cosign,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.contract_parts import (
    AgreedTerms,
    AgreedWindows,
    CountedJoules,
    NamedPolicy,
    OnMissing,
    OpenedContractLook,
)
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    AcceptedContractStatement,
    ContractLook,
    ContractLookStatement,
    ProposedContract,
    ProposedContractStatement,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.merkle import root_hash
from cryoflux.receipts.network_parts import OpenedRound, SealedSums
from cryoflux.receipts.network_statement import (
    GuestOpening,
    OfferStatement,
    OpeningStatement,
    UpdateOffer,
    WhyOpened,
)
from cryoflux.registry.composition import Term
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from node_log import AT, GUEST_KEY, GUESTS, TASK, NodeLog, origin
from plain_log import PlainLog, StoredLog, model
from synthetic_parts import digest_of

SELLER, BUYER, VERIFIER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (11, 12, 13))
LOG_KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (21, 22, 23)]
WITNESS = Ed25519PrivateKey.from_private_bytes(b"\x1f" * 32)
WITNESS_KEY = verifier_key("witness.example/w1", WITNESS.public_key(), KeyType.WITNESS)
FIRST, LENGTH = 1_767_000_000, 604_800
"""the windows begin then, and are weeks"""
GAIN = 400_000_000
COUNT = len(GUESTS)


def policy_text(*logs: VerifierKey) -> str:
    lines = [f"log {key}" for key in logs]
    return "\n".join([*lines, f"witness w1 {WITNESS_KEY}", "quorum w1", ""])


def terms_of(parties: tuple[str, str], policy: str, **changes: object) -> AgreedTerms:
    said = {
        "parties": parties,
        "verifiers": NamedPolicy(text=policy, sha256=sha256_hex(policy.encode())),
        "task": TASK,
        "genesis": model(f"first {TASK}"),
        "guest_root": guest_root(GUESTS, GUEST_KEY),
        "count": COUNT,
        "profile": "f64-nanonat/v1",
        "max_tokens": 32,
        "start_list": (),
        "clauses": ("delta >= 0.05 nats", "eta >= 0.1 nats/kJ", "available"),
        "windows": AgreedWindows(first=FIRST, length_s=LENGTH, count=4),
        "alpha_ppm": 10_000,
        "power_ppm": 950_000,
        "spread_nano_nat": 820_000_000,
        "spread_rounds": (),
        "expected_delta_nano_nat": 360_000_000,
        "joules": CountedJoules(
            counted="net",
            upper_microjoules=1_458_000_000,
            point_microjoules=672_000_000,
            tier_min=Tier.MODELLED,
        ),
        "on_missing": OnMissing.VOID,
        "amount": "12 a window",
        **changes,
    }
    return AgreedTerms(**said)


@dataclass
class Party:
    """A log of a party, and the heads that a quorum has seen of it."""

    log: PlainLog
    heads: list[HeadTold] = field(default_factory=list)
    node: NodeLog = field(init=False)

    def __post_init__(self) -> None:
        self.node = NodeLog(self.log)

    @property
    def origin(self) -> str:
        return origin(self.log)

    def log_key(self, spare: Ed25519PrivateKey) -> VerifierKey:
        """The key that signs its heads; of a log in memory, one that is spare."""
        if isinstance(self.log, StoredLog):
            return log_key_of(self.log.path)
        return verifier_key(self.origin, spare.public_key())

    def seen(self, time_s: int) -> None:
        """Witnesses cosign the newest head."""
        self.heads.append(HeadTold(len(self.log.entries), time_s))
        if isinstance(self.log, StoredLog):
            witnessed(self.log.path, time_s)

    def told(self, terms: AgreedTerms, size: int | None = None) -> ContractTold:
        """What a copy of the log says that has so many entries."""
        if isinstance(self.log, StoredLog):
            return read_logs(terms, [self.log.path])[0]
        entries = self.log.entries[:size]
        heads = [head for head in self.heads if head.size <= len(entries)]
        root = root_hash(bytes.fromhex(entry.leaf_hash) for entry in entries).hex()
        return contract_told(self.origin, entries, heads, terms, root=root)


@dataclass
class World:
    """A contract between two parties, as it is kept or broken."""

    seller: Party = field(default_factory=lambda: Party(PlainLog(key=SELLER)))
    buyer: Party = field(default_factory=lambda: Party(PlainLog(key=BUYER)))
    verifier: Party = field(default_factory=lambda: Party(PlainLog(key=VERIFIER)))
    terms: AgreedTerms = field(init=False)
    sums: dict[int, SealedSums] = field(default_factory=dict)
    parents: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    """receipt → what its update was trained on"""

    def agree(self, at_s: int = FIRST - 1000, **changes: object) -> World:
        """Both begin their logs, and sign the same terms."""
        for party in (self.seller, self.buyer, self.verifier):
            party.node.train()
            party.node.introduce()
        self.buyer.node.enter()
        parties = self.seller, self.buyer, self.verifier
        keys = [party.log_key(spare) for party, spare in zip(parties, LOG_KEYS, strict=True)]
        origins = self.seller.origin, self.buyer.origin
        said = {"start_list": self.seller.node.composed.terms, **changes}
        self.terms = terms_of(origins, policy_text(*keys), **said)
        said = {"task": TASK, "terms": self.terms}
        self.say(self.seller, ProposedContractStatement, ProposedContract, **said, proposed_at=AT)
        self.say(self.buyer, AcceptedContractStatement, AcceptedContract, **said, accepted_at=AT)
        for party in parties:
            party.seen(at_s)
        return self

    def say(self, party: Party, kind: type, predicate: type, **said: object) -> Entry:
        return party.node.say(kind, predicate, self.terms.digest, **said)

    def train(self) -> Entry:
        """The seller makes another update of its head."""
        parent = self.seller.node.composed.terms
        made = self.seller.node.train()
        self.parents[made.leaf_hash] = parent
        return made

    def offer(self, made: Entry) -> Entry:
        """The seller offers an update, over what it was trained on."""
        adapter, config = (one.digest.sha256 for one in made.statement.subject)
        parent = self.parents[made.leaf_hash]
        return self.seller.node.say(
            OfferStatement,
            UpdateOffer,
            adapter,
            task=TASK,
            update=OfferedUpdate(adapter=adapter, genesis=self.terms.genesis.digest, parent=parent),
            receipt=made.leaf_hash,
            receipt_at=made.index,
            config=config,
            adapter_bytes=1000,
            offered_at=AT,
        )

    def deliver(self, window: int) -> Entry:
        """The seller trains and offers within a window, and its log goes on past the end of it."""
        made = self.train()
        self.offer(made)
        self.seller.seen(self.terms.windows.end_s(window) - 100)
        self.pass_time(self.terms.windows.end_s(window) + 10)
        return made

    def pass_time(self, time_s: int) -> None:
        for party in (self.seller, self.buyer):
            party.seen(time_s)

    def due(self, window: int) -> DueLook:
        logs = ContractLogs(self.terms, [self.seller.told(self.terms), self.buyer.told(self.terms)])
        found = dict(logs.windows())[window]
        assert found is not None
        return found

    def look(self, window: int, gains: Sequence[int] | int | None = GAIN, **forged: object) -> ContractLook:
        """The buyer's look at what is due: by how much each example's loss fell; none where nothing came."""
        due = self.due(window)
        if gains is not None:
            each = [gains] * COUNT if isinstance(gains, int) else list(gains)
            losses = [10**9] * COUNT, [10**9 - gain for gain in each]
            compared = model(f"list {due.base}"), model(f"list {due.offer.result}")
            sums = sums_of(self.terms, compared, losses)
            self.sums.setdefault(window, sums)
        said = look_of(self.terms, due, sums if gains is not None else None, GUEST_KEY, AT)
        said = said.but(**forged)
        fields = {name: getattr(said, name) for name in said.__struct_fields__}
        del fields["sequence"], fields["prev"]
        self.say(self.buyer, ContractLookStatement, ContractLook, **fields)
        self.buyer.seen(self.terms.windows.end_s(window) + 1000)
        return said

    def open(self, time_s: int | None = None, **forged: object) -> None:
        """The buyer opens its guest holdout."""
        node = self.buyer.log.state.nodes[TASK]
        looks = [
            OpenedContractLook(contract=terms.digest, window=look.window, sums=self.sums[look.window])
            for terms, look in node.contract_looks(self.terms.guest_root)
            if look.window in self.sums
        ]
        said = {
            "task": TASK,
            "root": self.terms.guest_root,
            "key": GUEST_KEY.hex(),
            "examples": digest_of("examples"),
            "count": COUNT,
            "why": WhyOpened.ASKED,
            "rounds": list[OpenedRound](),
            "opened_at": AT,
            "contract_looks": looks,
            **forged,
        }
        self.buyer.node.say(OpeningStatement, GuestOpening, digest_of("examples"), **said)
        last = self.terms.windows.count - 1
        self.buyer.seen(time_s or self.terms.windows.due_s(last) + 10)

    def evaluate(self, *more: ContractTold) -> ContractVerdict:
        told = [party.told(self.terms) for party in (self.seller, self.buyer, self.verifier)]
        return evaluate(self.terms, [*told, *more])


def witnessed(state: Path, time_s: int) -> None:
    """A witness cosigns the newest head of a state, which keeps it beside those before."""
    note = parse_note((state / "log" / "checkpoint").read_bytes())
    line = cosign(note.checkpoint, WITNESS_KEY.name, WITNESS, time_s)
    keep_cosigned(state / "log", with_signatures(note.content, [line]))
