"""Changing the keys of a log: each change is an entry of the log, and durable before an old key goes.

The order is such that a crash leaves a log that can go on: the new key is on the disk before the entry that
names it, and the old private key is removed after it. A root key may be the same for several logs.
"""

from __future__ import annotations

__all__ = ["enrol_root", "revoke_key", "rotate_key"]

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import StateError, UsageError
from cryoflux.files import storage_errors, write_atomic
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import (
    KeyRevocation,
    KeyRevocationStatement,
    KeyRoot,
    KeyRootStatement,
    KeyRotation,
    KeyRotationStatement,
    PublicKey,
    subject_of,
)
from cryoflux.receipts.log import ReceiptLog
from cryoflux.signing.keys import (
    KEYS_FOLDER,
    RECEIPT_KEY,
    ROOT_KEY,
    key_id,
    make_successor,
    public_pem,
    successor_name,
)


def _refuse_open_attempt(log: ReceiptLog) -> None:
    waiting: dict[str, int] = {}
    for entry in log.entries():
        if entry.intent is not None:
            waiting[entry.leaf_hash] = entry.index
        elif entry.receipt is not None:
            waiting.pop(entry.receipt.intent, None)
    if waiting:
        raise StateError(
            f"The attempt announced in entry {min(waiting.values())} has no receipt yet.",
            why="An attempt ends under the key that announced it.",
            hint="Type cryoflux run once, which closes it, and then the same command again.",
        )


def _require_root(log: ReceiptLog, root: Ed25519PrivateKey) -> None:
    named = log.authority.root_key
    if named is None:
        raise StateError(
            "This log has named no root key.",
            why="Its first receipt key is its only authority, so nobody may put another in its place.",
            hint="Name one while the receipt key is safe: cryoflux keys init --root FILE",
        )
    if key_id(named) != key_id(root.public_key()):
        raise UsageError(
            f"This is not the root key that the log has named ({key_id(named)[:16]}…).",
            why="Every verifier would refuse the entry.",
            hint="Name the file that cryoflux keys init --root FILE made for this state.",
        )


def enrol_root(log: ReceiptLog, state: Path, root: Ed25519PublicKey, now: str) -> Entry:
    """Name the root key of a log.

    Args:
        log: open, and without a root key.
        state: its state; the public half of the root key is put beside the other keys.
        root: the root key.
        now: UTC wall time, a label.

    Raises:
        StateError: the log has named one, or an attempt is open.
        StorageError: the disk refuses.
    """
    if log.authority.root_key is not None:
        raise StateError(
            f"The root key of this log is {key_id(log.authority.root_key)[:16]}… already.",
            why="It is named once: otherwise whoever steals the receipt key could name another.",
            hint="See cryoflux keys show.",
        )
    _refuse_open_attempt(log)

    def build(sequence: int, prev: str) -> KeyRootStatement:
        said = KeyRoot(sequence=sequence, prev=prev, root=PublicKey.of(root), enrolled_at=now)
        return KeyRootStatement(subject=subject_of(key_id(root)), predicate=said)

    entry = log.append(build)
    write_atomic(state / KEYS_FOLDER / f"{ROOT_KEY}.pub", public_pem(root))
    return entry


def rotate_key(log: ReceiptLog, state: Path, root: Ed25519PrivateKey, reason: str, now: str) -> Entry:
    """Put a new receipt key in the place of the last one, whose private half is then removed.

    Raises:
        StateError: the log has no root key, or an attempt is open.
        UsageError: it has another root key.
        StorageError: the disk refuses.
    """
    _require_root(log, root)
    _refuse_open_attempt(log)
    retired = log.authority.reigns[-1].keyid
    successor = make_successor(state / KEYS_FOLDER).public_key()

    def build(sequence: int, prev: str) -> KeyRotationStatement:
        said = KeyRotation(
            sequence=sequence,
            prev=prev,
            retired=retired,
            successor=PublicKey.of(successor),
            reason=reason,
            rotated_at=now,
        )
        return KeyRotationStatement(subject=subject_of(key_id(successor)), predicate=said)

    entry = log.append(build, root)
    _remove_private_keys(state / KEYS_FOLDER, keep=successor_name(successor))
    return entry


def _remove_private_keys(folder: Path, *, keep: str) -> None:
    for path in sorted(folder.glob(f"{RECEIPT_KEY}*.pem")):
        if path.stem != keep:
            with storage_errors(path):
                path.unlink()


def revoke_key(log: ReceiptLog, root: Ed25519PrivateKey, keyid: str, reason: str, now: str) -> Entry:
    """End a receipt key: nothing that it signs after this entry is valid.

    Args:
        log: open.
        root: its root key.
        keyid: id of the key, or its first digits.
        reason: why, for the log.
        now: UTC wall time, a label.

    Raises:
        StateError: the log has no root key, or an attempt is open.
        UsageError: it has another root key, or no such receipt key.
        StorageError: the disk refuses.
    """
    _require_root(log, root)
    _refuse_open_attempt(log)
    known = [reign.keyid for reign in log.authority.reigns if reign.keyid.startswith(keyid)]
    if len(known) != 1:
        raise UsageError(
            f"No single receipt key of this log has an id that begins with {keyid!r}.",
            why="Only a key that signed here can be revoked here.",
            hint="See cryoflux keys show.",
        )
    (revoked,) = known

    def build(sequence: int, prev: str) -> KeyRevocationStatement:
        said = KeyRevocation(sequence=sequence, prev=prev, revoked=revoked, reason=reason, revoked_at=now)
        return KeyRevocationStatement(subject=subject_of(revoked), predicate=said)

    return log.append(build, root)
