"""The joule bucket: a durable double-entry account that attempts are paid from.

`balance = opening + grants + net credited − settled`, exactly, in µJ; what can be taken is the balance less
the open reservations. A take is all or nothing under one write lock, so processes that take at once
can never have more than there is. Every change has a request id, and repeating it changes nothing.

Whatever grants or takes is on the disk when the call returns. A `tick`, which comes once a second, survives
the death of the process, and is on the disk within `TICKS_SYNCED_NS`: a power cut can cost that much credit,
never mint any (docs/explanation/account.md).
"""

from __future__ import annotations

__all__ = [
    "TICKS_SYNCED_NS",
    "Bucket",
    "Record",
    "ReservationConflictError",
    "Standing",
    "State",
    "UnknownReservationError",
]

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from cryoflux.database import SharedTransactions, connect, read_only, reading, transaction
from cryoflux.energy.account.audit import check_tail
from cryoflux.energy.account.charge import LENT, Charge
from cryoflux.energy.account.ledger import (
    RECORDS,
    Identity,
    LedgerEntry,
    Record,
    Standing,
    State,
    add_credit,
    identity,
    position,
    read_entries,
    record_of,
    standing,
)
from cryoflux.energy.account.postings import Postings
from cryoflux.energy.account.refusals import (
    ReservationConflictError,
    UnknownReservationError,
    check_amount,
    check_repaid,
    check_wanted,
)
from cryoflux.energy.account.tables import SCHEMAS, UPGRADES, VERSION, require_account
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Reservation
from cryoflux.energy.processes import Owner
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import Energy

TICKS_SYNCED_NS = 10 * BILLION
"""A tick is on the disk after at most so long, ns; it outlives its process at once."""

_FOLDED_NS = 15 * 60 * BILLION
"""Pending credit becomes an entry after so long, whatever else happens."""
_PATIENCE_MS = 10_000
_TICK_PATIENCE_MS = 500
"""A tick holds up whoever asks its meter meanwhile, and there is another one soon."""
# The charge of what was lent says that it was, and nobody here meters it: no note takes the place of that.
_NOTE = (
    "UPDATE reservations SET charge = ?, noted_ns = ?, noted_boot = ? WHERE id = ? AND state = 'open'"
    " AND (charge IS NULL OR NOT instr(charge, ?))"
)
_SAYS_LENT = f'"{LENT}"'


def _refuse_foreign(path: Path) -> None:
    # Looked at without opening it for writing, so that somebody else's file stays as it is.
    if path.is_file() and path.stat().st_size:
        with closing(read_only(path)) as connection:
            if require_account(connection, path, new=True) in UPGRADES:
                check_tail(connection, path)


class Bucket:
    """The account in one file; any number of processes may hold it open.

    Args:
        path: ``account.db``.
        clock: for the labels of the entries.

    Raises:
        StateTamperedError: the account does not add up, or is none.
        StateError: another version of CryoFlux wrote it.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._shared = SharedTransactions(self._lock, self._write)
        self._synced_ns = clock.monotonic_ns()
        _refuse_foreign(path)
        self._db = connect(path, SCHEMAS[VERSION], VERSION, UPGRADES)
        self._postings = Postings(self._db, path, clock)
        self._waits = ("", 0)
        with ExitStack() as undo:
            undo.callback(self._db.close)
            with self._read() as db:
                check_tail(db, path)
            undo.pop_all()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, reading(self._db, self._path) as db:
            yield db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._wait("FULL", _PATIENCE_MS)
            with transaction(self._db, self._path) as db:
                before = db.total_changes
                yield db
                changed = db.total_changes != before
            if changed:  # a commit of nothing does not wait for the disk
                self._synced_ns = self._clock.monotonic_ns()

    def _wait(self, synchronous: str, patience_ms: int) -> None:
        """For the disk, and for others that hold the account."""
        if (synchronous, patience_ms) != self._waits:
            self._db.execute(f"PRAGMA synchronous={synchronous}")
            self._db.execute(f"PRAGMA busy_timeout={patience_ms}")
            self._waits = (synchronous, patience_ms)

    def available_uj(self) -> int:
        """What can be taken now."""
        with self._read() as db:
            return position(db).available_uj

    def grant(self, uj: int, *, request_id: str, note: str = "") -> None:
        """Add joules by decision, once per request id."""
        check_amount(uj)
        self._shared.run(lambda: self._postings.grant(uj, request_id, note))

    def credit(self, energy: Energy) -> None:
        """Add measured net energy, signed."""
        self.tick(energy)

    def note(self, charges: Mapping[str, Charge]) -> None:
        """Write down what open reservations have spent so far."""
        self.tick(notes=charges)

    def tick(self, credit: Energy | None = None, notes: Mapping[str, Charge] | None = None) -> None:
        """Credit net energy and note what open reservations have spent, both or neither.

        Nothing is written where there is nothing to write. When this raises, nothing was: what was to be
        credited is still the caller's, to be credited with the next.

        Raises:
            StorageError: the disk is full, read-only, or another process holds the account.
        """
        if credit is not None and not (credit.lo_uj or credit.hi_uj or credit.flags):
            credit = None
        now_ns = self._clock.monotonic_ns()
        rows = [
            (charge.to_json(), now_ns, self._clock.boot_id, key, _SAYS_LENT)
            for key, charge in (notes or {}).items()
        ]
        if credit is None and not rows:
            return
        with self._lock:
            # Not waiting for the disk, most times: the next commit that waits takes this there as well.
            waits = now_ns - self._synced_ns >= TICKS_SYNCED_NS
            self._wait("FULL" if waits else "NORMAL", _TICK_PATIENCE_MS)
            with transaction(self._db, self._path) as db:
                if rows:
                    db.executemany(_NOTE, rows)
                if credit is not None:
                    add_credit(db, credit, self._postings.at)
                if now_ns - self._postings.folded_ns >= _FOLDED_NS:
                    self._postings.fold()
            if waits:
                self._synced_ns = now_ns

    def take(
        self, uj: int, *, request_id: str, owner: Owner | None = None, log: str = "", intent: str = ""
    ) -> Reservation:
        """Reserve joules, all or nothing; a repeat while they are reserved returns the same reservation.

        Args:
            uj: how much.
            request_id: names the request; a repeat has the same.
            owner: the process that it is for.
            log: origin of the receipt log that it is an attempt of; empty where of none.
            intent: leaf hash of the entry that announced the attempt; empty where of none.

        Raises:
            BudgetError: there is less.
            UsageError: that is no amount, no origin of a log, or no leaf hash.
            ReservationConflictError: the request id was used for another amount, log or announcement, or
                its reservation is settled or released.
        """
        wanted = Reservation("", request_id, uj, log, intent)
        check_wanted(wanted)
        return self._shared.run(lambda: self._postings.take(wanted, owner))

    def withdraw(self, uj: int, *, request_id: str, log: str = "") -> Reservation:
        """Take joules and charge them as they are, in one transaction; a repeat withdraws nothing more.

        Raises:
            BudgetError: there is less.
            UsageError: that is no amount, or not the origin of a log.
            ReservationConflictError: the request id was used for something else.
        """
        wanted = Reservation("", request_id, uj, log)
        check_wanted(wanted)
        return self._shared.run(lambda: self._postings.withdraw(wanted))

    def settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        """Charge a reservation and give the rest back, once; a repeat returns the first charge."""
        return self._shared.run(lambda: self._postings.settle(reservation_id, charge))

    def lend(self, uj: int, *, request_id: str, log: str = "", intent: str = "") -> Reservation:
        """Reserve joules that another meter charges; all else is as of `take`.

        Raises:
            BudgetError: there is less.
            UsageError: that is no amount, no origin of a log, no leaf hash, or no name of what is lent.
            ReservationConflictError: the request id was used for something else, or is used up.
        """
        wanted = Reservation("", request_id, uj, log, intent)
        check_wanted(wanted, lent=True)
        return self._shared.run(lambda: self._postings.lend(wanted))

    def repay(self, reservation_id: str, energy: Energy) -> tuple[Reservation, Charge]:
        """Charge what was lent with what the other meter charged, once; a repeat returns the first charge.

        Raises:
            UsageError: it is no charge of a meter.
            ReservationConflictError: the reservation was not lent, or was released.
        """
        check_repaid(energy)
        return self._shared.run(lambda: self._postings.repay(reservation_id, energy))

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole, once."""
        self._shared.run(lambda: self._postings.release(reservation_id))

    def record(self, reservation_id: str) -> Record:
        """One reservation.

        Raises:
            UnknownReservationError: there is none.
        """
        with self._read():
            return self._postings.record(reservation_id)

    def find(self, request_id: str) -> Record | None:
        """The reservation that a request id was given; none if it was given none."""
        return next(iter(self._records("r.request_id = ?", request_id)), None)

    def standing(self) -> Standing:
        """What can be taken, what is reserved, and by how many."""
        with self._read() as db:
            return standing(db)

    def open_records(self, *, after: str = "", most: int = -1) -> tuple[Record, ...]:
        """Open reservations in the order of their ids.

        Args:
            after: those behind this one.
            most: so many of them; all where it is negative.
        """
        return self._records("r.state = 'open' AND r.id > ? ORDER BY r.id LIMIT ?", after, most)

    def open_of_processes(self, boot_id: str) -> tuple[Record, ...]:
        """Open reservations of processes of one boot of this machine, the only ones that can be alive."""
        return self._records("r.state = 'open' AND r.pid IS NOT NULL AND r.boot_id = ?", boot_id)

    def _records(self, where: str, *values: str | int) -> tuple[Record, ...]:
        with self._read() as db:
            return tuple(record_of(row) for row in db.execute(f"{RECORDS} WHERE {where}", values))

    def settled_sources(self) -> frozenset[str]:
        """The names of all sources that a settlement was measured by."""
        with self._read() as db:
            return frozenset(name for (name,) in db.execute("SELECT name FROM sources"))

    def entries(self) -> list[LedgerEntry]:
        """All entries, oldest first."""
        with self._read() as db:
            return list(read_entries(db))

    def identity(self) -> Identity:
        """The account, added up."""
        with self._read() as db:
            return identity(db)

    def close(self) -> None:
        """Close the file; what is pending becomes an entry, or stays pending where that cannot be."""
        with self._lock:
            with suppress(CryoFluxError, sqlite3.ProgrammingError), self._write():  # it may be closed
                self._postings.fold()
            self._db.close()
