"""What the parties of a contract say in their logs: in-toto statements with predicates of their own.

- ``contract/v1`` proposes terms; ``contract-accept/v1`` of the other party accepts them, word for word.
- ``contract-look/v1`` is the buyer's one look of a window: a bit a clause, and a seal over the sums.
- ``contract-result/v1`` is what a party computed of both logs. No money moves by it.
"""

from __future__ import annotations

__all__ = [
    "CONTRACT_ACCEPT_TYPE",
    "CONTRACT_LOOK_TYPE",
    "CONTRACT_RESULT_TYPE",
    "CONTRACT_TYPE",
    "AcceptedContract",
    "AcceptedContractStatement",
    "ContractLook",
    "ContractLookStatement",
    "ContractResult",
    "ContractResultStatement",
    "ContractStatement",
    "ProposedContract",
    "ProposedContractStatement",
    "last_kept",
]

from collections.abc import Iterable
from typing import Annotated

from cryoflux.receipts.contract_parts import (
    MOST_CLAUSES,
    AgreedTerms,
    ClauseResult,
    ContractEvidence,
    ContractStanding,
    ReadLog,
)
from cryoflux.receipts.statement import InTotoStatement
from cryoflux.signing.fields import (
    Count,
    Document,
    OptionalSha256,
    Sha256,
    TaskName,
    Timestamp,
    at_most,
)

CONTRACT_TYPE = "https://cryoflux.dev/contract/v1"
CONTRACT_ACCEPT_TYPE = "https://cryoflux.dev/contract-accept/v1"
CONTRACT_LOOK_TYPE = "https://cryoflux.dev/contract-look/v1"
CONTRACT_RESULT_TYPE = "https://cryoflux.dev/contract-result/v1"


class ProposedContract(Document, frozen=True):
    """Terms that one party proposes."""

    sequence: Count
    prev: Sha256
    task: TaskName
    terms: AgreedTerms
    proposed_at: Timestamp


class AcceptedContract(Document, frozen=True):
    """Terms that the other party accepts, as they were proposed."""

    sequence: Count
    prev: Sha256
    task: TaskName
    terms: AgreedTerms
    accepted_at: Timestamp


class ContractLook(Document, frozen=True):
    """A buyer's look at its guest holdout for one window; there is one, and no second."""

    sequence: Count
    prev: Sha256
    task: TaskName
    contract: Sha256
    """digest of its terms"""
    window: Count
    """counted from 0"""
    base: Sha256
    """digest of the list that is compared with: of the last window whose bits were all set, or the start"""
    result: Sha256
    """digest of the list that the seller offered last before the window ended"""
    offer: Sha256
    """leaf hash of that offer in the seller's log"""
    available: bool
    """whether its bytes could be had"""
    kept: Annotated[tuple[bool, ...], at_most(MOST_CLAUSES, least=1)]
    """a bit for each clause, in the order of the terms"""
    upper_microjoules: Count | None
    """upper joules since the base, by the seller's log, that a clause on η was tested at; none where they
    were not known"""
    sealed: OptionalSha256
    """of the sums, under a salt that the opening of the guest holdout publishes; empty where nothing could be
    measured"""
    looked_at: Timestamp


def last_kept(looks: Iterable[ContractLook]) -> ContractLook | None:
    """The look that leaves the list which the next window is compared with; none where the start is that.

    Args:
        looks: that count, in order.
    """
    kept = [look for look in looks if all(look.kept)]
    return kept[-1] if kept else None


class ContractResult(Document, frozen=True):
    """What a party computed of a window."""

    sequence: Count
    prev: Sha256
    task: TaskName
    contract: Sha256
    window: Count
    standing: ContractStanding
    clauses: Annotated[tuple[ClauseResult, ...], at_most(MOST_CLAUSES)]
    evidence: Annotated[tuple[ContractEvidence, ...], at_most(64)]
    """in the order in which it was found"""
    logs: Annotated[tuple[ReadLog, ...], at_most(16)]
    """that it was computed of"""
    evaluated_at: Timestamp


class ProposedContractStatement(InTotoStatement, frozen=True, kw_only=True, tag=CONTRACT_TYPE):
    """A proposed contract; its subject is the file of its terms."""

    predicate: ProposedContract


class AcceptedContractStatement(InTotoStatement, frozen=True, kw_only=True, tag=CONTRACT_ACCEPT_TYPE):
    """An accepted contract; its subject is the file of its terms."""

    predicate: AcceptedContract


class ContractLookStatement(InTotoStatement, frozen=True, kw_only=True, tag=CONTRACT_LOOK_TYPE):
    """A look for a contract; its subject is the file of its terms."""

    predicate: ContractLook


class ContractResultStatement(InTotoStatement, frozen=True, kw_only=True, tag=CONTRACT_RESULT_TYPE):
    """A result of a contract; its subject is the file of its terms."""

    predicate: ContractResult


ContractStatement = (
    ProposedContractStatement | AcceptedContractStatement | ContractLookStatement | ContractResultStatement
)
"""What a party of a contract says."""
