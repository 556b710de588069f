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
    "State",
    "UnknownReservationError",
]

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryoflux.database import SharedTransactions, connect, read_only, reading, transaction
from cryoflux.energy.account.audit import check_held, check_tail, require_account
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import (
    RECORDS,
    SCHEMAS,
    UPGRADES,
    VERSION,
    Identity,
    LedgerEntry,
    Position,
    Record,
    State,
    add_credit,
    append,
    fold,
    identity,
    position,
    read_entries,
    record_of,
)
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Reservation
from cryoflux.energy.processes import Owner
from cryoflux.errors import BudgetError, CryoFluxError, UsageError
from cryoflux.quantities import Energy, format_energy

TICKS_SYNCED_NS = 10 * BILLION
"""A tick is on the disk after at most so long, ns; it outlives its process at once."""

_FOLDED_NS = 15 * 60 * BILLION
"""Pending credit becomes an entry after so long, whatever else happens."""
_PATIENCE_MS = 10_000
_TICK_PATIENCE_MS = 500
"""A tick holds up whoever asks its meter meanwhile, and there is another one soon."""
_MOST_UJ = 2**53 - 1
_NOTE = "UPDATE reservations SET charge = ?, noted_ns = ?, noted_boot = ? WHERE id = ? AND state = 'open'"


class UnknownReservationError(UsageError):
    """There is no such reservation."""


class ReservationConflictError(UsageError):
    """A request id comes again with other content, or a reservation is not in the state for this."""


def _check_amount(uj: int) -> None:
    if not 0 < uj <= _MOST_UJ:
        raise UsageError(
            f"{uj} µJ cannot be granted or taken.",
            why="An amount lies above zero and up to 9 GJ.",
            hint="Ask for a positive amount of joules.",
        )


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
        return datetime.fromtimestamp(self._clock.wall_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

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
        _check_amount(uj)
        self._shared.run(lambda: self._grant(uj, request_id, note))

    def _grant(self, uj: int, request_id: str, note: str) -> None:
        query = "SELECT balance_change_uj FROM entries WHERE request_id = ?"
        row = self._db.execute(query, (f"grant:{request_id}",)).fetchone()
        if row is None:
            self._append("grant", balance_uj=uj, request_id=f"grant:{request_id}", note=note)
        elif row[0] != uj:
            raise _conflict(request_id)

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

    def take(self, uj: int, *, request_id: str, owner: Owner | None = None) -> Reservation:
        """Reserve joules, all or nothing; a repeat while they are reserved returns the same reservation.

        Raises:
            BudgetError: there is less.
            ReservationConflictError: the request id was used for another amount, or its reservation
                is settled or released.
        """
        _check_amount(uj)
        return self._shared.run(lambda: self._take(uj, request_id, owner))

    def _take(self, uj: int, request_id: str, owner: Owner | None) -> Reservation:
        query = "SELECT id, reserved_uj, state FROM reservations WHERE request_id = ?"
        row = self._db.execute(query, (request_id,)).fetchone()
        if row is not None:
            if row[1] != uj:
                raise _conflict(request_id)
            if row[2] != "open":
                raise _used_up(request_id, row[2])
            check_held(self._db, self._path, row[0])
            return Reservation(row[0], request_id, uj)
        available_uj = position(self._db).available_uj
        if uj > available_uj:
            raise _too_little(uj, available_uj)
        reservation = Reservation(secrets.token_hex(16), request_id, uj)
        who = (owner.pid, owner.start_ticks, owner.boot_id) if owner else (None, None, None)
        self._db.execute(
            "INSERT INTO reservations (id, request_id, reserved_uj, state, pid, start_ticks, boot_id,"
            " noted_ns, noted_boot) VALUES (?,?,?,'open',?,?,?,?,?)",
            (reservation.id, request_id, uj, *who, self._clock.monotonic_ns(), self._clock.boot_id),
        )
        self._append("take", reserved_uj=uj, request_id=f"take:{request_id}", reservation=reservation.id)
        return reservation

    def settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        """Charge a reservation and give the rest back, once; a repeat returns the first charge."""
        return self._shared.run(lambda: self._settle(reservation_id, charge))

    def _settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        record = self._held(reservation_id)
        if record.settled is not None:
            return record.reservation, record.settled
        _require_open(record)
        self._db.execute(
            "UPDATE reservations SET state = 'settled', charge = ? WHERE id = ?",
            (charge.to_json(), reservation_id),
        )
        names = [(name,) for name in charge.sources]
        self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", names)
        self._append(
            "settle",
            balance_uj=-charge.energy.uj,
            reserved_uj=-record.reservation.reserved_uj,
            request_id=f"settle:{reservation_id}",
            reservation=reservation_id,
            energy=charge.energy,
            note=" ".join(charge.energy.flags),
        )
        return record.reservation, charge

    def release(self, reservation_id: str) -> None:
        """Give a reservation back whole, once."""
        self._shared.run(lambda: self._release(reservation_id))

    def _release(self, reservation_id: str) -> None:
        record = self._held(reservation_id)
        if record.state == "released":
            return
        _require_open(record)
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
        with self._read() as db:
            row = db.execute(f"{RECORDS} WHERE r.request_id = ?", (request_id,)).fetchone()
            return None if row is None else record_of(row)

    def open_records(self) -> tuple[Record, ...]:
        """All open reservations, oldest first."""
        order = (
            " JOIN entries e ON e.request_id = 'take:' || r.request_id WHERE r.state = 'open' ORDER BY e.seq"
        )
        with self._read() as db:
            return tuple(record_of(row) for row in db.execute(RECORDS + order))

    def _find(self, reservation_id: str) -> Record:
        row = self._db.execute(f"{RECORDS} WHERE r.id = ?", (reservation_id,)).fetchone()
        if row is None:
            raise UnknownReservationError(
                f"There is no reservation {reservation_id!r}.",
                why="Only what was taken can be settled or released.",
                hint="`cryoflux energy ledger` lists what was taken.",
            )
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


def _conflict(request_id: str) -> ReservationConflictError:
    return ReservationConflictError(
        f"The request id {request_id!r} was used before, for another amount.",
        why="A repeated request must mean the same thing, or it could spend twice.",
        hint="Use a new request id for a new request.",
    )


def _used_up(request_id: str, state: State) -> ReservationConflictError:
    return ReservationConflictError(
        f"The joules taken with the request id {request_id!r} are {state} already.",
        why="Joules are given out once per request id, so nothing is reserved for this request.",
        hint="Take again with a new request id.",
    )


def _too_little(uj: int, available_uj: int) -> BudgetError:
    return BudgetError(
        f"{format_energy(uj)} were asked for; the bucket holds {format_energy(available_uj)}.",
        why="A take is all or nothing, so that no attempt starts that cannot be paid.",
        hint="Grant more joules with --budget, or ask for less.",
    )


def _require_open(record: Record) -> None:
    if record.state != "open":
        raise ReservationConflictError(
            f"The reservation {record.reservation.id!r} is {record.state} already.",
            why="Joules are given back or charged once.",
            hint="Take again for another attempt.",
        )
