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

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cryoflux.database import SharedTransactions, connect, read_only, reading, transaction
from cryoflux.energy.account.audit import check_held, check_tail
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import (
    RECORDS,
    Identity,
    LedgerEntry,
    Position,
    Record,
    Standing,
    State,
    add_credit,
    append,
    fold,
    identity,
    position,
    read_entries,
    record_of,
    standing,
)
from cryoflux.energy.account.refusals import (
    ReservationConflictError,
    UnknownReservationError,
    another_amount,
    check_amount,
    check_wanted,
    require_open,
    too_little,
    unknown,
)
from cryoflux.energy.account.requests import add_reservation, reserved_before, withdrawn_before
from cryoflux.energy.account.rules import whose
from cryoflux.energy.account.tables import SCHEMAS, UPGRADES, VERSION, require_account
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Reservation
from cryoflux.energy.processes import Owner
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import Energy, utc_label

TICKS_SYNCED_NS = 10 * BILLION
"""A tick is on the disk after at most so long, ns; it outlives its process at once."""

_FOLDED_NS = 15 * 60 * BILLION
"""Pending credit becomes an entry after so long, whatever else happens."""
_PATIENCE_MS = 10_000
_TICK_PATIENCE_MS = 500
"""A tick holds up whoever asks its meter meanwhile, and there is another one soon."""
_NOTE = "UPDATE reservations SET charge = ?, noted_ns = ?, noted_boot = ? WHERE id = ? AND state = 'open'"


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
        self._synced_ns = self._folded_ns = clock.monotonic_ns()
        _refuse_foreign(path)
        self._db = connect(path, SCHEMAS[VERSION], VERSION, UPGRADES)
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

    def _at(self) -> str:
        return utc_label(self._clock.wall_s())

    def _append(
        self,
        kind: str,
        *,
        balance_uj: int = 0,
        reserved_uj: int = 0,
        request_id: str,
        reservation: str | None = None,
        energy: Energy | None = None,
        note: str = "",
    ) -> None:
        append(
            self._db,
            self._fold(),
            kind,
            self._at(),
            balance_uj=balance_uj,
            reserved_uj=reserved_uj,
            request_id=request_id,
            reservation=reservation,
            energy=energy,
            note=note,
        )

    def _fold(self) -> Position:
        self._folded_ns = self._clock.monotonic_ns()
        return fold(self._db, self._at())

    def available_uj(self) -> int:
        """What can be taken now."""
        with self._read() as db:
            return position(db).available_uj

    def grant(self, uj: int, *, request_id: str, note: str = "") -> None:
        """Add joules by decision, once per request id."""
        check_amount(uj)
        self._shared.run(lambda: self._grant(uj, request_id, note))

    def _grant(self, uj: int, request_id: str, note: str) -> None:
        query = "SELECT balance_change_uj FROM entries WHERE request_id = ?"
        row = self._db.execute(query, (f"grant:{request_id}",)).fetchone()
        if row is None:
            self._append("grant", balance_uj=uj, request_id=f"grant:{request_id}", note=note)
        elif row[0] != uj:
            raise another_amount(request_id)

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
        rows = [(charge.to_json(), now_ns, self._clock.boot_id, key) for key, charge in (notes or {}).items()]
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
                    add_credit(db, credit, self._at)
                if now_ns - self._folded_ns >= _FOLDED_NS:
                    self._fold()
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
        return self._shared.run(lambda: self._take(wanted, owner))

    def _take(self, wanted: Reservation, owner: Owner | None) -> Reservation:
        if (before := reserved_before(self._db, self._path, wanted)) is not None:
            return before
        uj, available_uj = wanted.reserved_uj, position(self._db).available_uj
        if uj > available_uj:
            raise too_little(uj, available_uj)
        reservation = replace(wanted, id=secrets.token_hex(16))
        add_reservation(self._db, reservation, owner, self._clock)
        self._append(
            "take",
            reserved_uj=uj,
            request_id=f"take:{wanted.request_id}",
            reservation=reservation.id,
            note=whose(reservation),  # so that no edit of the reservation alone gives it to another log
        )
        return reservation

    def withdraw(self, uj: int, *, request_id: str, log: str = "") -> Reservation:
        """Take joules and charge them as they are, in one transaction; a repeat withdraws nothing more.

        Raises:
            BudgetError: there is less.
            UsageError: that is no amount, or not the origin of a log.
            ReservationConflictError: the request id was used for something else.
        """
        wanted = Reservation("", request_id, uj, log)
        check_wanted(wanted)
        return self._shared.run(lambda: self._withdraw(wanted))

    def _withdraw(self, wanted: Reservation) -> Reservation:
        if (before := withdrawn_before(self._db, self._path, wanted)) is not None:
            return before
        taken = self._take(wanted, None)
        self._charge(taken, Charge.at_face_value(taken.reserved_uj))
        return taken

    def settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        """Charge a reservation and give the rest back, once; a repeat returns the first charge."""
        return self._shared.run(lambda: self._settle(reservation_id, charge))

    def _settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        record = self._held(reservation_id)
        if record.settled is not None:
            return record.reservation, record.settled
        require_open(record)
        self._charge(record.reservation, charge)
        return record.reservation, charge

    def _charge(self, reservation: Reservation, charge: Charge) -> None:
        self._db.execute(
            "UPDATE reservations SET state = 'settled', charge = ? WHERE id = ?",
            (charge.to_json(), reservation.id),
        )
        names = [(name,) for name in charge.sources]
        self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", names)
        self._append(
            "settle",
            balance_uj=-charge.energy.uj,
            reserved_uj=-reservation.reserved_uj,
            request_id=f"settle:{reservation.id}",
            reservation=reservation.id,
            energy=charge.energy,
            note=" ".join(charge.energy.flags),
        )

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole, once."""
        self._shared.run(lambda: self._release(reservation_id))

    def _release(self, reservation_id: str) -> None:
        record = self._held(reservation_id)
        if record.state == "released":
            return
        require_open(record)
        self._db.execute("UPDATE reservations SET state = 'released' WHERE id = ?", (reservation_id,))
        self._append(
            "release",
            reserved_uj=-record.reservation.reserved_uj,
            request_id=f"release:{reservation_id}",
            reservation=reservation_id,
        )

    def _held(self, reservation_id: str) -> Record:
        record = self._find(reservation_id)
        check_held(self._db, self._path, reservation_id)
        return record

    def record(self, reservation_id: str) -> Record:
        """One reservation.

        Raises:
            UnknownReservationError: there is none.
        """
        with self._read():
            return self._find(reservation_id)

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

    def _find(self, reservation_id: str) -> Record:
        row = self._db.execute(f"{RECORDS} WHERE r.id = ?", (reservation_id,)).fetchone()
        if row is None:
            raise unknown(reservation_id)
        return record_of(row)

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
                self._fold()
            self._db.close()
