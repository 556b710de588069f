"""What contracts are made of: terms, clauses and windows, what came of them, and the evidence for that."""

from __future__ import annotations

__all__ = [
    "AgreedTerms",
    "AgreedWindows",
    "ClauseResult",
    "ContractEvidence",
    "ContractStanding",
    "CountedJoules",
    "HowKnown",
    "NamedPolicy",
    "OnMissing",
    "OpenedContractLook",
    "ReadLog",
    "look_name",
]

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from cryoflux.digests import sha256_hex
from cryoflux.quantities import Tier
from cryoflux.receipts.network_parts import LogName, SealedSums
from cryoflux.receipts.parts import Base
from cryoflux.registry.composition import MOST_TERMS, Term, list_digest
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.fields import (
    Code,
    Count,
    Document,
    OptionalSha256,
    Positive,
    Sha256,
    TaskName,
    Text,
    at_most,
)

MOST_WINDOWS = 64
"""of a contract: their looks have to fit into the opening of its guest holdout"""
MOST_CLAUSES = 4
_LOOK = b"cryoflux contract look"
ClauseText = Annotated[str, Meta(max_length=100)]
PolicyText = Annotated[str, Meta(max_length=16_000)]
PartPerMillion = Annotated[int, Meta(ge=1, le=999_999)]


class OnMissing(StrEnum):
    """What a window comes to whose look the buyer has not published in time."""

    BREACH = "breach"
    VOID = "void"


class ContractStanding(StrEnum):
    """What a clause, a window or a contract comes to."""

    FULFILLED = "fulfilled"
    BREACHED = "breached"
    PENDING = "pending"
    """its time is not over, or a log is not here up to that time"""
    UNVERIFIABLE = "unverifiable"
    """its time is over, and what would decide is not known: joules without a record, a tier too low"""
    VOID = "void"
    """nothing is owed: it was never in force, a party told two histories, or the terms say so"""


class HowKnown(StrEnum):
    """How it is known what a clause comes to."""

    LOGS = "logs"
    """it follows from what the logs say"""
    ATTESTED = "attested"
    """by a bit that the buyer published: its word, until the guest holdout is opened"""
    VERIFIED = "verified"
    """by sums that were sealed with the bit, and opened"""


class NamedPolicy(Document, frozen=True):
    """Whose word on times counts, and which logs are read: a C2SP tlog-policy file."""

    text: PolicyText
    sha256: Sha256


class AgreedWindows(Document, frozen=True):
    """The windows of a contract, one after the other, in the time of witnesses."""

    first: Count
    """when the first one begins, Unix seconds"""
    length_s: Positive
    count: Annotated[int, Meta(ge=1, le=MOST_WINDOWS)]

    def end_s(self, window: int) -> int:
        """When a window ends, Unix seconds."""
        return self.first + (window + 1) * self.length_s

    def due_s(self, window: int) -> int:
        """Until when its look is due: one window longer, because what it looks at is fixed by its end."""
        return self.end_s(window) + self.length_s


class CountedJoules(Document, frozen=True):
    """Which joules a clause on η counts: upper ends, of all that the seller announced."""

    counted: Literal["net", "gross"]
    """less what the machine takes idle, or all of it"""
    upper_microjoules: Count
    """that a window is expected to be charged at most; plans, and decides nothing"""
    point_microjoules: Count
    """of that, the estimate: what a meter that counts would come to"""
    tier_min: Tier
    """the least that is believed"""


class AgreedTerms(Document, frozen=True):
    """A contract: what a seller's updates promise on the guest holdout of a buyer, window by window."""

    parties: Annotated[tuple[LogName, ...], at_most(2, least=2)]
    """origins of the logs of the seller, who trains, and of the buyer, who measures"""
    verifiers: NamedPolicy
    """it names the logs of both parties, of who else may have tried what is offered, and witnesses"""
    task: TaskName
    genesis: Base
    guest_root: Sha256
    """of the buyer's guest holdout, which judges nothing else"""
    count: Positive
    """its examples"""
    profile: Text
    """the arithmetic in which losses are computed"""
    max_tokens: Count
    """of a text that are read; 0 where all of it is"""
    start_list: Annotated[tuple[Term, ...], at_most(MOST_TERMS)]
    """updates over the genesis that the first window is compared with; the buyer measures them beforehand"""
    clauses: Annotated[tuple[ClauseText, ...], at_most(MOST_CLAUSES, least=1)]
    windows: AgreedWindows
    alpha_ppm: PartPerMillion
    """probability that a window is called kept which is not, over all of them, parts per million"""
    power_ppm: PartPerMillion
    """probability that a window is called kept which is as expected"""
    spread_nano_nat: Count
    """standard deviation of Δ between examples, as it was measured"""
    spread_rounds: Annotated[tuple[Sha256, ...], at_most(16)]
    """leaf hashes of the rounds whose search it was measured in; none where it was assumed"""
    expected_delta_nano_nat: Count
    """mean Δ of a window"""
    joules: CountedJoules
    on_missing: OnMissing
    amount: Text
    """what is owed for a window, in words that nothing here reads"""

    @property
    def seller(self) -> str:
        """Origin of the log of who trains."""
        return self.parties[0]

    @property
    def buyer(self) -> str:
        """Origin of the log of who measures."""
        return self.parties[1]

    @property
    def start(self) -> str:
        """Digest of the list that the first window is compared with."""
        return list_digest(self.start_list)

    @property
    def content(self) -> bytes:
        """The exact bytes of the contract (RFC 8785)."""
        return canonical_bytes(self)

    @property
    def digest(self) -> str:
        """By which everybody names it."""
        return sha256_hex(self.content)


class OpenedContractLook(Document, frozen=True):
    """A look that a guest holdout gave for a contract, opened."""

    contract: Sha256
    window: Count
    sums: SealedSums


class ContractEvidence(Document, frozen=True):
    """What one entry of a log, or one number, shows of a window."""

    code: Code
    clause: ClauseText = ""
    """empty where it is about the window"""
    origin: LogName = ""
    """of the log that it is in"""
    leaf: OptionalSha256 = ""
    """of the entry"""
    value: Text = ""
    """number or digest, as text"""


class ClauseResult(Document, frozen=True):
    """What a clause came to."""

    clause: ClauseText
    standing: ContractStanding
    known: HowKnown


class ReadLog(Document, frozen=True):
    """How much of a log a result went by."""

    origin: LogName
    size: Count
    root: Sha256


def look_name(contract: str, window: int) -> str:
    """What the seal of a look is named by: a salt is for one window of one contract.

    Args:
        contract: its digest.
        window: counted from 0.
    """
    return hashlib.sha256(_LOOK + bytes.fromhex(contract) + window.to_bytes(8, "big")).hexdigest()
