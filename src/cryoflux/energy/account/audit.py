"""Whether a joule account adds up, entry by entry, and what it says was paid.

Every amount of an account stands in it more than once: as a change, in the totals after it, and with the
reservation. One pass compares them all, so an entry that was changed, removed or invented by hand is
found. Whoever shows or verifies an account does that pass. A meter that opens one reads its end alone,
`TAIL` entries: the entry before them carries the totals that they start from, so nothing has to be stored
that says how far it was checked, and nothing of that kind can be forged. What is older is compared where
it is used (`check_held`) and whenever somebody verifies. Nothing here needs more than the standard library.
"""

from __future__ import annotations

__all__ = [
    "AuditedAccount",
    "Compared",
    "Held",
    "check_account",
    "check_held",
    "check_tail",
    "fault_of",
    "open_audited",
    "require_account",
]

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cryoflux.database import read_only
from cryoflux.energy.account.checks import check_end, check_one, since, whole
from cryoflux.energy.account.rules import FaultError, Line
from cryoflux.energy.account.tables import require_account
from cryoflux.errors import StateTamperedError, StorageError

# What a damaged or foreign file can make SQLite say.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


def _fault(check: Callable[[], None]) -> str:
    try:
        check()
    except FaultError as fault:
        return str(fault)
    except (*_UNREADABLE, TypeError) as error:
        return f"an entry cannot be read ({error})"
    return ""


def _refuse(path: Path, fault: str) -> None:
    if fault:
        raise StateTamperedError(
            f"The joule account {path} does not add up: {fault}.",
            why="An entry was changed, removed or invented, so its balance is no evidence of joules.",
            hint="Restore account.db from a backup, or start afresh with --state DIR.",
        )


def fault_of(connection: sqlite3.Connection) -> str:
    """What does not add up in an account, all of it; empty where everything does."""

    def check() -> None:
        for _ in whole(connection):
            pass

    return _fault(check)


def check_account(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse an account that does not add up, looking at all of it.

    Raises:
        StateTamperedError: it says what does not.
    """
    _refuse(path, fault_of(connection))


def check_tail(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse an account whose end does not add up; the time for it does not grow with the account.

    Raises:
        StateTamperedError: it says what does not.
    """
    _refuse(path, _fault(lambda: check_end(connection)))


def check_held(connection: sqlite3.Connection, path: Path, reservation: str) -> None:
    """Refuse a reservation that is not the one that its entries took and ended.

    Raises:
        StateTamperedError: it says what does not agree.
    """
    _refuse(path, _fault(lambda: check_one(connection, reservation)))


class Held(NamedTuple):
    """A reservation that was not given back."""

    request_id: str
    uj: int | None
    """what it was settled at; none while it is open"""
    log: str
    """origin of the receipt log that it is an attempt of; empty where of none"""


@dataclass(frozen=True, slots=True)
class Compared:
    """How far an account was compared with receipts, and what was left of it then."""

    seq: int
    """number of the last entry"""
    balance_uj: int
    """after it"""
    reserved_uj: int
    held: list[Held]
    """reservations that are open, or that no receipt has explained yet"""


# Nobody else sees it, and it is gone with its connection: nothing of it has to outlive a crash.
_SCRATCH = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE held (
  request_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, uj INTEGER, log TEXT NOT NULL,
  explained INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
_TAKEN = "INSERT INTO held (seq, request_id, log) VALUES (?, ?, ?)"
_PAID = "UPDATE held SET uj = ? WHERE request_id = ?"
_GIVEN_BACK = "DELETE FROM held WHERE request_id = ?"
_HELD = "SELECT request_id, uj, log FROM held"
_HELD_BY_ID = f"{_HELD} WHERE request_id = ?"
_EXPLAINED = "UPDATE held SET explained = 1 WHERE request_id = ?"


def _no_room(error: sqlite3.Error) -> StorageError:
    return StorageError(
        f"What the joule account was charged could not be written to a temporary file: {error}.",
        why="Without that, receipts cannot be compared with it.",
        hint="Free some space, or name a folder that has some in the environment variable TMPDIR.",
    )


class AuditedAccount:
    """What an account was charged, all of it checked; an answer costs one look-up, however long it is.

    It lies in a temporary file without a name: little of it is in memory, a meter may go on with the account
    meanwhile, and what is answered is what was checked.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCRATCH)
        self._end = (0, 0, 0)
        self.whole = True
        """whether it was gone through from its beginning"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the temporary file."""
        self._db.close()

    def _fill(self, lines: Iterator[Line], mark: Compared | None) -> None:
        self._write("BEGIN")
        if mark is not None:
            self.whole = False
            self._end = mark.seq, mark.balance_uj, mark.reserved_uj
            for place, held in enumerate(mark.held, start=-len(mark.held)):
                self._write(_TAKEN, place, held.request_id, held.log)
                self._write(_PAID, held.uj, held.request_id)
        for entry, stored in lines:
            self._end = entry.seq, entry.balance_uj, entry.reserved_uj
            if stored is None:
                continue
            if stored.state == "released":
                self._write(_GIVEN_BACK, stored.request_id)
            elif entry.kind == "take":
                self._write(_TAKEN, entry.seq, stored.request_id, stored.log)
            elif entry.kind == "settle":
                self._write(_PAID, -entry.balance_change_uj, stored.request_id)
        # The transaction stays open: nothing of the file has to outlive its connection.

    def _write(self, statement: str, *values: str | int | None) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise FaultError(f"the request id {values[1]!r} was given two reservations") from error
        except sqlite3.Error as error:
            raise _no_room(error) from error

    def charged(self, request_id: str) -> Held | None:
        """What was taken under a request id; none if nothing was, or if it was given back."""
        row = self._db.execute(_HELD_BY_ID, (request_id,)).fetchone()
        return Held(*row) if row else None

    def explain(self, request_id: str) -> Held | None:
        """The same as `charged`, for whoever has a receipt that says what it was for."""
        found = self.charged(request_id)
        if found is not None:
            self._db.execute(_EXPLAINED, (request_id,))
        return found

    def mark(self, log: str) -> Compared:
        """How far the account was gone through, and what of it may still matter to a log.

        Args:
            log: its origin.
        """
        left = [held for held in self.unexplained() if held.uj is None or held.log in {"", log}]
        return Compared(*self._end, left)

    def start_again(self) -> None:
        """Take all of them for unexplained once more."""
        self._db.execute("UPDATE held SET explained = 0 WHERE explained")

    def count(self, log: str) -> int:
        """How many reservations are attempts of a log."""
        (number,) = self._db.execute("SELECT count(*) FROM held WHERE log = ?", (log,)).fetchone()
        return int(number)

    def unexplained(self, log: str | None = None) -> Iterator[Held]:
        """The reservations that are attempts of a log and were not explained, oldest first.

        Args:
            log: its origin; empty for those that are attempts of none, none for all of them.
        """
        query = f"{_HELD} WHERE (?1 IS NULL OR log = ?1) AND NOT explained ORDER BY seq"
        return (Held(*row) for row in self._db.execute(query, (log,)))


def open_audited(path: Path, mark: Compared | None = None) -> AuditedAccount:
    """What an account was charged, once all of it is known to add up. The file is not changed.

    Args:
        path: the account.
        mark: up to where it was compared before, and is not again.

    Raises:
        StateTamperedError: the account does not add up, or is none.
        StateError: another version of CryoFlux wrote it.
        StorageError: it cannot be opened, or there is no room for a temporary file.
    """
    with ExitStack() as undo, closing(read_only(path)) as connection:
        require_account(connection, path)
        connection.execute("BEGIN")  # one view of it all, though a meter may write meanwhile
        account = undo.enter_context(AuditedAccount())
        totals = (mark.balance_uj, mark.reserved_uj) if mark is not None else None
        lines = since(connection, mark.seq, totals) if mark is not None else whole(connection)
        _refuse(path, _fault(lambda: account._fill(lines, mark)))  # noqa: SLF001 - made here
        undo.pop_all()
    return account
