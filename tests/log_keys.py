"""A log whose head somebody else has signed, who holds no receipt key: a copy is all that they have."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import parse_note, sign_checkpoint
from cryoflux.signing.keys import public_pem

THIEF = Ed25519PrivateKey.from_private_bytes(b"t" * 32)


def copied(state: Path, place: Path) -> Path:
    """A copy as a stranger has it: everything but the private keys."""
    copy = shutil.copytree(state, place, symlinks=True)
    for private in (copy / "keys").glob("*.pem"):
        private.unlink()
    return copy


def head_signed_by(state: Path, key: Ed25519PrivateKey = THIEF) -> bytes:
    """The head of a state as another key signs it."""
    return sign_checkpoint(parse_note((state / "log" / "checkpoint").read_bytes()).checkpoint, key)


def sign_head_anew(state: Path, key: Ed25519PrivateKey = THIEF) -> Path:
    """Put another key's signature under the head, and that key beside it."""
    (state / "log" / "checkpoint").write_bytes(head_signed_by(state, key))
    public = state / "keys" / "log.pub"
    public.unlink()
    public.write_bytes(public_pem(key.public_key()))
    return state
