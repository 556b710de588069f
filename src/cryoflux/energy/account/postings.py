"""What each request to the joule account writes.

`bucket` says under which lock, in which transaction, and when that is on the disk; here stands what becomes
of balance and reservations. Each is all or nothing by the transaction that it is called in, and a repeat of
it writes nothing.
"""

from __future__ import annotations

__all__ = ["Postings"]

import secrets
import sqlite3
from dataclasses import replace
from pathlib import Path

from cryoflux.energy.account.audit import check_held
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import RECORDS, Position, Record, append, fold, position, record_of
from cryoflux.energy.account.refusals import (
    another_amount,
    metered_here,
    not_metered_here,
    require_open,
    too_little,
    unknown,
)
from cryoflux.energy.account.requests import add_reservation, reserved_before, withdrawn_before
from cryoflux.energy.account.rules import whose
from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reservation
from cryoflux.energy.processes import Owner
from cryoflux.quantities import Energy, utc_label


class Postings:
    """What is written to one account, by whoever is in a write transaction of it.

    Args:
        connection: to the account.
        path: of it, for messages.
        clock: for the labels of the entries.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
        self._db, self._path, self._clock = connection, path, clock
        self.folded_ns = clock.monotonic_ns()
        """when what was pending became an entry last"""

    def at(self) -> str:
        """The label of an entry of now."""
        return utc_label(self._clock.wall_s())

    def fold(self) -> Position:
        """Make an entry of what is pending, and say where the account stands then."""
        self.folded_ns = self._clock.monotonic_ns()
        return fold(self._db, self.at())

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
            self.fold(),
            kind,
            self.at(),
            balance_uj=balance_uj,
            reserved_uj=reserved_uj,
            request_id=request_id,
            reservation=reservation,
            energy=energy,
            note=note,
        )

    def grant(self, uj: int, request_id: str, note: str) -> None:
        """Add joules by decision."""
        query = "SELECT balance_change_uj FROM entries WHERE request_id = ?"
        row = self._db.execute(query, (f"grant:{request_id}",)).fetchone()
        if row is None:
            self._append("grant", balance_uj=uj, request_id=f"grant:{request_id}", note=note)
        elif row[0] != uj:
            raise another_amount(request_id)

    def take(self, wanted: Reservation, owner: Owner | None, charge: Charge | None = None) -> Reservation:
        """Reserve joules.

        Args:
            wanted: the reservation as it is asked for; its id counts for nothing.
            owner: the process that it is for.
            charge: what is known of it from its beginning.
        """
        if (before := reserved_before(self._db, self._path, wanted)) is not None:
            return before
        uj, available_uj = wanted.reserved_uj, position(self._db).available_uj
        if uj > available_uj:
            raise too_little(uj, available_uj)
        reservation = replace(wanted, id=secrets.token_hex(16))
        add_reservation(self._db, reservation, owner, self._clock, charge=charge)
        self._append(
            "take",
            reserved_uj=uj,
            request_id=f"take:{wanted.request_id}",
            reservation=reservation.id,
            note=whose(reservation),  # so that no edit of the reservation alone gives it to another log
        )
        return reservation

    def lend(self, wanted: Reservation) -> Reservation:
        """Reserve joules that another meter charges."""
        return self.take(wanted, None, Charge.unrepaid(wanted.reserved_uj))

    def withdraw(self, wanted: Reservation) -> Reservation:
        """Take joules and charge them as they are."""
        if (before := withdrawn_before(self._db, self._path, wanted)) is not None:
            return before
        taken = self.take(wanted, None)
        self._charge(taken, Charge.at_face_value(taken.reserved_uj))
        return taken

    def settle(self, reservation_id: str, charge: Charge) -> tuple[Reservation, Charge]:
        """Charge a reservation with what was measured, and give the rest back."""
        record = self._held(reservation_id)
        if record.lent:
            raise not_metered_here(record)
        return self._close(record, charge)

    def repay(self, reservation_id: str, energy: Energy) -> tuple[Reservation, Charge]:
        """Charge what was lent with what the other meter charged, and take the rest back."""
        record = self._held(reservation_id)
        if not record.lent:
            raise metered_here(record)
        return self._close(record, Charge.of_lent(energy))

    def _close(self, record: Record, charge: Charge) -> tuple[Reservation, Charge]:
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
        """Give a reservation back whole."""
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

    def record(self, reservation_id: str) -> Record:
        """One reservation.

        Raises:
            UnknownReservationError: there is none.
        """
        row = self._db.execute(f"{RECORDS} WHERE r.id = ?", (reservation_id,)).fetchone()
        if row is None:
            raise unknown(reservation_id)
        return record_of(row)

    def _held(self, reservation_id: str) -> Record:
        record = self.record(reservation_id)
        check_held(self._db, self._path, reservation_id)
        return record
