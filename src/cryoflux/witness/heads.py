"""What a witness remembers: the largest head of every log, in a database that never goes back.

A turn is one transaction: the head is compared and stored in it, and it is on the disk before the turn
ends, so that no cosignature leaves before its head is remembered. Turns come one after the other, also
between processes. Two triggers refuse what the service should never ask for.

``witness.db`` alone holds all of it after each turn: no log lies beside it that a copy could leave behind. It
also names the witness whose memory it is, once and for all, so that another's is not taken for it.
"""

from __future__ import annotations

__all__ = ["DATABASE", "CosignedHead", "Heads", "has_no_memory"]

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryoflux.database import connect, transaction
from cryoflux.digests import sha256_hex
from cryoflux.receipts.checkpoint import Note, VerifierKey, parse_note, parse_verifier_key

DATABASE = "witness.db"
_VERSION = 2
_OWNER = (
    "CREATE TABLE witness (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), key TEXT NOT NULL) STRICT",
    """CREATE TRIGGER witness_stays_itself BEFORE UPDATE ON witness
BEGIN SELECT RAISE(ABORT, 'a memory has one witness'); END""",
    """CREATE TRIGGER witness_is_never_forgotten BEFORE DELETE ON witness
BEGIN SELECT RAISE(ABORT, 'a memory has one witness'); END""",
)
_SCHEMA = f"""
CREATE TABLE heads (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,
    key TEXT NOT NULL,
    time_s INTEGER NOT NULL
) STRICT;
CREATE TRIGGER heads_never_go_back BEFORE UPDATE ON heads
WHEN NEW.origin != OLD.origin OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root != OLD.root)
BEGIN SELECT RAISE(ABORT, 'a head never goes back'); END;
CREATE TRIGGER heads_are_never_forgotten BEFORE DELETE ON heads
BEGIN SELECT RAISE(ABORT, 'a head is never forgotten'); END;
CREATE TABLE logs (origin TEXT PRIMARY KEY, key TEXT NOT NULL) STRICT;
{"; ".join(_OWNER)};
"""
_DATED = "time_s > 0"
"""older versions took what the clock said, and stored times that no cosignature can have"""


@dataclass(frozen=True, slots=True)
class CosignedHead:
    """The largest head of one log that was cosigned."""

    place: int
    """in the order of cosigning: a head that is cosigned later has a larger one"""
    note: Note
    """with the log's signatures alone"""
    time_s: int
    """that the cosignature says, POSIX seconds"""


def has_no_memory(path: Path) -> bool:
    """Whether a file is no memory at all: it is not there, or its tables were never made."""
    if not path.exists():
        return True
    # Opened to write: what a witness that was killed has left beside it belongs to it.
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone() == (0,))
    except sqlite3.Error:  # whoever opens it says what is wrong
        return False


class Heads:
    """The memory of a witness.

    Args:
        folder: where ``witness.db`` is, or will be.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        StateTamperedError: the file is not such a database.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DATABASE
        self._connection = connect(self._path, _SCHEMA, _VERSION, {1: _OWNER}, one_file=True)
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """One after the other; what happens in it is on the disk afterwards, or did not happen.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        with self._lock, transaction(self._connection, self._path) as connection:
            yield connection

    def witness(self) -> VerifierKey | None:
        """The witness whose memory it is; none where an older version made it, or no witness was yet."""
        with self._lock:
            row = self._connection.execute("SELECT key FROM witness").fetchone()
        return parse_verifier_key(row[0]) if row else None

    def belong_to(self, witness: VerifierKey) -> None:
        """Be the memory of a witness for good.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        with self.turn() as connection:
            connection.execute("INSERT OR IGNORE INTO witness VALUES (1, ?)", (str(witness),))

    @staticmethod
    def head(connection: sqlite3.Connection, origin: str) -> tuple[Note, VerifierKey, int] | None:
        """The largest head of a log that was cosigned, the key that signed it, and when it was cosigned."""
        query = "SELECT note, key, time_s FROM heads WHERE origin = ?"
        row = connection.execute(query, (origin,)).fetchone()
        return (parse_note(row[0]), parse_verifier_key(row[1]), row[2]) if row else None

    @staticmethod
    def put(connection: sqlite3.Connection, note: Note, key: VerifierKey, time_s: int) -> None:
        """Remember a head, as the newest of all; one that goes back is refused."""
        point = note.checkpoint
        connection.execute(
            "INSERT INTO heads (rowid, origin, size, root, note, key, time_s) VALUES"
            " ((SELECT coalesce(max(rowid), 0) + 1 FROM heads), ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (origin) DO UPDATE SET rowid = excluded.rowid, size = excluded.size,"
            " root = excluded.root, note = excluded.note, key = excluded.key, time_s = excluded.time_s",
            (point.origin, point.size, point.root, note.content, str(key), time_s),
        )

    def cosigned(self, origin_hash: str) -> CosignedHead | None:
        """The largest head of a log that was cosigned; none where none was.

        Args:
            origin_hash: SHA-256 of the log's origin, 64 lower-case hexadecimal digits.
        """
        with self._lock:
            origins = self._connection.execute("SELECT origin FROM heads").fetchall()
            named = [origin for (origin,) in origins if sha256_hex(origin.encode()) == origin_hash]
            query = f"SELECT rowid, note, time_s FROM heads WHERE origin = ? AND {_DATED}"  # noqa: S608 - constant
            row = self._connection.execute(query, named).fetchone() if named else None
        return CosignedHead(row[0], parse_note(row[1]), row[2]) if row else None

    def cosigned_after(self, place: int, *, most: int, most_bytes: int) -> list[CosignedHead]:
        """Heads that were cosigned behind a place, oldest first.

        Args:
            place: of the last head that is known.
            most: how many.
            most_bytes: of all notes together, unless a single one has more. No more is read than that.
        """
        query = f"SELECT rowid, note, time_s FROM heads WHERE rowid > ? AND {_DATED} ORDER BY rowid LIMIT ?"  # noqa: S608 - constant
        rows: list[tuple[int, bytes, int]] = []
        with self._lock:
            for row in self._connection.execute(query, (place, most)):
                most_bytes -= len(row[1])
                if rows and most_bytes < 0:
                    break
                rows.append(row)
        return [CosignedHead(row[0], parse_note(row[1]), row[2]) for row in rows]

    def empty(self) -> bool:
        """Whether no head was ever remembered."""
        with self._lock:
            return bool(self._connection.execute("SELECT count(*) FROM heads").fetchone() == (0,))

    def logs(self) -> list[VerifierKey]:
        """The logs that were accepted when they first came."""
        with self._lock:
            rows = self._connection.execute("SELECT key FROM logs ORDER BY origin").fetchall()
        return [parse_verifier_key(key) for (key,) in rows]

    def add_log(self, key: VerifierKey, *, most: int) -> bool:
        """Accept a log for good, unless its origin is known or there are ``most`` of them."""
        with self.turn() as connection:
            (count,) = connection.execute("SELECT count(*) FROM logs").fetchone()
            if count >= most:
                return False
            values = (key.name, str(key))
            added = connection.execute("INSERT OR IGNORE INTO logs VALUES (?, ?)", values)
            return bool(added.rowcount == 1)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
