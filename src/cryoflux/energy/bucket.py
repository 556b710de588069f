"""The joule bucket: a durable double-entry account that attempts are paid from.

`balance = opening + grants + net credited − settled`, exactly, in µJ; what can be taken is the balance less
the open reservations. A take is all or nothing under one write lock, so processes that take at once
can never have more than there is. Every change has a request id, and repeating it changes nothing.
"""

from __future__ import annotations

__all__ = ["Bucket", "Record", "ReservationConflictError", "UnknownReservationError"]

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryoflux.database import connect, read_only, transaction
from cryoflux.energy.audit import check_account, require_account
from cryoflux.energy.charge import Charge
from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reservation
from cryoflux.energy.ledger import SCHEMA, VERSION, Identity, LedgerEntry, identity, read_entries
from cryoflux.energy.processes import Owner
from cryoflux.errors import BudgetError, UsageError
from cryoflux.quantities import Energy, format_energy

State = Literal["open", "settled", "released"]

_MOST_UJ = 2**53 - 1
_RECORD = (
    "SELECT r.id, r.request_id, r.reserved_uj, r.state, r.pid, r.start_ticks, r.boot_id, r.charge,"
    " r.noted_ns, r.noted_boot FROM reservations r"
)


class UnknownReservationError(UsageError):
    """There is no such reservation."""


class ReservationConflictError(UsageError):
    """A request id comes again with other content, or a reservation is not in the state for this."""


@dataclass(frozen=True, slots=True)
class Record:
    """A reservation as it is stored."""

    reservation: Reservation
    state: State
    owner: Owner | None
    charge: Charge | None
    """what it was settled at, or what was noted last"""
    noted_ns: int
    """monotonic time of the last note, or of the take"""
    noted_boot: str

    @property
    def settled(self) -> Charge | None:
        """What it was settled at."""
        return self.charge if self.state == "settled" else None


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
            require_account(connection, path, new=True)


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
        _refuse_foreign(path)
        self._db = connect(path, SCHEMA, VERSION)
        with ExitStack() as undo:
            undo.callback(self._db.close)
            with self._write() as db:
                check_account(db, path)
            undo.pop_all()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._db, self._path) as db:
            yield db

    def _position(self) -> tuple[int, int]:
        row = self._db.execute("SELECT balance_uj, reserved_uj FROM entries ORDER BY seq DESC LIMIT 1")
        balance_uj, reserved_uj = row.fetchone()
        return balance_uj, reserved_uj

    def _append(
        self,
        kind: str,
        *,
        balance_uj: int = 0,
        reserved_uj: int = 0,
        request_id: str | None = None,
        reservation: str | None = None,
        energy: Energy | None = None,
        note: str = "",
    ) -> None:
        balance, reserved = self._position()
        at = datetime.fromtimestamp(self._clock.wall_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        interval = (energy.lo_uj, energy.hi_uj, energy.tier) if energy else (None, None, None)
        after = (balance + balance_uj, reserved + reserved_uj)
        self._db.execute(
            "INSERT INTO entries (kind, request_id, reservation, balance_change_uj, reserved_change_uj,"
            " balance_uj, reserved_uj, lo_uj, hi_uj, tier, at, note) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (kind, request_id, reservation, balance_uj, reserved_uj, *after, *interval, at, note),
        )

    def _granted(self, request_id: str, balance_uj: int) -> bool:
        query = "SELECT balance_change_uj FROM entries WHERE request_id = ?"
        row = self._db.execute(query, (f"grant:{request_id}",)).fetchone()
        if row is not None and row[0] != balance_uj:
            raise _conflict(request_id)
        return row is not None

    def available_uj(self) -> int:
        """What can be taken now."""
        with self._write():
            balance_uj, reserved_uj = self._position()
            return balance_uj - reserved_uj

    def grant(self, uj: int, *, request_id: str, note: str = "") -> None:
        """Add joules by decision, once per request id."""
        _check_amount(uj)
        with self._write():
            if not self._granted(request_id, uj):
                self._append("grant", balance_uj=uj, request_id=f"grant:{request_id}", note=note)

    def credit(self, energy: Energy) -> None:
        """Add measured net energy, signed; each call is one entry."""
        with self._write():
            self._append("credit", balance_uj=energy.uj, energy=energy, note=" ".join(energy.flags))

    def take(self, uj: int, *, request_id: str, owner: Owner | None = None) -> Reservation:
        """Reserve joules, all or nothing; a repeat while they are reserved returns the same reservation.

        Raises:
            BudgetError: there is less.
            ReservationConflictError: the request id was used for another amount, or its reservation
                is settled or released.
        """
        _check_amount(uj)
        with self._write() as db:
            query = "SELECT id, reserved_uj, state FROM reservations WHERE request_id = ?"
            row = db.execute(query, (request_id,)).fetchone()
            if row is not None:
                if row[1] != uj:
                    raise _conflict(request_id)
                if row[2] != "open":
                    raise _used_up(request_id, row[2])
                return Reservation(row[0], request_id, uj)
            balance_uj, reserved_uj = self._position()
            if uj > balance_uj - reserved_uj:
                raise BudgetError(
                    f"{format_energy(uj)} were asked for; the bucket holds "
                    f"{format_energy(balance_uj - reserved_uj)}.",
                    why="A take is all or nothing, so that no attempt starts that cannot be paid.",
                    hint="Grant more joules with --budget, or ask for less.",
                )
            reservation = Reservation(secrets.token_hex(16), request_id, uj)
            who = (owner.pid, owner.start_ticks, owner.boot_id) if owner else (None, None, None)
            db.execute(
                "INSERT INTO reservations (id, request_id, reserved_uj, state, pid, start_ticks, boot_id,"
                " noted_ns, noted_boot) VALUES (?,?,?,'open',?,?,?,?,?)",
                (reservation.id, request_id, uj, *who, self._clock.monotonic_ns(), self._clock.boot_id),
            )
            self._append("take", reserved_uj=uj, request_id=f"take:{request_id}", reservation=reservation.id)
            return reservation

    def settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        """Charge a reservation and give the rest back, once; a repeat returns the first charge."""
        with self._write() as db:
            record = self._find(reservation_id)
            if record.settled is not None:
                return record.reservation, record.settled
            _require_open(record)
            db.execute(
                "UPDATE reservations SET state = 'settled', charge = ? WHERE id = ?",
                (charge.to_json(), reservation_id),
            )
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
        with self._write() as db:
            record = self._find(reservation_id)
            if record.state == "released":
                return
            _require_open(record)
            db.execute("UPDATE reservations SET state = 'released' WHERE id = ?", (reservation_id,))
            self._append(
                "release",
                reserved_uj=-record.reservation.reserved_uj,
                request_id=f"release:{reservation_id}",
                reservation=reservation_id,
            )

    def note(self, charges: Mapping[str, Charge]) -> None:
        """Write down what open reservations have spent so far."""
        now = (self._clock.monotonic_ns(), self._clock.boot_id)
        rows = [(charge.to_json(), *now, key) for key, charge in charges.items()]
        with self._write() as db:
            db.executemany(
                "UPDATE reservations SET charge = ?, noted_ns = ?, noted_boot = ?"
                " WHERE id = ? AND state = 'open'",
                rows,
            )

    def record(self, reservation_id: str) -> Record:
        """One reservation.

        Raises:
            UnknownReservationError: there is none.
        """
        with self._write():
            return self._find(reservation_id)

    def find(self, request_id: str) -> Record | None:
        """The reservation that a request id was given; none if it was given none."""
        with self._write() as db:
            row = db.execute(f"{_RECORD} WHERE r.request_id = ?", (request_id,)).fetchone()
            return None if row is None else _record(row)

    def open_records(self) -> tuple[Record, ...]:
        """All open reservations, oldest first."""
        order = (
            " JOIN entries e ON e.request_id = 'take:' || r.request_id WHERE r.state = 'open' ORDER BY e.seq"
        )
        with self._write() as db:
            return tuple(_record(row) for row in db.execute(_RECORD + order))

    def _find(self, reservation_id: str) -> Record:
        row = self._db.execute(f"{_RECORD} WHERE r.id = ?", (reservation_id,)).fetchone()
        if row is None:
            raise UnknownReservationError(
                f"There is no reservation {reservation_id!r}.",
                why="Only what was taken can be settled or released.",
                hint="`cryoflux energy ledger` lists what was taken.",
            )
        return _record(row)

    def settled_sources(self) -> frozenset[str]:
        """The names of all sources that a settlement was measured by."""
        query = "SELECT charge FROM reservations WHERE state = 'settled'"
        with self._write() as db:
            charges = [Charge.from_json(text) for (text,) in db.execute(query)]
        return frozenset(source for charge in charges for source in charge.sources)

    def entries(self) -> list[LedgerEntry]:
        """All entries, oldest first."""
        with self._write() as db:
            return list(read_entries(db))

    def identity(self) -> Identity:
        """The account, added up."""
        with self._write() as db:
            return identity(db)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _record(row: tuple[Any, ...]) -> Record:
    (
        reservation_id,
        request_id,
        reserved_uj,
        state,
        pid,
        start_ticks,
        boot_id,
        charge,
        noted_ns,
        noted_boot,
    ) = row
    return Record(
        reservation=Reservation(reservation_id, request_id, reserved_uj),
        state=state,
        owner=None if pid is None else Owner(pid, start_ticks, boot_id),
        charge=Charge.from_json(charge) if charge else None,
        noted_ns=noted_ns,
        noted_boot=noted_boot,
    )


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


def _require_open(record: Record) -> None:
    if record.state != "open":
        raise ReservationConflictError(
            f"The reservation {record.reservation.id!r} is {record.state} already.",
            why="Joules are given back or charged once.",
            hint="Take again for another attempt.",
        )
