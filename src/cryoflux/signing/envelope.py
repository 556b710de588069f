"""The signed envelope of a document: DSSE v1 with one Ed25519 signature.

The signature covers the pre-authentication encoding (PAE) of payload type and payload, so that no
canonicalisation stands between signer and verifier. The envelope itself is one line of RFC 8785 JSON:
``{"payload": base64, "payloadType": …, "signatures": [{"keyid": …, "sig": base64}]}``. ``keyid`` is
the SHA-256 of the public key's SubjectPublicKeyInfo (DER), as 64 hexadecimal digits. The payload type is
signed too, so that what was signed for one purpose is never taken for something else.
Sources: secure-systems-lab/dsse protocol 1.0, in-toto attestation framework v1.
"""

from __future__ import annotations

__all__ = [
    "CLAIM_PAYLOAD",
    "FORK_PAYLOAD",
    "METER_PAYLOAD",
    "STATEMENT_PAYLOAD",
    "Envelope",
    "EnvelopeDocument",
    "EnvelopeSignature",
    "PayloadType",
    "decode_base64",
    "pae",
    "parse_envelope",
    "sign_document",
    "verify",
]

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from cryoflux.errors import UsageError, VerificationError
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, canonical_bytes, parse_strictly
from cryoflux.signing.ed25519 import verify_signature
from cryoflux.signing.fields import Document, Keyid, at_most
from cryoflux.signing.keys import key_id, raw_key_id, raw_public_key

PayloadType = Literal[
    "application/vnd.in-toto+json",
    "application/vnd.cryoflux.settlement+json",
    "application/vnd.cryoflux.claim+json",
    "application/vnd.cryoflux.fork+json",
]
STATEMENT_PAYLOAD: Final = "application/vnd.in-toto+json"
"""an in-toto statement: an entry of the receipt log"""
METER_PAYLOAD: Final = "application/vnd.cryoflux.settlement+json"
"""what a meter says that a reservation cost"""
CLAIM_PAYLOAD: Final = "application/vnd.cryoflux.claim+json"
"""a claim about a range of a log; no entry of it"""
FORK_PAYLOAD: Final = "application/vnd.cryoflux.fork+json"
"""what the receipt key of a log says of another log that goes on from it"""
_SIGNATURE_BYTES = 64


class EnvelopeSignature(Document, frozen=True):
    """An Ed25519 signature over the pre-authentication encoding."""

    keyid: Keyid
    """SHA-256 of the public key's SubjectPublicKeyInfo (DER)"""
    sig: str
    """64 bytes, base64"""


class EnvelopeDocument(Document, frozen=True):
    """A DSSE v1 envelope with one signature."""

    payload: str
    """the signed bytes, base64"""
    payload_type: PayloadType
    signatures: Annotated[list[EnvelopeSignature], at_most(1, least=1)]


class _DecodedSignature(Document, frozen=True):
    keyid: Keyid
    sig: bytes


class _DecodedDocument(Document, frozen=True):
    """The same, and what is base64 in it is decoded and written again with the rest."""

    payload: bytes
    payload_type: PayloadType
    signatures: Annotated[list[_DecodedSignature], at_most(1, least=1)]


_DECODER = msgspec.json.Decoder(EnvelopeDocument)
_WHOLE_DECODER = msgspec.json.Decoder(_DecodedDocument)


class Envelope(Struct, frozen=True):
    """What an envelope holds, decoded; nothing about it has been verified."""

    payload: bytes
    keyid: str
    signature: bytes
    payload_type: PayloadType = STATEMENT_PAYLOAD


def pae(payload: bytes, payload_type: PayloadType = STATEMENT_PAYLOAD) -> bytes:
    """The bytes that a DSSE signature covers."""
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def decode_base64(text: str, what: str) -> bytes:
    """Bytes of padded standard base64 in its one canonical spelling.

    Raises:
        VerificationError: it is anything else.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerificationError(f"{what} is not base64: {error}.") from error
    if base64.b64encode(content).decode() != text:
        raise VerificationError(f"{what} is base64 in a spelling of its own; only one is allowed.")
    return content


def parse_envelope(content: bytes, payload_type: PayloadType = STATEMENT_PAYLOAD) -> Envelope:
    """Read an envelope from its exact bytes.

    Raises:
        VerificationError: the bytes are not a canonical envelope of this payload type with one Ed25519
            signature.
    """
    found = _opened(content, payload_type)
    if found is None:
        raise _refused(content, payload_type)
    return found


def _opened(content: bytes, payload_type: PayloadType) -> Envelope | None:
    """What an envelope holds; none where a byte of it is not what it has to be."""
    # Base64 that gives the same when it is written again is in its one spelling.
    try:
        found = parse_strictly(_WHOLE_DECODER, content, "The envelope")
    except VerificationError:
        return None
    (signed,) = found.signatures
    if found.payload_type != payload_type or len(signed.sig) != _SIGNATURE_BYTES:
        return None
    return Envelope(found.payload, signed.keyid, signed.sig, payload_type)


def _refused(content: bytes, payload_type: PayloadType) -> VerificationError:
    """Why bytes are no envelope of a payload type, as exactly as that can be said."""
    try:
        document = parse_strictly(_DECODER, content, "The envelope")
        if document.payload_type != payload_type:
            return VerificationError(
                f"The envelope holds {document.payload_type}; {payload_type} is needed here.",
                why="What was signed for one purpose is no evidence for another.",
            )
        (signature,) = document.signatures
        decoded = decode_base64(signature.sig, "The signature")
        if len(decoded) != _SIGNATURE_BYTES:
            return VerificationError(
                f"The signature has {len(decoded)} bytes; Ed25519 has {_SIGNATURE_BYTES}."
            )
        decode_base64(document.payload, "The payload")
    except VerificationError as error:
        return error
    return VerificationError("The envelope is not in canonical form (RFC 8785).")


def sign_document(
    document: Document, key: Ed25519PrivateKey, payload_type: PayloadType = STATEMENT_PAYLOAD
) -> bytes:
    """The exact bytes of a signed envelope around a document.

    Raises:
        UsageError: the document is too large for a log entry, or holds inexact numbers.
    """
    payload = canonical_bytes(document)
    signed = base64.b64encode(key.sign(pae(payload, payload_type))).decode()
    content = canonical_bytes(
        EnvelopeDocument(
            payload=base64.b64encode(payload).decode(),
            payload_type=payload_type,
            signatures=[EnvelopeSignature(keyid=key_id(key.public_key()), sig=signed)],
        )
    )
    if len(content) > MAX_ENTRY_BYTES:
        raise UsageError(
            f"The receipt would have {len(content)} bytes; at most {MAX_ENTRY_BYTES} are allowed.",
            why="A log entry has to fit into its tile.",
            hint="Nothing was signed: say less in it, where it was typed.",
        )
    return content


def verify(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Whether ``key`` signed the envelope's payload and is the key that it names."""
    raw = raw_public_key(key)
    if envelope.keyid != raw_key_id(raw):
        return False
    return verify_signature(raw, pae(envelope.payload, envelope.payload_type), envelope.signature)
