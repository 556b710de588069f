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
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from cryoflux.errors import VerificationError
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, canonical_bytes, parse_strictly
from cryoflux.signing.keys import key_id

PayloadType = Literal[
    "application/vnd.in-toto+json",
    "application/vnd.cryoflux.settlement+json",
    "application/vnd.cryoflux.claim+json",
]
STATEMENT_PAYLOAD: Final = "application/vnd.in-toto+json"
"""an in-toto statement: an entry of the receipt log"""
METER_PAYLOAD: Final = "application/vnd.cryoflux.settlement+json"
"""what a meter says that a reservation cost"""
CLAIM_PAYLOAD: Final = "application/vnd.cryoflux.claim+json"
"""a claim about a range of a log; no entry of it"""
_SIGNATURE_BYTES = 64


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class EnvelopeSignature(_Strict):
    """An Ed25519 signature over the pre-authentication encoding."""

    keyid: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the public key's SubjectPublicKeyInfo (DER)"""
    sig: str
    """64 bytes, base64"""


class EnvelopeDocument(_Strict):
    """A DSSE v1 envelope with one signature."""

    payload: str
    """the signed bytes, base64"""
    payloadType: PayloadType  # noqa: N815 - the name on the wire
    signatures: Annotated[list[EnvelopeSignature], Field(min_length=1, max_length=1)]


_DOCUMENT = TypeAdapter(EnvelopeDocument)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an envelope holds, decoded; nothing about it has been verified."""

    payload: bytes
    keyid: str
    signature: bytes
    payload_type: PayloadType = STATEMENT_PAYLOAD


def pae(payload: bytes, payload_type: PayloadType = STATEMENT_PAYLOAD) -> bytes:
    """The bytes that a DSSE signature covers."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


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
    document = parse_strictly(_DOCUMENT, content, "The envelope")
    if document.payloadType != payload_type:
        raise VerificationError(
            f"The envelope holds {document.payloadType}; {payload_type} is needed here.",
            why="What was signed for one purpose is no evidence for another.",
        )
    (signature,) = document.signatures
    decoded = decode_base64(signature.sig, "The signature")
    if len(decoded) != _SIGNATURE_BYTES:
        raise VerificationError(f"The signature has {len(decoded)} bytes; Ed25519 has {_SIGNATURE_BYTES}.")
    payload = decode_base64(document.payload, "The payload")
    return Envelope(payload, signature.keyid, decoded, payload_type)


def sign_document(
    document: BaseModel, key: Ed25519PrivateKey, payload_type: PayloadType = STATEMENT_PAYLOAD
) -> bytes:
    """The exact bytes of a signed envelope around a document.

    Raises:
        VerificationError: the document is too large for a log entry, or holds inexact numbers.
    """
    payload = canonical_bytes(document)
    signed = base64.b64encode(key.sign(pae(payload, payload_type))).decode()
    content = canonical_bytes(
        EnvelopeDocument(
            payload=base64.b64encode(payload).decode(),
            payloadType=payload_type,
            signatures=[EnvelopeSignature(keyid=key_id(key.public_key()), sig=signed)],
        )
    )
    if len(content) > MAX_ENTRY_BYTES:
        raise VerificationError(
            f"The receipt would have {len(content)} bytes; at most {MAX_ENTRY_BYTES} are allowed.",
            why="A log entry has to fit into its tile.",
        )
    return content


def verify(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Whether ``key`` signed the envelope's payload and is the key that it names."""
    if envelope.keyid != key_id(key):
        return False
    try:
        key.verify(envelope.signature, pae(envelope.payload, envelope.payload_type))
    except InvalidSignature:
        return False
    return True
