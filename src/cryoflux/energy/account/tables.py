"""The tables of the joule account in every format that there has been, and whether a file has them.

Format 2 lets small credits gather in one row, `pending`. Format 3 names with each reservation the receipt log
that it is an attempt of. Format 4 keeps the sums of its entries by kind, so that nobody has to add them up to
know how many reservations are open. Format 5 names the announcement as well. Who only reads, reads all of
them; a meter brings an older account up to date.
"""

from __future__ import annotations

__all__ = ["SCHEMAS", "UPGRADES", "VERSION", "missing_or_changed", "require_account", "version_of"]

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from cryoflux.errors import StateError, StateTamperedError

VERSION = 5

# Two processes may open a new account at once, so each statement can be run twice. An account is
# compared with this text when it is opened (`missing_or_changed`): another text needs another VERSION.
_FIRST = """
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('opening', 'grant', 'credit', 'take', 'settle', 'release')),
  request_id TEXT UNIQUE,
  reservation TEXT,
  balance_change_uj INTEGER NOT NULL,
  reserved_change_uj INTEGER NOT NULL,
  balance_uj INTEGER NOT NULL,
  reserved_uj INTEGER NOT NULL CHECK (reserved_uj >= 0),
  lo_uj INTEGER,
  hi_uj INTEGER,
  tier TEXT,
  at TEXT NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS reservations (
  id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL UNIQUE,
  reserved_uj INTEGER NOT NULL CHECK (reserved_uj > 0),
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'released')),
  pid INTEGER,
  start_ticks INTEGER,
  boot_id TEXT,
  charge TEXT,
  noted_ns INTEGER NOT NULL,
  noted_boot TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_reservations ON reservations (state) WHERE state = 'open';
CREATE TRIGGER IF NOT EXISTS entries_are_final_update BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are final'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_final_delete BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are final'); END;
INSERT INTO entries
  (kind, request_id, balance_change_uj, reserved_change_uj, balance_uj, reserved_uj, at, note)
  SELECT 'opening', 'opening', 0, 0, 0, 0, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ''
  WHERE NOT EXISTS (SELECT 1 FROM entries);
"""
_SECOND = (
    """CREATE TABLE IF NOT EXISTS pending (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  uj INTEGER NOT NULL,
  lo_uj INTEGER NOT NULL CHECK (lo_uj <= uj),
  hi_uj INTEGER NOT NULL CHECK (hi_uj >= uj),
  tier TEXT NOT NULL,
  flags TEXT NOT NULL,
  since TEXT NOT NULL,
  readings INTEGER NOT NULL CHECK (readings >= 0)
) STRICT""",
    """CREATE TRIGGER IF NOT EXISTS pending_stays BEFORE DELETE ON pending
  BEGIN SELECT RAISE(ABORT, 'pending credit becomes an entry'); END""",
    "INSERT OR IGNORE INTO pending VALUES (1, 0, 0, 0, '', '', '', 0)",
    "CREATE TABLE IF NOT EXISTS sources (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    """INSERT OR IGNORE INTO sources SELECT DISTINCT value FROM reservations, json_each(charge, '$.sources')
  WHERE state = 'settled'""",
)
# As SQLite writes a column down that is added to a table later: an upgraded account has the same text.
_LOG = "log TEXT NOT NULL DEFAULT ''"
_LAST_COLUMN = "  noted_boot TEXT NOT NULL\n"
_FINAL_LOG = """CREATE TRIGGER IF NOT EXISTS log_is_final BEFORE UPDATE OF log ON reservations
  BEGIN SELECT RAISE(ABORT, 'the log of a reservation is final'); END"""
_THIRD = (f"ALTER TABLE reservations ADD COLUMN {_LOG}", _FINAL_LOG)
# Kept by a trigger, in the transaction of the entry: there is no way to add an entry that is not in them.
_FOURTH = (
    """CREATE TABLE IF NOT EXISTS sums (
  kind TEXT PRIMARY KEY,
  entries INTEGER NOT NULL,
  balance_uj INTEGER NOT NULL,
  reserved_uj INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    """INSERT OR IGNORE INTO sums
  SELECT kind, count(*), sum(balance_change_uj), sum(reserved_change_uj) FROM entries GROUP BY kind""",
    """CREATE TRIGGER IF NOT EXISTS entries_are_summed AFTER INSERT ON entries BEGIN
  INSERT INTO sums VALUES (NEW.kind, 1, NEW.balance_change_uj, NEW.reserved_change_uj)
  ON CONFLICT (kind) DO UPDATE SET entries = entries + 1,
    balance_uj = balance_uj + excluded.balance_uj, reserved_uj = reserved_uj + excluded.reserved_uj;
END""",
    """CREATE INDEX IF NOT EXISTS open_of_processes ON reservations (boot_id)
  WHERE state = 'open' AND pid IS NOT NULL""",
)


_INTENT = "intent TEXT NOT NULL DEFAULT ''"
_FINAL_INTENT = """CREATE TRIGGER IF NOT EXISTS intent_is_final BEFORE UPDATE OF intent ON reservations
  BEGIN SELECT RAISE(ABORT, 'the intent of a reservation is final'); END"""
_FIFTH = (f"ALTER TABLE reservations ADD COLUMN {_INTENT}", _FINAL_INTENT)


def _script(first: str, *statements: str) -> str:
    return f"{first}{'; '.join(statements)};"


_WITH_LOG = _FIRST.replace(_LAST_COLUMN, f"{_LAST_COLUMN}, {_LOG}")
_WITH_INTENT = _FIRST.replace(_LAST_COLUMN, f"{_LAST_COLUMN}, {_LOG}, {_INTENT}")
SCHEMAS = {
    1: _FIRST,
    2: _script(_FIRST, *_SECOND),
    3: _script(_WITH_LOG, *_SECOND, _FINAL_LOG),
    4: _script(_WITH_LOG, *_SECOND, _FINAL_LOG, *_FOURTH),
    VERSION: _script(_WITH_INTENT, *_SECOND, _FINAL_LOG, *_FOURTH, _FINAL_INTENT),
}
"""By format: the statements that make its tables."""
_UPGRADES = {2: _SECOND, 3: _THIRD, 4: _FOURTH, 5: _FIFTH}
UPGRADES = {
    old: tuple(statement for new, steps in _UPGRADES.items() if new > old for statement in steps)
    for old in range(1, VERSION)
}
"""By an older format: the statements that make the newest one of it."""

_SCHEMA_ROWS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def version_of(connection: sqlite3.Connection) -> int:
    """The format that a database says to have."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _schema(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    return {(kind, name): " ".join(str(sql).split()) for kind, name, sql in connection.execute(_SCHEMA_ROWS)}


@cache
def _expected_schema(version: int) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMAS[version])
        return _schema(empty)


def require_account(connection: sqlite3.Connection, path: Path, *, new: bool = False) -> int:
    """Refuse a file that is not a joule account, whatever its entries say.

    Args:
        connection: open on ``path``.
        path: the file, for the message.
        new: an empty database will do too.

    Returns:
        The format of its tables; 0 for an empty database.

    Raises:
        StateError: a later version of CryoFlux wrote it.
        StateTamperedError: it is something else.
    """
    try:
        version = version_of(connection)
        found = _schema(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _no_account(path) from error
    if new and not found and not version:
        return version
    if version and version not in SCHEMAS and ("table", "entries") in found:
        raise StateError(
            f"{path} has format {version}; this CryoFlux reads formats 1 to {VERSION}.",
            why="Guessing at another format could lose entries.",
            hint="Use the CryoFlux version that wrote it, or start afresh with --state DIR.",
        )
    if version not in SCHEMAS or any(
        found.get(key) != sql for key, sql in _expected_schema(version).items() if key[0] == "table"
    ):
        raise _no_account(path)
    return version


def _no_account(path: Path) -> StateTamperedError:
    return StateTamperedError(
        f"{path} is not a joule account.",
        why="It is empty, or something else was put in its place, so it says nothing about joules.",
        hint="Restore account.db from a backup, or start afresh with --state DIR.",
    )


def missing_or_changed(connection: sqlite3.Connection) -> str:
    """The first table, index or trigger that is not as it was made; empty where all are."""
    found, expected = _schema(connection), _expected_schema(version_of(connection))
    for kind, name in sorted(expected.keys() | found.keys()):
        if (kind, name) not in found:
            return f"the {kind} {name} is missing"
        if found[kind, name] != expected.get((kind, name)):
            return f"the {kind} {name} is not as it was made"
    return ""
