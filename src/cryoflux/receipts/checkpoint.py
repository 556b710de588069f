r"""The signed head of the log: a C2SP tlog-checkpoint, which is a C2SP signed note.

Three lines (origin, size, base64 of the root), an empty line, and the signature line
``— <origin> <base64 of key id ‖ signature>``. The key id is the first four bytes of
``SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key)``. The origin ``cryoflux.dev/<16 hex>`` carries the id of the
receipt key, so that a log and its signer belong together.
"""

from __future__ import annotations

__all__ = ["Checkpoint", "origin_of", "parse_checkpoint", "sign_checkpoint", "verifier_key"]

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.signing.envelope import decode_base64
from cryoflux.signing.keys import key_id, raw_public_key

_ED25519 = b"\x01"
_DASH = "\N{EM DASH}"
_NOTE = re.compile(
    rf"(?P<text>(?P<origin>[^\s+]+)\n(?P<size>0|[1-9][0-9]{{0,17}})\n(?P<root>[0-9A-Za-z+/=]+)\n)"
    rf"\n{_DASH} (?P<name>[^\s+]+) (?P<signature>[0-9A-Za-z+/=]+)\n"
)
_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log at one size."""

    origin: str
    size: int
    """entries"""
    root: bytes
    """RFC 6962 root over their leaf hashes"""

    @property
    def text(self) -> bytes:
        """The bytes that the signature covers."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def origin_of(receipt_key: Ed25519PublicKey) -> str:
    """The name of the log of a receipt key."""
    return f"cryoflux.dev/{key_id(receipt_key)[:16]}"


def _note_key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(f"{name}\n".encode() + _ED25519 + raw_public_key(key)).digest()[:4]


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """The signed-note verifier key (vkey), for the policy file of a witness or another tool."""
    encoded = base64.b64encode(_ED25519 + raw_public_key(key)).decode()
    return f"{name}+{_note_key_id(name, key).hex()}+{encoded}"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """The signed note of a checkpoint."""
    signed = _note_key_id(checkpoint.origin, key.public_key()) + key.sign(checkpoint.text)
    line = f"\n{_DASH} {checkpoint.origin} {base64.b64encode(signed).decode()}\n"
    return checkpoint.text + line.encode()


def _match(note: bytes) -> re.Match[str]:
    try:
        found = _NOTE.fullmatch(note.decode("utf-8")) if len(note) <= _MAX_BYTES else None
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise VerificationError(
            "The checkpoint is not a signed note with origin, size and root.",
            why="Without it nobody can tell whether entries are missing at the end.",
        )
    return found


def parse_checkpoint(note: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """Read a checkpoint whose one signature is ``key``'s.

    Raises:
        VerificationError: it is malformed, or signed by another key, or not at all.
    """
    found = _match(note)
    checkpoint = Checkpoint(
        found["origin"], int(found["size"]), decode_base64(found["root"], "The checkpoint's root")
    )
    signed = decode_base64(found["signature"], "The checkpoint's signature")
    expected_id = _note_key_id(checkpoint.origin, key)
    if found["name"] != checkpoint.origin or signed[:4] != expected_id or len(checkpoint.root) != 32:
        raise VerificationError("The checkpoint names another log or another key than the one expected.")
    try:
        key.verify(signed[4:], found["text"].encode())
    except InvalidSignature as error:
        raise VerificationError(
            "The checkpoint's signature does not match its text.",
            why="Its size or root was changed, or another key signed it.",
        ) from error
    return checkpoint
