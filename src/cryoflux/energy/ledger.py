"""The tables of the joule account, and how to read them.

Entries are only ever added; triggers refuse anything else. Each entry changes two accounts, the
balance and what is reserved of it, and carries both as they stand after it, so that the account's
state is its last entry and the identity can be checked by adding up.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "VERSION", "Identity", "LedgerEntry", "identity", "read_entries"]

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

VERSION = 1

# Two processes may open a new account at once, so each statement can be run twice. An account is
# compared with this text when it is opened (energy.audit): another text needs another VERSION.
SCHEMA = """
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


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the account."""

    seq: int
    kind: str
    request_id: str | None
    reservation: str | None
    balance_change_uj: int
    reserved_change_uj: int
    balance_uj: int
    """after this entry"""
    reserved_uj: int
    """after this entry"""
    lo_uj: int | None
    """of a credit or a settlement: the lower end of its energy"""
    hi_uj: int | None
    tier: str | None
    at: str
    """UTC wall time; a label"""
    note: str


def read_entries(connection: sqlite3.Connection) -> Iterator[LedgerEntry]:
    """All entries, oldest first."""
    columns = "seq,kind,request_id,reservation,balance_change_uj,reserved_change_uj,"
    columns += "balance_uj,reserved_uj,lo_uj,hi_uj,tier,at,note"
    for row in connection.execute(f"SELECT {columns} FROM entries ORDER BY seq"):  # noqa: S608
        yield LedgerEntry(*row)


@dataclass(frozen=True, slots=True)
class Identity:
    """``balance = opening + grants + net credited − settled``, added up from the entries."""

    opening_uj: int
    granted_uj: int
    credited_uj: int
    settled_uj: int
    balance_uj: int
    """as the last entry says"""
    reserved_uj: int
    """as the last entry says"""
    open_uj: int
    """sum of the open reservations"""

    @property
    def holds(self) -> bool:
        """Whether everything adds up, to the microjoule."""
        total_uj = self.opening_uj + self.granted_uj + self.credited_uj - self.settled_uj
        return self.balance_uj == total_uj and self.reserved_uj == self.open_uj

    @property
    def available_uj(self) -> int:
        """What can be taken."""
        return self.balance_uj - self.reserved_uj


def identity(connection: sqlite3.Connection) -> Identity:
    """Add up all entries."""
    sums = dict(connection.execute("SELECT kind, sum(balance_change_uj) FROM entries GROUP BY kind"))
    last = connection.execute("SELECT balance_uj, reserved_uj FROM entries ORDER BY seq DESC LIMIT 1")
    balance_uj, reserved_uj = last.fetchone() or (0, 0)
    open_sum = connection.execute("SELECT sum(reserved_uj) FROM reservations WHERE state = 'open'")
    return Identity(
        opening_uj=sums.get("opening", 0),
        granted_uj=sums.get("grant", 0),
        credited_uj=sums.get("credit", 0),
        settled_uj=-sums.get("settle", 0),
        balance_uj=balance_uj,
        reserved_uj=reserved_uj,
        open_uj=open_sum.fetchone()[0] or 0,
    )
