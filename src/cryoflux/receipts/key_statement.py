"""What a key entry of the log says: whose key signs from here on.

- ``key-root/v1`` names the offline root key of the log. The receipt key signs it, once: what comes later
  cannot name another root, so a thief of the receipt key cannot either.
- ``key-rotation/v1`` puts a new receipt key in the place of the one before. The root key signs it.
- ``key-revocation/v1`` ends a receipt key without naming another. The root key signs it.

They are in-toto statements like intents and receipts, in the same log, so that the log itself says which
key was valid where. The subject is the key that the entry is about, by the SHA-256 of its DER form.
"""

from __future__ import annotations

__all__ = [
    "REVOCATION_TYPE",
    "ROOT_TYPE",
    "ROTATION_TYPE",
    "KeyRevocation",
    "KeyRevocationStatement",
    "KeyRoot",
    "KeyRootStatement",
    "KeyRotation",
    "KeyRotationStatement",
    "KeyStatement",
    "PublicKey",
    "public_key_of",
    "subject_of",
]

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.statement import InTotoStatement, Sha256Digest, Subject
from cryoflux.signing.ed25519 import refuse_weak_key
from cryoflux.signing.envelope import decode_base64
from cryoflux.signing.fields import Count, Document, RawKey, Sha256, Text, Timestamp
from cryoflux.signing.keys import key_id, raw_key_id, raw_public_key

ROOT_TYPE = "https://cryoflux.dev/key-root/v1"
ROTATION_TYPE = "https://cryoflux.dev/key-rotation/v1"
REVOCATION_TYPE = "https://cryoflux.dev/key-revocation/v1"
SUBJECT = "ed25519-public-key.der"


class PublicKey(Document, frozen=True):
    """An Ed25519 key, complete, so that the log alone is enough to check with it."""

    keyid: Sha256
    """SHA-256 of its SubjectPublicKeyInfo (DER)"""
    ed25519: RawKey
    """its 32 bytes, base64"""

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> PublicKey:
        """The form of a key in a statement."""
        return cls(keyid=key_id(key), ed25519=base64.b64encode(raw_public_key(key)).decode())


class KeyRoot(Document, frozen=True):
    """Who may rotate and revoke the keys of this log."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before; 64 zeros for the first"""
    root: PublicKey
    enrolled_at: Timestamp


class KeyRotation(Document, frozen=True):
    """A new receipt key; the one before is not valid after this entry."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before"""
    retired: Sha256
    """id of the receipt key that was valid or revoked last"""
    successor: PublicKey
    reason: Text
    rotated_at: Timestamp


class KeyRevocation(Document, frozen=True):
    """The end of a receipt key."""

    sequence: Count
    """position in the log, from 0"""
    prev: Sha256
    """leaf hash of the entry before"""
    revoked: Sha256
    """id of the key; nothing that it signs is valid after this entry"""
    reason: Text
    revoked_at: Timestamp


class KeyRootStatement(InTotoStatement, frozen=True, kw_only=True, tag=ROOT_TYPE):
    """Names the root key; signed by the receipt key."""

    predicate: KeyRoot


class KeyRotationStatement(InTotoStatement, frozen=True, kw_only=True, tag=ROTATION_TYPE):
    """Names a new receipt key; signed by the root key."""

    predicate: KeyRotation


class KeyRevocationStatement(InTotoStatement, frozen=True, kw_only=True, tag=REVOCATION_TYPE):
    """Ends a receipt key; signed by the root key."""

    predicate: KeyRevocation


KeyStatement = KeyRootStatement | KeyRotationStatement | KeyRevocationStatement


def subject_of(keyid: str) -> list[Subject]:
    """The subject of a statement about a key."""
    return [Subject(name=SUBJECT, digest=Sha256Digest(sha256=keyid))]


def public_key_of(said: PublicKey) -> Ed25519PublicKey:
    """The key that a statement brings.

    Raises:
        VerificationError: its bytes are no sound key, or not of the id that it says.
    """
    raw = decode_base64(said.ed25519, "The public key")
    refuse_weak_key(raw, f"The public key {said.keyid[:16]}…")
    if raw_key_id(raw) != said.keyid:
        raise VerificationError(f"The public key {said.keyid[:16]}… has another id than the one it says.")
    return Ed25519PublicKey.from_public_bytes(raw)
