"""A database that somebody else than the log has written to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cryoflux.receipts.merkle import leaf_hash


def without_triggers(state: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def flip_signature(state: Path, index: int) -> None:
    """Another signature in the place of one, and the hash of what that makes of the entry."""
    with closing(without_triggers(state)) as connection:
        (envelope,) = connection.execute("SELECT envelope FROM entries WHERE idx = ?", (index,)).fetchone()
        at = envelope.index(b'"sig":"') + 7
        changed = envelope[:at] + (b"B" if envelope[at : at + 1] == b"A" else b"A") + envelope[at + 1 :]
        values = (changed, leaf_hash(changed).hex(), index)
        connection.execute("UPDATE entries SET envelope = ?, leaf = ? WHERE idx = ?", values)


def rewrite(state: Path, index: int, change: Callable[[bytes], bytes]) -> None:
    """Other bytes in the place of an entry; what the table says beside them stays."""
    with closing(without_triggers(state)) as connection:
        (envelope,) = connection.execute("SELECT envelope FROM entries WHERE idx = ?", (index,)).fetchone()
        connection.execute("UPDATE entries SET envelope = ? WHERE idx = ?", (change(envelope), index))
