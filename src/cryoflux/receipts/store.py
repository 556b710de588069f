"""Where the exact signed bytes are kept: one append-only SQLite table.

Its transaction is the commit point of the log; tiles and checkpoint follow from it. The columns beside
the envelope only help to find an entry; the envelope is what counts. UPDATE and DELETE are refused by
triggers, and so is an INSERT anywhere but at the end: that stops accidents, not attackers, who are
stopped by hashes and signatures.
"""

from __future__ import annotations

__all__ = ["DATABASE", "Columns", "ReceiptStore", "Row", "columns_of", "read_rows"]

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux import database
from cryoflux.errors import StateTamperedError
from cryoflux.receipts.statement import ReceiptStatement, Statement

DATABASE = "receipts.db"
_VERSION = 1
_SCHEMA = """
CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  task_id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  leaf TEXT NOT NULL UNIQUE,
  envelope BLOB NOT NULL
) STRICT;
CREATE INDEX entries_task ON entries (task_id);
CREATE TRIGGER entries_append BEFORE INSERT ON entries
  WHEN NEW.idx IS NOT (SELECT count(*) FROM entries)
  BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END;
CREATE TRIGGER entries_update BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_delete BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
"""
_TRIGGERS = {"entries_append", "entries_update", "entries_delete"}
_SELECT = "SELECT idx, kind, task_id, outcome, leaf, envelope FROM entries ORDER BY idx"


@dataclass(frozen=True, slots=True)
class Columns:
    """What the table says beside an envelope; only an index."""

    kind: str
    """``intent`` or ``receipt``"""
    task_id: str
    outcome: str
    """of a receipt; empty for an intent"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is stored; nothing about it has been verified."""

    index: int
    columns: Columns | None
    """none where the source has no table (an exported file)"""
    leaf: str | None
    envelope: bytes


def columns_of(statement: Statement) -> Columns:
    """The index columns that belong to a statement."""
    task_id = statement.predicate.task.id
    if isinstance(statement, ReceiptStatement):
        return Columns("receipt", task_id, statement.predicate.outcome.value)
    return Columns("intent", task_id, "")


def _row(values: tuple[Any, ...]) -> Row:
    match values:
        case (int(index), str(kind), str(task_id), str(outcome), str(leaf), bytes(envelope)):
            return Row(index, Columns(kind, task_id, outcome), leaf, envelope)
    raise StateTamperedError(
        f"The database row of entry {values[0]!r} holds values of the wrong types.",
        why="Somebody or something changed it.",
        hint="Restore receipts.db from a backup, or start afresh with --state DIR.",
    )


def _select(connection: sqlite3.Connection, path: Path) -> list[Row]:
    try:
        return [_row(values) for values in connection.execute(_SELECT)]
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise StateTamperedError(
            f"{path} cannot be read: {error}.",
            why="Somebody or something changed it, so what it says is not evidence any more.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        ) from error


def read_rows(path: Path) -> list[Row]:
    """Every row of a database, without changing anything.

    Raises:
        StateTamperedError: it is not such a database, or damaged.
        StorageError: it cannot be opened.
    """
    connection = database.read_only(path)
    try:
        return _select(connection, path)
    finally:
        connection.close()


class ReceiptStore:
    """The database, open for appending."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = database.connect(path, _SCHEMA, _VERSION)
        try:
            self._check_triggers()
        except BaseException:
            self._connection.close()
            raise

    def _check_triggers(self) -> None:
        try:
            rows = self._connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StateTamperedError(f"{self._path} cannot be read: {error}.") from error
        if {name for (name,) in rows} != _TRIGGERS:
            raise StateTamperedError(
                f"{self._path} has lost the triggers that keep it append-only.",
                why="Somebody opened it in order to change entries.",
                hint="Run cryoflux verify to see what changed; restore it from a backup.",
            )

    def rows(self) -> list[Row]:
        """Every row, in order."""
        return _select(self._connection, self._path)

    def append(self, row: Row, columns: Columns) -> None:
        """Add a row; it is on the disk when this returns.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        with database.transaction(self._connection, self._path) as connection:
            connection.execute(
                "INSERT INTO entries (idx, kind, task_id, outcome, leaf, envelope) VALUES (?, ?, ?, ?, ?, ?)",
                (row.index, columns.kind, columns.task_id, columns.outcome, row.leaf, row.envelope),
            )

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
