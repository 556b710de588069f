"""One entry of the log, read back from its exact bytes: of an attempt, or of a key."""

from __future__ import annotations

__all__ = ["Entry", "KeyEntry", "intent_of", "parse_any_entry", "parse_entry", "receipt_of"]

from dataclasses import dataclass

from cryoflux.receipts.decoding import parse_any_statement, parse_statement
from cryoflux.receipts.key_statement import KeyStatement
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


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A well-formed entry about a key; whether its signer may say it is another question."""

    index: int
    """position in the log, from 0"""
    envelope: bytes
    """the exact signed bytes"""
    leaf_hash: str
    """RFC 6962 leaf hash of those bytes, 64 hexadecimal digits"""
    statement: KeyStatement
    signed: Envelope
    """the envelope, decoded"""


def intent_of(entry: Entry) -> Intent | None:
    """The intent that an entry is, if it is one."""
    return entry.statement.predicate if isinstance(entry.statement, IntentStatement) else None


def receipt_of(entry: Entry) -> Receipt | None:
    """The receipt that an entry is, if it is one."""
    return entry.statement.predicate if isinstance(entry.statement, ReceiptStatement) else None


def parse_entry(index: int, envelope: bytes) -> Entry:
    """Read the entry of an attempt at a position of the log.

    Raises:
        VerificationError: envelope or statement are not well formed and canonical, or say something else.
    """
    signed = parse_envelope(envelope)
    return Entry(index, envelope, leaf_hash(envelope).hex(), parse_statement(signed.payload), signed)


def parse_any_entry(index: int, envelope: bytes) -> Entry | KeyEntry:
    """Read whatever entry there is at a position of the log.

    Raises:
        VerificationError: envelope or statement are not well formed and canonical.
    """
    signed = parse_envelope(envelope)
    leaf = leaf_hash(envelope).hex()
    statement = parse_any_statement(signed.payload)
    if isinstance(statement, IntentStatement | ReceiptStatement):
        return Entry(index, envelope, leaf, statement, signed)
    return KeyEntry(index, envelope, leaf, statement, signed)
