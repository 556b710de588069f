"""The file of a claim: a DSSE envelope around the claim, with the evidence beside it.

One line of RFC 8785 JSON. ``payload``, ``payloadType`` and ``signatures`` are a DSSE v1 envelope like every
other here, signed by the receipt key; beside them lie the signed head of the log and the evidence, which
need no signature by the claimant: the one has the log's, the other hashes to its root. The claim itself is
an in-toto statement about that head, so that cosignatures may be added to it later.
"""

from __future__ import annotations

__all__ = [
    "MAX_CLAIM_BYTES",
    "MAX_INDEX",
    "Carrier",
    "Claim",
    "ClaimPredicate",
    "ClaimStatement",
    "ClaimedValue",
    "Head",
    "format_claim",
    "is_claim",
    "parse_claim",
    "subject_of_head",
]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from cryoflux.claims.backing import CertifiedBacking
from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Checkpoint
from cryoflux.receipts.key_statement import PublicKey
from cryoflux.receipts.statement import InTotoStatement, Sha256Digest, Subject
from cryoflux.signing.canonical import canonical_bytes, parse_strictly
from cryoflux.signing.envelope import (
    CLAIM_PAYLOAD,
    Envelope,
    EnvelopeDocument,
    decode_base64,
    parse_envelope,
)
from cryoflux.signing.fields import END_OF_TEXT, Count, Document, Sha256, Text, Timestamp, at_most

MAX_CLAIM_BYTES = 200_000
"""Largest file of a claim."""
MAX_INDEX = 200_000
"""Entries of a log, up to the end of the range, that a claim may be about."""
_MOST_SPANS = 64
_SUBJECT = "log/checkpoint"
_BEGINNING = b'{"checkpoint":'
_PEEK_BYTES = 1_000_000


class ClaimedValue(Document, frozen=True):
    """What one quantity of the expression comes to."""

    quantity: Text
    value: Annotated[
        str, Meta(pattern=r"^([a-z-]{1,40}|-?(0|[1-9][0-9]{0,999})(/[1-9][0-9]{0,999})?)" + END_OF_TEXT)
    ]
    """exact, in lowest terms: nano-nats, µJ, nano-nats/µJ, a count or a share of one; or a tier"""


class Head(Document, frozen=True):
    """The head of the log that the claim is about."""

    origin: Text
    size: Count
    root: Sha256


class ClaimPredicate(Document, frozen=True):
    """A sentence about a range of a log."""

    expression: Text
    """in its one spelling"""
    values: Annotated[list[ClaimedValue], at_most(16)]
    """one a comparison, in order"""
    first: Count
    """first entry of the range"""
    end: Count
    """first entry after it"""
    attempts: Count
    """receipts in the range"""
    head: Head
    first_key: PublicKey
    """that the log began under"""
    log_key: PublicKey
    """that signs its head"""
    claimed_at: Timestamp
    backing: CertifiedBacking | None = None
    """what stands behind certified nats; none where the expression names none"""


class ClaimStatement(InTotoStatement, frozen=True, kw_only=True, tag="https://cryoflux.dev/claim/v1"):
    """A claim; its subject is the text of the log's head."""

    predicate: ClaimPredicate


class Carrier(Document, frozen=True):
    """Entries of the log and their way to its root; see `cryoflux.claims.evidence`."""

    spans: Annotated[
        list[Annotated[list[Count], at_most(2, least=2)]],
        at_most(_MOST_SPANS, least=1),
    ]
    """first index, and first after it, of what is carried, in order"""
    hashes: Annotated[list[Sha256], at_most(4096)]
    """roots of the largest subtrees that hold nothing of them, left to right"""
    entries: str
    """packed envelopes, base64"""


class _ClaimFile(EnvelopeDocument, frozen=True):
    checkpoint: Annotated[str, Meta(max_length=MAX_NOTE_BYTES)]
    evidence: Carrier


@dataclass(frozen=True, slots=True)
class Claim:
    """What a file holds, decoded; nothing about it has been verified."""

    statement: ClaimStatement
    signed: Envelope
    checkpoint: bytes
    """the signed note, verbatim"""
    spans: tuple[tuple[int, int], ...]
    hashes: tuple[bytes, ...]
    packed: bytes

    @property
    def predicate(self) -> ClaimPredicate:
        """What is claimed."""
        return self.statement.predicate

    @property
    def carried(self) -> int:
        """How many entries it says that it brings."""
        return sum(end - start for start, end in self.spans)


_FILE = msgspec.json.Decoder(_ClaimFile)
_ENVELOPE = msgspec.json.Decoder(EnvelopeDocument)
_STATEMENT = msgspec.json.Decoder(ClaimStatement)


def subject_of_head(point: Checkpoint) -> list[Subject]:
    """The subject of a claim about a head: its text, without signatures."""
    return [Subject(name=_SUBJECT, digest=Sha256Digest(sha256=sha256_hex(point.text)))]


def format_claim(envelope: bytes, checkpoint: bytes, evidence: Carrier) -> bytes:
    """The bytes of a claim's file.

    Args:
        envelope: the signed claim.
        checkpoint: the signed head that it is about.
        evidence: what carries it.
    """
    signed = parse_strictly(_ENVELOPE, envelope, "The envelope")
    document = _ClaimFile(
        payload=signed.payload,
        payload_type=signed.payload_type,
        signatures=signed.signatures,
        checkpoint=checkpoint.decode(),
        evidence=evidence,
    )
    return canonical_bytes(document) + b"\n"


def is_claim(path: Path) -> bool:
    """Whether a file says that it is a claim; nothing about it has been verified."""
    try:
        beginning = read_beginning(path, _PEEK_BYTES)
    except OSError:  # whoever reads it next says so
        return False
    return beginning.startswith(_BEGINNING) or CLAIM_PAYLOAD.encode() in beginning


def parse_claim(content: bytes) -> Claim:
    """Read the file of a claim.

    Raises:
        VerificationError: the bytes are not one, in its one spelling, of at most 200,000 bytes.
    """
    if len(content) > MAX_CLAIM_BYTES:
        raise VerificationError(
            f"The claim has more than {MAX_CLAIM_BYTES} bytes, which is more than one may have."
        )
    document = parse_strictly(
        _FILE, content.removesuffix(b"\n"), "The file of the claim", most=MAX_CLAIM_BYTES
    )
    outer = EnvelopeDocument(
        payload=document.payload, payload_type=document.payload_type, signatures=document.signatures
    )
    signed = parse_envelope(canonical_bytes(outer), CLAIM_PAYLOAD)
    return Claim(
        statement=parse_strictly(_STATEMENT, signed.payload, "The claim"),
        signed=signed,
        checkpoint=document.checkpoint.encode(),
        spans=_spans(document.evidence.spans),
        hashes=tuple(bytes.fromhex(found) for found in document.evidence.hashes),
        packed=decode_base64(document.evidence.entries, "What the claim carries"),
    )


def _spans(said: list[list[int]]) -> tuple[tuple[int, int], ...]:
    spans = tuple((first, end) for first, end in said)
    at = 0
    for first, end in spans:
        if not at <= first < end:
            raise VerificationError("The entries that the claim carries are not in order.")
        at = end
    if at > MAX_INDEX:
        raise VerificationError(f"The claim reaches to entry {at - 1}; at most {MAX_INDEX} are read.")
    return spans
