"""The Ed25519 keys of a state: one signs receipts, one only the head of the log, one what was metered.

They are made on first use as PEM (PKCS 8, no passphrase, mode 0600) in a folder of mode 0700, each with
its public half beside it. A private key that others can read is refused, and a log that has entries
never gets a new key in silence. ``receipt.pub`` stays the key that the log began under, which names the
log; after a rotation the valid one is ``receipt-<first digits of its id>``. The root key, which rotates
and revokes, is kept by its owner in a file elsewhere.
"""

from __future__ import annotations

__all__ = [
    "KEYS_FOLDER",
    "LOG_KEY",
    "METER_KEY",
    "RECEIPT_KEY",
    "ROOT_KEY",
    "brought_key",
    "key_id",
    "load_first_public",
    "load_key",
    "load_public_key",
    "load_public_keys",
    "load_root",
    "make_successor",
    "public_pem",
    "raw_key_id",
    "raw_public_key",
    "successor_name",
]

import base64
import hashlib
import json
import shlex
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.files import read_beginning, read_regular, storage_errors, write_atomic
from cryoflux.signing.ed25519 import is_sound_key, refuse_weak_key

KEYS_FOLDER = "keys"
RECEIPT_KEY = "receipt"
LOG_KEY = "log"
METER_KEY = "meter"
ROOT_KEY = "root"
"""only its public half is ever in the folder"""
_MOST_KEY_BYTES = 65_536

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""what stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410)"""
_WHY = "Receipts that it signs could not be told from forged ones, or could not be signed at all."


def raw_public_key(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo (DER), as 64 hexadecimal digits."""
    return raw_key_id(raw_public_key(key))


@lru_cache(maxsize=256)
def raw_key_id(raw: bytes) -> str:
    """The same from the key's 32 bytes."""
    return hashlib.sha256(_SPKI + raw).hexdigest()


def brought_key(document: bytes) -> bytes:
    """The receipt key that a public tree brings, raw; nothing where it brings none that anybody could use.

    Args:
        document: a file that has it, as ``node.json``.
    """
    try:
        raw = base64.b64decode(json.loads(document)["receipt_key"], validate=True)
    except (ValueError, LookupError, TypeError, RecursionError):
        return b""
    return raw if is_sound_key(raw) else b""


def _write_private(path: Path, key: Ed25519PrivateKey) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomic(path, pem, mode=0o600)


def _make_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    _write_private(path, key)
    return key


def _read_key(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & 0o077:
        raise StateError(
            f"The private key {path} can be read by others.",
            why=_WHY,
            hint=f"Type: chmod 600 {shlex.quote(str(path))}",
        )
    try:
        key = load_pem_private_key(read_regular(path, _MOST_KEY_BYTES), password=None)
    except OSError as error:
        raise StateError(
            f"The private key {path} cannot be read: {error.strerror}.", why=_WHY, hint="Check its owner."
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateTamperedError(
            f"{path} is not a private key.",
            why=_WHY,
            hint="Restore it from a backup, or use another --state DIR.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateTamperedError(
            f"{path} is not an Ed25519 key.",
            why=_WHY,
            hint="Restore it from a backup, or use another --state DIR.",
        )
    return key


def _content(path: Path) -> bytes:
    try:
        return read_beginning(path, _MOST_KEY_BYTES)
    except OSError:
        return b""


def load_key(folder: Path, name: str, *, create: bool) -> Ed25519PrivateKey:
    """The private key ``name`` of a state's key folder.

    Args:
        folder: where the keys are.
        name: ``receipt`` or ``log``.
        create: make the key if there is none.

    Raises:
        StateError: it is missing, unreadable, or readable by others.
        StateTamperedError: it is not a key, or its public half is of another key.
        StorageError: a new one cannot be written.
    """
    path = folder / f"{name}.pem"
    if not path.exists() and not create:
        raise StateError(
            f"The private key {path} is missing.",
            why="The log has entries, and one that goes on under another key is not the same log.",
            hint="Restore the key from a backup, or start afresh with --state DIR.",
        )
    key = _read_key(path) if path.exists() else _make_key(path)
    public, expected = path.with_suffix(".pub"), public_pem(key.public_key())
    if not public.exists():
        write_atomic(public, expected)
    elif _content(public) != expected:
        raise StateTamperedError(
            f"{public} is not the public half of {path.name}.",
            why="Whoever verifies with it would refuse honest receipts, or accept another signer's.",
            hint=f"Restore it from a backup; deleting {public.name} makes the next run write it again.",
        )
    return key


def load_first_public(folder: Path, *, create: bool) -> Ed25519PublicKey:
    """The receipt key that a log began under; its private half may be gone after a rotation.

    Args:
        folder: where the keys are.
        create: make the key if there is none.

    Raises:
        StateError: there is neither half of it.
        StateTamperedError, StorageError: as for `load_key`.
    """
    public = folder / f"{RECEIPT_KEY}.pub"
    if create or not public.exists() or (folder / f"{RECEIPT_KEY}.pem").exists():
        return load_key(folder, RECEIPT_KEY, create=create).public_key()
    try:
        return load_public_key(public)
    except UsageError as error:
        raise StateTamperedError(error.what, why=_WHY, hint="Restore it from a backup.") from error


def successor_name(key: Ed25519PublicKey) -> str:
    """The name, in the key folder, of a receipt key that came by rotation."""
    return f"{RECEIPT_KEY}-{key_id(key)[:16]}"


def make_successor(folder: Path) -> Ed25519PrivateKey:
    """A new receipt key, stored in the key folder beside the one that it will follow."""
    key = Ed25519PrivateKey.generate()
    path = folder / f"{successor_name(key.public_key())}.pem"
    _write_private(path, key)
    write_atomic(path.with_suffix(".pub"), public_pem(key.public_key()))
    return key


def load_root(path: Path, *, create: bool) -> Ed25519PrivateKey:
    """The offline root key in a file of its own.

    Args:
        path: the file; never inside a state directory.
        create: make the key if there is no such file.

    Raises:
        UsageError: there is no such file, and none is to be made.
        StateError, StateTamperedError: it is readable by others, or no key.
        StorageError: a new one cannot be written.
    """
    if path.exists():
        return _read_key(path)
    if not create:
        raise UsageError(
            f"There is no root key {path}.",
            why="Only the root key may rotate or revoke.",
            hint="Name the file that cryoflux keys init --root FILE made.",
        )
    return _make_key(path)


def public_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as a PEM file."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key of a PEM file.

    Raises:
        UsageError: there is no such key, or it is not sound: see `cryoflux.signing.ed25519`.
    """
    hint = "Name a PEM file with an Ed25519 public key, such as state/keys/receipt.pub."
    try:
        key = load_pem_public_key(read_beginning(path, _MOST_KEY_BYTES))
    except OSError as error:
        raise UsageError(f"The public key {path} cannot be read: {error.strerror}.", hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path} is not a public key.", why="Signatures cannot be checked without one.", hint=hint
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{path} is not an Ed25519 key.", why="Receipts carry Ed25519 signatures.", hint=hint
        )
    try:
        refuse_weak_key(raw_public_key(key), str(path))
    except VerificationError as error:
        raise UsageError(error.what, why=error.why, hint=error.hint) from error
    return key


def load_public_keys(place: Path) -> list[Ed25519PublicKey]:
    """The Ed25519 public keys of a PEM file, or of all files ``*.pub`` of a folder.

    Raises:
        UsageError: there is none, or one of them is no such key.
    """
    if not place.is_dir():
        return [load_public_key(place)]
    if not (found := [load_public_key(path) for path in sorted(place.glob("*.pub"))]):
        raise UsageError(
            f"The folder {place} has no public key.",
            why="Each is a file *.pub.",
            hint="Name a folder that has some, such as state/fleet/meters, or one file.",
        )
    return found
