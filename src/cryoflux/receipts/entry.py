"""One entry of the log, read back from its exact bytes."""

from __future__ import annotations

__all__ = ["Entry", "intent_of", "parse_entry", "receipt_of"]

from dataclasses import dataclass

from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.statement import Intent, IntentStatement, Receipt, ReceiptStatement, Statement
from cryoflux.signing.envelope import Envelope, parse_envelope


@dataclass(frozen=True, slots=True)
class Entry:
    """A well-formed entry; whether its signature and claims hold is another question."""

    index: int
    """position in the log, from 0"""
    envelope: bytes
    """the exact signed bytes"""
    leaf_hash: str
    """RFC 6962 leaf hash of those bytes, 64 hexadecimal digits"""
    statement: Statement
    signed: Envelope
    """the envelope, decoded"""


def intent_of(entry: Entry) -> Intent | None:
    """The intent that an entry is, if it is one."""
    return entry.statement.predicate if isinstance(entry.statement, IntentStatement) else None


def receipt_of(entry: Entry) -> Receipt | None:
    """The receipt that an entry is, if it is one."""
    return entry.statement.predicate if isinstance(entry.statement, ReceiptStatement) else None


def parse_entry(index: int, envelope: bytes) -> Entry:
    """Read the entry at a position of the log.

    Raises:
        VerificationError: envelope or statement are not well formed and canonical.
    """
    signed = parse_envelope(envelope)
    return Entry(index, envelope, leaf_hash(envelope).hex(), parse_statement(signed.payload), signed)
