"""What the owner of a log says of another log that goes on from it: that it is theirs.

A fork has keys of its own, so that neither log can speak in the other's name, and anybody who has a signed
head could name it as a parent. The voucher is the parent's word: its receipt key, whose id is in the parent's
origin, signs the head, the key that signed that head, and the key of the new log.
"""

from __future__ import annotations

__all__ = ["Vouched", "sign_voucher", "voucher_complaint"]

import base64
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Checkpoint
from cryoflux.signing.canonical import parse_strictly
from cryoflux.signing.ed25519 import refuse_weak_key
from cryoflux.signing.envelope import FORK_PAYLOAD, decode_base64, parse_envelope, sign_document, verify
from cryoflux.signing.fields import Count, Document, RawKey, Sha256, Text
from cryoflux.signing.keys import key_id, raw_public_key


class Vouched(Document, frozen=True):
    """A log goes on from this head, under this key."""

    kind: Literal["https://cryoflux.dev/fork-voucher/v1"]
    origin: Text
    """of the parent's log"""
    size: Count
    root: Sha256
    log_key: RawKey
    """that signs the heads of the parent's log"""
    successor: Sha256
    """id of the receipt key that the new log begins under"""


_DECODER = msgspec.json.Decoder(Vouched)


def _due(point: Checkpoint, log_key: str, successor: str) -> Vouched:
    return Vouched(
        kind="https://cryoflux.dev/fork-voucher/v1",
        origin=point.origin,
        size=point.size,
        root=point.root.hex(),
        log_key=log_key,
        successor=successor,
    )


def sign_voucher(
    point: Checkpoint, log_key: Ed25519PublicKey, successor: Ed25519PublicKey, key: Ed25519PrivateKey
) -> str:
    """The signed envelope of a voucher, as one line of text.

    Args:
        point: the parent's head.
        log_key: that signed it.
        successor: the receipt key of the new log.
        key: the parent's receipt key.
    """
    raw = base64.b64encode(raw_public_key(log_key)).decode()
    return sign_document(_due(point, raw, key_id(successor)), key, FORK_PAYLOAD).decode()


def voucher_complaint(
    envelope: str, point: Checkpoint, log_key: str, successor: Ed25519PublicKey, receipt_key: str
) -> str:
    """What is wrong with a voucher; empty where nothing is.

    Args:
        envelope: the voucher.
        point: the head that the fork names.
        log_key: the key that signed it, as the fork names it.
        successor: the receipt key that the fork began under.
        receipt_key: the parent's receipt key, as the fork names it.
    """
    try:
        signed = parse_envelope(envelope.encode(), FORK_PAYLOAD)
        said = parse_strictly(_DECODER, signed.payload, "The voucher")
        raw = decode_base64(receipt_key, "The parent's receipt key")
        refuse_weak_key(raw, "The parent's receipt key")
    except VerificationError as error:
        return f"its voucher cannot be read: {error.what}"
    if not verify(signed, Ed25519PublicKey.from_public_bytes(raw)):
        return "its voucher is not signed by the parent's receipt key that it names"
    if said != _due(point, log_key, key_id(successor)):
        return "its voucher is for another head, or for another log"
    return ""
