"""A request for joules that comes again, and one that comes for the first time.

A request id means one thing for good: so many joules, for an attempt of one log, reserved or withdrawn. A
repeat that means another thing is refused, or it could spend twice.
"""

from __future__ import annotations

__all__ = ["add_reservation", "reserved_before", "withdrawn_before"]

import sqlite3
from pathlib import Path

from cryoflux.energy.account.audit import check_held
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import RECORDS, Record, record_of
from cryoflux.energy.account.refusals import (
    another_amount,
    another_intent,
    another_kind,
    another_log,
    used_up,
)
from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Reservation, is_lent
from cryoflux.energy.processes import Owner


def _before(
    connection: sqlite3.Connection, path: Path, wanted: Reservation, *, withdrawn: bool
) -> Record | None:
    request_id = wanted.request_id
    row = connection.execute(f"{RECORDS} WHERE r.request_id = ?", (request_id,)).fetchone()
    if row is None:
        return None
    record = record_of(row)
    if record.reservation.reserved_uj != wanted.reserved_uj:
        raise another_amount(request_id)
    if record.reservation.log != wanted.log:
        raise another_log(request_id)
    if record.reservation.intent != wanted.intent:
        raise another_intent(request_id)
    if record.withdrawn != withdrawn or record.lent != is_lent(request_id):
        raise another_kind(request_id) if record.state == "open" else used_up(request_id, record.state)
    check_held(connection, path, record.reservation.id)
    return record


def reserved_before(connection: sqlite3.Connection, path: Path, wanted: Reservation) -> Reservation | None:
    """The reservation that the same request was given and that is open still; none if it is new.

    Args:
        connection: to the account.
        path: of the account, for the message.
        wanted: the reservation as it is asked for; its id counts for nothing.

    Raises:
        ReservationConflictError: the request id was used for something else, or the reservation has ended.
        StateTamperedError: the reservation is not the one that its entry took.
    """
    record = _before(connection, path, wanted, withdrawn=False)
    if record is None:
        return None
    if record.state != "open":
        raise used_up(wanted.request_id, record.state)
    return record.reservation


def withdrawn_before(connection: sqlite3.Connection, path: Path, wanted: Reservation) -> Reservation | None:
    """What the same request has withdrawn; none if it is new. The arguments are those of `reserved_before`.

    Raises:
        ReservationConflictError: the request id was used for something else.
        StateTamperedError: it is not what its entries took and charged.
    """
    record = _before(connection, path, wanted, withdrawn=True)
    return record.reservation if record else None


def add_reservation(
    connection: sqlite3.Connection,
    reservation: Reservation,
    owner: Owner | None,
    clock: Clock,
    *,
    charge: Charge | None = None,
) -> None:
    """Add an open reservation; its entry is another matter.

    Args:
        connection: to the account.
        reservation: the reservation.
        owner: the process that it is for.
        clock: when that was.
        charge: what is known of it from its beginning; says of one that was lent that it was.
    """
    who = (owner.pid, owner.start_ticks, owner.boot_id) if owner else (None, None, None)
    connection.execute(
        "INSERT INTO reservations (id, request_id, reserved_uj, state, pid, start_ticks, boot_id,"
        " noted_ns, noted_boot, log, intent, charge) VALUES (?,?,?,'open',?,?,?,?,?,?,?,?)",
        (
            reservation.id,
            reservation.request_id,
            reservation.reserved_uj,
            *who,
            clock.monotonic_ns(),
            clock.boot_id,
            reservation.log,
            reservation.intent,
            charge.to_json() if charge is not None else None,
        ),
    )
