"""Where the exact signed bytes are kept: one append-only SQLite table.

Its transaction is the commit point of the log; tiles and checkpoint follow from it. The columns beside
the envelope only help to find an entry; the envelope is what counts. UPDATE and DELETE are refused by
triggers, and so is an INSERT anywhere but at the end: that stops accidents, not attackers, who are
stopped by hashes and signatures.
"""

from __future__ import annotations

__all__ = ["DATABASE", "Columns", "ReceiptStore", "Row", "StoredRows", "columns_of", "is_blank"]

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, overload

from msgspec import Struct

from cryoflux import database
from cryoflux.errors import StateTamperedError
from cryoflux.receipts.contract_statement import ContractResultStatement
from cryoflux.receipts.entry import AnyStatement, kind_of
from cryoflux.receipts.network_statement import RoundIntentStatement, RoundStatement
from cryoflux.receipts.statement import IntentStatement, JudgementStatement, ReceiptStatement

DATABASE = "receipts.db"
_VERSION = 1
_WAL_PAGES = 50
_APPEND = """CREATE TRIGGER entries_append BEFORE INSERT ON entries
  WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM entries)
  BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END"""
_TABLE = """CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  task_id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  leaf TEXT NOT NULL UNIQUE,
  envelope BLOB NOT NULL
) STRICT"""
_SCHEMA = f"""
{_TABLE};
CREATE INDEX entries_task ON entries (task_id);
{_APPEND};
CREATE TRIGGER entries_update BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_delete BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
"""
_TRIGGERS = {"entries_append", "entries_update", "entries_delete"}
_TYPES = [int, str, str, str, str, bytes]
_SELECT = "SELECT idx, kind, task_id, outcome, leaf, envelope FROM entries WHERE idx >= ? ORDER BY idx"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM entries LIMIT ?)"
"""so many rows at most: pages that lead to the same page again have more of them than anybody can count"""
_HIDDEN = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE idx < 0 LIMIT ?)"
_SHORTEST_ROW = 100
"""bytes; the leaf hash alone has 64"""
_MOST_IN_WAL = 1_000_000
"""rows that may be in the write-ahead log"""
_HASHED = "SELECT idx, leaf, envelope FROM entries WHERE idx >= 0 AND idx < ? ORDER BY idx"
_HASHED_TYPES = [int, str, bytes]
_SELECT_ONE = "SELECT idx, kind, task_id, outcome, leaf, envelope FROM entries WHERE idx = ?"


class Columns(Struct, frozen=True):
    """What the table says beside an envelope; only an index."""

    kind: str
    """what it is, as `Kind` names it"""
    task_id: str
    """of an attempt or a round; empty for anything else"""
    outcome: str
    """of a receipt, a judgement, a round or what came of a contract; empty for anything else"""


class Row(Struct, frozen=True):
    """One row as it is stored; nothing about it has been verified."""

    index: int
    columns: Columns | None
    """none where the source has no table (an exported file)"""
    leaf: str | None
    envelope: bytes
    lost: str | None = None
    """of one that is not here: why it cannot be read, empty where the table lacks it; none for all others"""


def columns_of(statement: AnyStatement) -> Columns:
    """The index columns that belong to a statement."""
    kind, task, outcome = kind_of(statement).value, "", ""
    if isinstance(statement, IntentStatement | ReceiptStatement):
        task = statement.predicate.task.id
    elif isinstance(statement, RoundIntentStatement | RoundStatement):
        task = statement.predicate.id
    if isinstance(statement, ReceiptStatement | JudgementStatement | RoundStatement):
        outcome = statement.predicate.outcome.value
    elif isinstance(statement, ContractResultStatement):
        outcome = statement.predicate.standing.value
    return Columns(kind, task, outcome)


def _row(values: tuple[Any, ...]) -> Row:
    if [*map(type, values)] != _TYPES:
        raise StateTamperedError(
            f"The database row of entry {values[0]!r} holds values of the wrong types.",
            why="Somebody or something changed it.",
            hint="Restore receipts.db from a backup, or start afresh with --state DIR.",
        )
    index, kind, task_id, outcome, leaf, envelope = values
    return Row(index, Columns(kind, task_id, outcome), leaf, envelope)


def _remains(values: tuple[Any, ...]) -> Row:
    """A row, or what is left of it: the envelope is what counts, and the columns are held against it."""
    if [*map(type, values)] == _TYPES:
        return _row(values)
    index, *texts, envelope = values
    if not isinstance(envelope, bytes):
        return Row(index, None, None, b"", "its row holds values of the wrong types")
    kind, task_id, outcome, leaf = (text if isinstance(text, str) else "" for text in texts)
    return Row(index, Columns(kind, task_id, outcome), leaf, envelope)


def _tampered(path: Path, what: object) -> StateTamperedError:
    return StateTamperedError(
        f"{path} cannot be read: {what}.",
        why="Somebody or something changed it, so what it says is not evidence any more.",
        hint="Restore it from a backup, or start afresh with --state DIR.",
    )


def _select(connection: sqlite3.Connection, path: Path, start: int = 0) -> Iterator[Row]:
    before = start - 1
    try:
        for values in connection.execute(_SELECT, (start,)):
            row = _row(values)
            if row.index <= before:  # pages that lead to each other in a circle have rows without end
                raise _tampered(path, "its rows are not in order")
            before = row.index
            yield row
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise _tampered(path, error) from error


class _Reading:
    """One way through the rows of a database that may be damaged.

    Args:
        connection: to it.
        path: its file.
        size: how many rows it says that it has.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, size: int) -> None:
        self._connection, self._path = connection, path
        self._place, self._places, self._wrong = 0, size, ""
        with suppress(sqlite3.Error):  # a row with a negative number has no place in a log
            hidden = connection.execute("SELECT count(*) FROM entries WHERE idx < 0").fetchone()[0]
            self._places -= int(hidden)

    def rows(self) -> Iterator[Row]:
        """As `StoredRows` gives them."""
        while self._place < self._places:  # each turn reads on until something is wrong
            lost = ""
            try:
                yield from self._in_order()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                self._wrong = self._wrong or str(error)
                if self._connection.text_factory is str:
                    # The driver gives no row with a text that is none. From here on it is just another text.
                    self._connection.text_factory = partial(str, encoding="utf-8", errors="replace")
                    continue
                lost = str(error)
            if self._place < self._places:
                self._wrong = self._wrong or "it holds fewer rows than its index"
                yield self._alone(lost)
                self._place += 1
        if self._wrong:
            raise _tampered(self._path, self._wrong)
        yield from _select(self._connection, self._path, self._place)

    def _in_order(self) -> Iterator[Row]:
        """The rows from here on, until one is missing."""
        held = None
        for values in self._connection.execute(_SELECT, (self._place,)):
            if held is not None:
                if values[0] != self._place + 1:
                    return
                yield _remains(held)  # only its number is another one, as the row after it shows
                held, self._place = None, self._place + 1
            if values[0] == self._place:
                yield _remains(values)
                self._place += 1
            else:
                held, self._wrong = values, self._wrong or "its rows are not in order"
        if held is not None and self._place + 1 == self._places:
            yield _remains(held)
            self._place += 1

    def _alone(self, lost: str) -> Row:
        """The row that is due, looked up by its number: for that its neighbours need not be whole."""
        try:
            values = self._connection.execute(_SELECT_ONE, (self._place,)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return Row(self._place, None, None, b"", str(error))
        return Row(self._place, None, None, b"", lost) if values is None else _remains(values)


def is_blank(path: Path) -> bool:
    """Whether a database has no table at all yet: a run is about to make its log.

    Raises:
        StateTamperedError: it is no database, or damaged.
        StorageError: it cannot be opened.
    """
    with closing(database.read_only(path)) as connection:
        try:
            return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StateTamperedError(f"{path} cannot be read: {error}.") from error


class StoredRows(Sequence[Row]):
    """The rows of a database as they were when it was opened, read when they are asked for.

    Raises:
        StateTamperedError: it is not such a database, or damaged.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = database.read_only(path)
        try:
            self._connection.execute("BEGIN")  # what is written from now on is not seen
            self._check_table()
            most = path.stat().st_size // _SHORTEST_ROW + _MOST_IN_WAL
            found = self._connection.execute(_COUNT, (most,)).fetchone()[0]
            if found == most:
                raise sqlite3.DatabaseError("it has more rows than its file has room for")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._connection.close()
            raise StateTamperedError(f"{path} cannot be read: {error}.") from error
        self._size = int(found)

    def _check_table(self) -> None:
        # A view, or a column that is computed, can have rows without end, or other ones each time.
        query = "SELECT sql FROM sqlite_schema WHERE name = 'entries'"
        found = self._connection.execute(query).fetchall()
        if [" ".join(str(sql).split()) for (sql,) in found] != [" ".join(_TABLE.split())]:
            raise sqlite3.DatabaseError("the table entries is not as it was made")

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Row]:
        """Every row in its place; damage does not end it: what is lost says why, and the next ones follow.

        Raises:
            StateTamperedError: something was damaged; only after all that can be read.
        """
        return _Reading(self._connection, self._path, self._size).rows()

    def since(self, start: int) -> Iterator[Row]:
        """The rows from one on, in order, up to the first that is damaged.

        Raises:
            StateTamperedError: there is one.
        """
        return _select(self._connection, self._path, start)

    def hashed(self, end: int) -> Iterator[tuple[int, str, bytes]]:
        """Index, leaf hash and envelope of the rows before one, in order, up to the first that is damaged.

        Raises:
            StateTamperedError: there is one.
        """
        try:
            for values in self._connection.execute(_HASHED, (end,)):
                if [*map(type, values)] != _HASHED_TYPES:
                    raise _tampered(self._path, f"entry {values[0]!r} holds values of the wrong types")
                yield values
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _tampered(self._path, error) from error

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        wanted = index + self._size if index < 0 else index
        row = next(_select(self._connection, self._path, wanted), None)
        if row is None or row.index != wanted:
            raise IndexError(index)
        return row

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


class ReceiptStore:
    """The database, open for appending."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = database.connect(path, _SCHEMA, _VERSION)
        try:
            # Pages moved from the write-ahead log a few at a time: an append then waits for few of them. With
            # the usual 1,000, one append in a hundred took ten times as long as the others.
            self._connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            self._check_triggers()
        except BaseException:
            self._connection.close()
            raise

    def _check_triggers(self) -> None:
        try:
            found = dict(
                self._connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            )
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StateTamperedError(f"{self._path} cannot be read: {error}.") from error
        if set(found) != _TRIGGERS:
            raise StateTamperedError(
                f"{self._path} has lost the triggers that keep it append-only.",
                why="Somebody opened it in order to change entries.",
                hint="Run cryoflux verify to see what changed; restore it from a backup.",
            )
        if found["entries_append"] != _APPEND:
            self._renew_append_trigger()

    def _renew_append_trigger(self) -> None:
        # The first version counted all rows at each append, which a long log pays for.
        with database.transaction(self._connection, self._path) as connection:
            connection.execute("DROP TRIGGER entries_append")
            connection.execute(_APPEND)

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Every row from ``start`` on, in order, one at a time: a long log does not fit into memory.

        Raises:
            StateTamperedError: the database is damaged.
        """
        return _select(self._connection, self._path, start)

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
