"""The receipt log of one state: appends entries, and repairs whatever a crash left half done.

An append is sign → commit to the database → tiles → checkpoint. The database is the commit point: a
crash before it leaves nothing, a crash after it leaves tiles and checkpoint behind the database, and the
next opening derives them again. Opening trusts nothing: every envelope is parsed and its signature, its
place in the chain and its leaf hash are checked, and the log has to continue the signed checkpoint.
"""

from __future__ import annotations

__all__ = ["CHECKPOINT", "LOG_FOLDER", "ReceiptLog"]

from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateTamperedError, VerificationError
from cryoflux.files import write_atomic
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, parse_checkpoint, sign_checkpoint
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.statement import ZERO_HASH, Statement
from cryoflux.receipts.store import DATABASE, ReceiptStore, Row, columns_of
from cryoflux.receipts.tiles import TileTree, publish_tiles, remove_superseded
from cryoflux.signing.envelope import sign_document, verify
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, RECEIPT_KEY, load_key

LOG_FOLDER = "log"
CHECKPOINT = "checkpoint"


def _tampered(what: str) -> StateTamperedError:
    return StateTamperedError(
        what,
        why="The log is not what was signed, so adding to it would vouch for the change.",
        hint="Run cryoflux verify to see what changed; restore a backup, or use another --state DIR.",
    )


class ReceiptLog:
    """The log, open for appending by one process; the caller holds the lock of the state."""

    def __init__(self, state: Path, store: ReceiptStore, rows: list[Row]) -> None:
        folder = state / KEYS_FOLDER
        self._store = store
        self._receipt_key = load_key(folder, RECEIPT_KEY, create=not rows)
        self._log_key: Ed25519PrivateKey = load_key(folder, LOG_KEY, create=not rows)
        self._folder = state / LOG_FOLDER
        self._head = ZERO_HASH
        self._tree = TileTree()
        for row in rows:
            self._check(row)
            self._tree.append(row.envelope)
        self._published = self._check_checkpoint()
        self._publish(start=0)

    @classmethod
    def open(cls, state: Path) -> ReceiptLog:
        """Open the log of a state directory, making it and its keys on first use.

        Raises:
            StateTamperedError: it is not what was signed.
            StateError: a key is missing, or readable by others.
            StorageError: the disk is full, read-only, or refuses.
        """
        store = ReceiptStore(state / DATABASE)
        try:
            return cls(state, store, store.rows())
        except BaseException:
            store.close()
            raise

    def _check(self, row: Row) -> None:
        index = self._tree.size
        try:
            entry = parse_entry(index, row.envelope)
        except VerificationError as error:
            raise _tampered(f"Entry {index} of the log is damaged: {error.what}") from error
        said = entry.statement.predicate
        if row.leaf != entry.leaf_hash or row.columns != columns_of(entry.statement):
            raise _tampered(f"Entry {index} of the log is not the one that was stored.")
        if (row.index, said.sequence, said.prev) != (index, index, self._head):
            raise _tampered(f"Entry {index} of the log does not follow the one before it.")
        if not verify(entry.signed, self._receipt_key.public_key()):
            raise _tampered(f"Entry {index} of the log was not signed by this state's key.")
        self._head = entry.leaf_hash

    def _check_checkpoint(self) -> bytes:
        """The checkpoint on the disk, once it is known to be one of this log."""
        path = self._folder / CHECKPOINT
        if not path.is_file():
            if self._tree.size:
                raise _tampered(f"The checkpoint {path} is missing.")
            return b""
        note = path.read_bytes()
        try:
            found = parse_checkpoint(note, self._log_key.public_key())
        except VerificationError as error:
            raise _tampered(f"{path}: {error.what}") from error
        if found.size > self._tree.size:
            raise _tampered(
                f"The checkpoint covers {found.size} entries, but the database has {self._tree.size}."
            )
        if found != self._checkpoint(found.size):
            raise _tampered(f"The checkpoint {path} is of another log.")
        return note

    def _checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin_of(self._receipt_key.public_key()), size, self._tree.root(size))

    def _publish(self, *, start: int) -> None:
        publish_tiles(self._folder, self._tree, start=start)
        note = sign_checkpoint(self._checkpoint(self._tree.size), self._log_key)
        if note != self._published:
            write_atomic(self._folder / CHECKPOINT, note)
            self._published = note
        remove_superseded(self._folder, self._tree, start=start)

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._tree.size

    @property
    def head_hash(self) -> str:
        """Leaf hash of the last entry, or 64 zeros."""
        return self._head

    def append(self, build: Callable[[int, str], Statement]) -> Entry:
        """Sign and store the next entry.

        Args:
            build: makes the statement from its sequence number and the hash of the entry before it.

        Raises:
            StorageError: the disk refuses. Where the entry itself is stored already, ``size`` has grown,
                and the next opening completes the rest.
            VerificationError: the statement cannot be a log entry.
        """
        index, prev = self.size, self._head
        statement = build(index, prev)
        if (statement.predicate.sequence, statement.predicate.prev) != (index, prev):
            raise ValueError(f"the statement does not take its place in the log as entry {index}")
        entry = parse_entry(index, sign_document(statement, self._receipt_key))
        row = Row(index, columns_of(statement), entry.leaf_hash, entry.envelope)
        self._store.append(row, columns_of(statement))
        self._tree.append(entry.envelope)
        self._head = entry.leaf_hash
        self._publish(start=index)
        return entry

    def entries(self) -> Iterator[Entry]:
        """Every entry, in order."""
        for index, envelope in enumerate(tuple(self._tree.entries)):
            yield parse_entry(index, envelope)

    def close(self) -> None:
        """Close the database."""
        self._store.close()
