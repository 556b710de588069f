"""One entry of the log, read back from its exact bytes: of an attempt, a head, a session, a key and so on."""

from __future__ import annotations

__all__ = ["AnyStatement", "Entry", "Kind", "kind_of", "parse_entry"]

from enum import StrEnum

from msgspec import Struct

from cryoflux.html_table import html_table
from cryoflux.receipts.contract_statement import (
    AcceptedContractStatement,
    ContractLookStatement,
    ContractResultStatement,
    ContractStatement,
    ProposedContractStatement,
)
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.key_statement import KeyStatement
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.network_statement import (
    GuestHoldoutStatement,
    NetworkStatement,
    NodeStatement,
    OfferStatement,
    OpeningStatement,
    Recall,
    RecallStatement,
    RoundIntent,
    RoundIntentStatement,
    RoundResult,
    RoundStatement,
)
from cryoflux.receipts.session import Session, SessionStatement
from cryoflux.receipts.statement import (
    Fork,
    ForkStatement,
    HeadMove,
    HeadStatement,
    Intent,
    IntentStatement,
    Judgement,
    JudgementStatement,
    Receipt,
    ReceiptStatement,
    Statement,
)
from cryoflux.signing.envelope import Envelope, parse_envelope


class Kind(StrEnum):
    """What an entry is about."""

    INTENT = "intent"
    RECEIPT = "receipt"
    HEAD = "head"
    SESSION = "session"
    KEY = "key"
    FORK = "fork"
    JUDGEMENT = "judgement"
    NODE = "node"
    GUEST_HOLDOUT = "guest-holdout"
    OFFER = "offer"
    ROUND_INTENT = "round-intent"
    ROUND = "round"
    OPENING = "opening"
    RECALL = "recall"
    CONTRACT = "contract"
    CONTRACT_ACCEPT = "contract-accept"
    CONTRACT_LOOK = "contract-look"
    CONTRACT_RESULT = "contract-result"


AnyStatement = Statement | SessionStatement | KeyStatement | NetworkStatement | ContractStatement
"""What an entry says."""
_ASK = "cryoflux.verify(state) does that"
_KINDS: dict[type, Kind] = {
    IntentStatement: Kind.INTENT,
    ReceiptStatement: Kind.RECEIPT,
    HeadStatement: Kind.HEAD,
    SessionStatement: Kind.SESSION,
    ForkStatement: Kind.FORK,
    JudgementStatement: Kind.JUDGEMENT,
    NodeStatement: Kind.NODE,
    GuestHoldoutStatement: Kind.GUEST_HOLDOUT,
    OfferStatement: Kind.OFFER,
    RoundIntentStatement: Kind.ROUND_INTENT,
    RoundStatement: Kind.ROUND,
    OpeningStatement: Kind.OPENING,
    RecallStatement: Kind.RECALL,
    ProposedContractStatement: Kind.CONTRACT,
    AcceptedContractStatement: Kind.CONTRACT_ACCEPT,
    ContractLookStatement: Kind.CONTRACT_LOOK,
    ContractResultStatement: Kind.CONTRACT_RESULT,
}
_TIMES = (
    *("announced_at", "finished_at", "moved_at", "ended_at", "forked_at", "judged_at"),
    *("stated_at", "entered_at", "offered_at", "opened_at", "recalled_at"),
    *("proposed_at", "accepted_at", "looked_at", "evaluated_at"),
    *("enrolled_at", "rotated_at", "revoked_at"),
)
"""fields that say when, in the order of looking: for a session ``opened_at`` is a place in the log"""


def kind_of(statement: AnyStatement) -> Kind:
    """What a statement is about."""
    return _KINDS.get(type(statement), Kind.KEY)


class Entry(Struct, frozen=True):
    """A well-formed entry; whether its signature and what it says hold is another question."""

    index: int
    """position in the log, from 0"""
    envelope: bytes
    """the exact signed bytes"""
    leaf_hash: str
    """RFC 6962 leaf hash of those bytes, 64 hexadecimal digits"""
    statement: AnyStatement
    """what they say, in today's form"""
    signed: Envelope
    """the envelope, decoded"""
    version: int
    """of the predicate in which it was signed"""

    @property
    def kind(self) -> Kind:
        """What the entry is about."""
        return kind_of(self.statement)

    @property
    def intent(self) -> Intent | None:
        """What it announces, if it announces an attempt."""
        return self.statement.predicate if type(self.statement) is IntentStatement else None

    @property
    def receipt(self) -> Receipt | None:
        """The record of an attempt, if it is one."""
        return self.statement.predicate if type(self.statement) is ReceiptStatement else None

    @property
    def move(self) -> HeadMove | None:
        """Where it moves a head, if it moves one."""
        return self.statement.predicate if type(self.statement) is HeadStatement else None

    @property
    def session(self) -> Session | None:
        """What a run spent beside its attempts, if it says that."""
        return self.statement.predicate if type(self.statement) is SessionStatement else None

    @property
    def fork(self) -> Fork | None:
        """What its log goes on from, if it says that."""
        return self.statement.predicate if type(self.statement) is ForkStatement else None

    @property
    def judgement(self) -> Judgement | None:
        """Which of two it says is better, if it says that."""
        return self.statement.predicate if type(self.statement) is JudgementStatement else None

    @property
    def network(self) -> NetworkStatement | None:
        """What a node says in it, if it is a node's."""
        return self.statement if isinstance(self.statement, NetworkStatement) else None

    @property
    def contract(self) -> ContractStatement | None:
        """What a party of a contract says in it, if it is one's."""
        return self.statement if isinstance(self.statement, ContractStatement) else None

    @property
    def round_intent(self) -> RoundIntent | None:
        """What it announces, if it announces a round."""
        return self.statement.predicate if type(self.statement) is RoundIntentStatement else None

    @property
    def round(self) -> RoundResult | None:
        """The record of a round, if it is one."""
        return self.statement.predicate if type(self.statement) is RoundStatement else None

    @property
    def recall(self) -> Recall | None:
        """Which update it takes out of a head, if it takes one."""
        return self.statement.predicate if type(self.statement) is RecallStatement else None

    @property
    def key(self) -> KeyStatement | None:
        """What it says about a key, if it is about one."""
        return self.statement if isinstance(self.statement, KeyStatement) else None

    @property
    def at(self) -> str:
        """When it was said, by the wall clock of whoever signed it, which is only a label."""
        said = self.statement.predicate
        return next(str(at) for name in _TIMES if (at := getattr(said, name, None)) is not None)

    @property
    def name(self) -> str:
        """How a finding names it: ``entry 3 (receipt lora_delta_…)``."""
        if (attempt := self.intent or self.receipt) is not None:
            return f"entry {self.index} ({self.kind} {attempt.task.id})"
        if (named := self.session or self.round_intent or self.round) is not None:
            return f"entry {self.index} ({named.id})"
        return f"entry {self.index} ({self.kind})"

    def _repr_html_(self) -> str:
        """What kind of entry it is, and the text that was signed, for a notebook."""
        rows = [("leaf hash", self.leaf_hash), ("bytes", f"{len(self.envelope):,}"), ("not verified", _ASK)]
        return html_table(self.name, [*rows, ("signed", self.signed.payload.decode(errors="replace"))])


def parse_entry(index: int, envelope: bytes) -> Entry:
    """Read whatever entry there is at a position of the log.

    Raises:
        NewerFormatError: a newer version wrote it.
        VerificationError: envelope or statement are not well formed and canonical.
    """
    signed = parse_envelope(envelope)
    statement, version = parse_statement(signed.payload)
    return Entry(index, envelope, leaf_hash(envelope).hex(), statement, signed, version)
