"""The receipt log of one state: appends entries, and repairs whatever a crash left half done.

An append is sign → commit to the database → tiles → checkpoint. The database is the commit point: a
crash before it leaves nothing, a crash after it leaves tiles and checkpoint behind the database, and the
next opening derives them again.

Opening reads every envelope and hashes it, and the root has to be the one of the signed checkpoint, so not
one stored byte can have changed. What the checkpoint covers was parsed and its signatures checked when it
was appended, by the one who signed the checkpoint, so that is not done again, but for the newest 256
entries and whatever no checkpoint covers. Whoever holds the log key could sign a checkpoint over anything;
they could add anything as well. `cryoflux verify` looks at everything, and trusts no checkpoint.

The first entry vouches for the log key, whatever else it says: see `cryoflux.receipts.log_key`.
"""

from __future__ import annotations

__all__ = ["CHECKPOINT", "LOG_FOLDER", "ReceiptLog"]

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateError, StateTamperedError, VerificationError
from cryoflux.files import read_beginning, write_atomic
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    origin_of,
    parse_checkpoint,
    sign_checkpoint,
)
from cryoflux.receipts.decoding import NewerFormatError
from cryoflux.receipts.entry import AnyStatement, Entry, Kind, parse_entry
from cryoflux.receipts.log_key import log_key_complaint, refuse_other_log_key, with_log_key
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import ZERO_HASH
from cryoflux.receipts.store import DATABASE, ReceiptStore, Row, columns_of
from cryoflux.receipts.tiles import TILE_WIDTH, Edge, Tile, bundle, publish_tiles, remove_superseded
from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import (
    KEYS_FOLDER,
    LOG_KEY,
    RECEIPT_KEY,
    key_id,
    load_first_public,
    load_key,
    successor_name,
)

LOG_FOLDER = "log"
CHECKPOINT = "checkpoint"
_NEWEST = 256
"""entries at the end that an opening parses and checks in full, whatever covers them"""


def _tampered(what: str) -> StateTamperedError:
    return StateTamperedError(
        what,
        why="The log is not what was signed, so adding to it would vouch for the change.",
        hint="Run cryoflux verify to see what changed; restore a backup, or use another --state DIR.",
    )


def _revoked() -> StateError:
    return StateError(
        "The receipt key of this state is revoked.",
        why="Nothing that it signs would be valid.",
        hint="Name a new one with the root key: cryoflux keys rotate --root FILE",
    )


class ReceiptLog:
    """The log, open for appending by one process; the caller holds the lock of the state."""

    def __init__(self, state: Path, store: ReceiptStore) -> None:
        self._keys = state / KEYS_FOLDER
        self._folder = state / LOG_FOLDER
        self._store = store
        rows = store.rows()
        first = next(rows, None)
        public = load_first_public(self._keys, create=first is None)
        self._log_key: Ed25519PrivateKey = load_key(self._keys, LOG_KEY, create=first is None)
        self._origin = origin_of(public)
        self._first = public
        self._authority = Authority(public)
        self._head = ZERO_HASH
        self._edge = Edge()
        self._recent: list[bytes] = []
        self._note, covered = self._read_checkpoint(empty=first is None)
        self._replay(rows if first is None else chain([first], rows), covered)
        self._publish([])
        self._signer = self._load_signer()

    @classmethod
    def open(cls, state: Path) -> ReceiptLog:
        """Open the log of a state directory, making it and its keys on first use.

        Raises:
            StateTamperedError: it is not what was signed.
            StateError: a key is missing, or readable by others, or a newer version wrote an entry.
            StorageError: the disk is full, read-only, or refuses.
        """
        store = ReceiptStore(state / DATABASE)
        try:
            return cls(state, store)
        except BaseException:
            store.close()
            raise

    def _read_checkpoint(self, *, empty: bool) -> tuple[bytes, Checkpoint]:
        """The checkpoint on the disk, and what it says; whether that is so is not known yet."""
        path = self._folder / CHECKPOINT
        if not path.is_file():
            if not empty:
                raise _tampered(f"The checkpoint {path} is missing.")
            return b"", Checkpoint(self._origin, 0, self._edge.root())
        note = read_beginning(path, MAX_NOTE_BYTES + 1)
        try:
            found = parse_checkpoint(note, self._log_key.public_key())
        except VerificationError as error:
            raise _tampered(f"{path}: {error.what}") from error
        if found.origin != self._origin:
            raise _tampered(f"The checkpoint {path} is of another log.")
        return note, found

    def _replay(self, rows: Iterable[Row], covered: Checkpoint) -> None:
        self._compare(covered)
        for row in rows:
            leaf = leaf_hash(row.envelope)
            if (row.index, row.leaf) != (self._edge.size, leaf.hex()):
                raise _tampered(f"Entry {self._edge.size} of the log is not the one that was stored.")
            is_key = row.columns is not None and row.columns.kind == Kind.KEY
            if row.index == 0 or is_key or row.index >= covered.size - _NEWEST:
                self._check(row)
            self._head = leaf.hex()
            self._settle(self._grow(row.envelope, leaf))
            self._compare(covered)
        if covered.size > self._edge.size:
            raise _tampered(
                f"The checkpoint covers {covered.size} entries, but the database has {self._edge.size}."
            )

    def _compare(self, covered: Checkpoint) -> None:
        if covered.size == self._edge.size and covered.root != self._edge.root():
            raise _tampered(f"The checkpoint {self._folder / CHECKPOINT} is of another log.")

    def _check(self, row: Row) -> None:
        index = row.index
        try:
            entry = parse_entry(index, row.envelope)
        except NewerFormatError as error:
            raise StateError(error.what, why="This version cannot go on with it.", hint=error.hint) from error
        except VerificationError as error:
            raise _tampered(f"Entry {index} of the log is damaged: {error.what}") from error
        said = entry.statement.predicate
        if row.columns != columns_of(entry.statement):
            raise _tampered(f"Entry {index} of the log is not the one that was stored.")
        if said.sequence != index or said.prev != self._head:
            raise _tampered(f"Entry {index} of the log does not follow the one before it.")
        if complaint := log_key_complaint(entry) or self._authority.admit(entry):
            raise _tampered(f"Entry {index} of the log: {complaint}.")
        refuse_other_log_key(entry, self._log_key.public_key())

    def _grow(self, envelope: bytes, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Take an entry into the tree; the tiles that this has completed."""
        completed = self._edge.append(leaf)
        self._recent.append(envelope)
        if completed:
            completed.insert(0, bundle(self._edge.size // TILE_WIDTH - 1, self._recent))
            self._recent = []
        return completed

    def _settle(self, completed: list[tuple[Tile, bytes]]) -> None:
        publish_tiles(self._folder, completed)
        remove_superseded(self._folder, (tile for tile, _ in completed))

    def _publish(self, completed: list[tuple[Tile, bytes]]) -> None:
        tiles = [*completed, *self._edge.partial()]
        if self._recent:
            tiles.append(bundle(self._edge.size // TILE_WIDTH, self._recent))
        publish_tiles(self._folder, tiles)
        head = Checkpoint(self._origin, self._edge.size, self._edge.root())
        if not self._note.startswith(head.text + b"\n"):  # what witnesses added to it stays
            note = sign_checkpoint(head, self._log_key)
            write_atomic(self._folder / CHECKPOINT, note)
            self._note = note
        remove_superseded(self._folder, (tile for tile, _ in tiles))

    def _load_signer(self) -> Ed25519PrivateKey | None:
        key = self._authority.receipt_key
        if key is None:
            return None
        name = RECEIPT_KEY if key_id(key) == key_id(self._first) else successor_name(key)
        found = load_key(self._keys, name, create=False)
        if key_id(found.public_key()) != key_id(key):
            raise _tampered(f"The private key {name}.pem is not the one that the log names.")
        return found

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._edge.size

    @property
    def origin(self) -> str:
        """The name of the log, which its checkpoint carries."""
        return self._origin

    @property
    def head_hash(self) -> str:
        """Leaf hash of the last entry, or 64 zeros."""
        return self._head

    @property
    def authority(self) -> Authority:
        """The keys that are valid now, and those that were."""
        return self._authority

    def append(
        self,
        build: Callable[[int, str], AnyStatement],
        root: Ed25519PrivateKey | None = None,
    ) -> Entry:
        """Sign and store the next entry.

        Args:
            build: makes the statement from its sequence number and the hash of the entry before it.
            root: signs an entry about a key; the receipt key signs where it is none.

        The first entry has one subject more than it was built with, which vouches for the log key.

        Raises:
            StorageError: the disk refuses. Where the entry itself is stored already, ``size`` has grown,
                and the next opening completes the rest.
            StateError: the receipt key is revoked.
            UsageError: it says what an entry cannot hold.
            VerificationError: the statement cannot be a log entry.
        """
        if (signer := root or self._signer) is None:
            raise _revoked()
        index, prev = self.size, self._head
        statement = build(index, prev)
        if (statement.predicate.sequence, statement.predicate.prev) != (index, prev):
            raise ValueError(f"the statement does not take its place in the log as entry {index}")
        if not index:
            statement = with_log_key(statement, self._log_key.public_key())
        entry = parse_entry(index, sign_document(statement, signer))
        if complaint := log_key_complaint(entry) or self._authority.admit(entry):
            raise VerificationError(f"This entry would not be valid in the log: {complaint}.")
        row = Row(index, columns_of(statement), entry.leaf_hash, entry.envelope)
        self._store.append(row, columns_of(statement))
        completed = self._grow(entry.envelope, bytes.fromhex(entry.leaf_hash))
        self._head = entry.leaf_hash
        self._publish(completed)
        if entry.kind is Kind.KEY:
            self._signer = self._load_signer()
        return entry

    def entries(self) -> Iterator[Entry]:
        """Every entry, in order."""
        return self.tail(self.size)

    def tail(self, count: int) -> Iterator[Entry]:
        """The last ``count`` entries, in order."""
        for row in self._store.rows(max(0, self.size - count)):
            yield parse_entry(row.index, row.envelope)

    def close(self) -> None:
        """Close the database."""
        self._store.close()
