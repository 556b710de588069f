"""What each kind of entry looks like beside the reservation that it is about."""

from __future__ import annotations

__all__ = ["FaultError", "Line", "Stored", "fits", "read_lines", "read_stored", "whose"]

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import LedgerEntry
from cryoflux.energy.account.tables import version_of
from cryoflux.energy.interface import is_lent
from cryoflux.quantities import Energy

_STORED = (
    "SELECT r.id, r.request_id, r.reserved_uj, {whose}, r.state, r.charge FROM reservations r WHERE {where}"
)
# What was noted for a reservation that is settled by now is nowhere any more, so a take needs no charge.
_LINES = (
    "SELECT e.seq, e.kind, e.request_id, e.reservation, e.balance_change_uj, e.reserved_change_uj,"
    " e.balance_uj, e.reserved_uj, e.lo_uj, e.hi_uj, e.tier, e.at, e.note,"
    " r.id, r.request_id, r.reserved_uj, {whose}, r.state, iif(e.kind = 'take', NULL, r.charge)"
    " FROM entries e LEFT JOIN reservations r ON r.id = e.reservation WHERE e.seq > ? ORDER BY e.seq"
)
_ENTRY_COLUMNS = 13
_FIRST_WITH_LOG = 3
_FIRST_WITH_INTENT = 5


class FaultError(Exception):
    """Something does not add up; the text says what."""


class Stored(NamedTuple):
    """A reservation, as its own table has it."""

    id: str
    request_id: str
    reserved_uj: int
    log: str
    intent: str
    state: str
    charge: Charge | None
    """what it was settled at; not read for the entry that took it"""

    @property
    def charged(self) -> Energy | None:
        """The energy of that."""
        return self.charge.energy if self.charge else None


Line = tuple[LedgerEntry, Stored | None]
"""An entry, and the reservation that it names."""


class _Marked(Protocol):
    @property
    def log(self) -> str: ...
    @property
    def intent(self) -> str: ...


def whose(reservation: _Marked) -> str:
    """What the entry that took a reservation says of it: its log, and its announcement behind that."""
    return f"{reservation.log} {reservation.intent}" if reservation.intent else reservation.log


def _whose(connection: sqlite3.Connection) -> str:
    version = version_of(connection)
    log = "r.log" if version >= _FIRST_WITH_LOG else "''"
    intent = "r.intent" if version >= _FIRST_WITH_INTENT else "''"
    return f"{log}, {intent}"


def _stored(
    reservation: str, request_id: str, uj: int, log: str, intent: str, state: str, charge: str | None
) -> Stored:
    return Stored(reservation, request_id, uj, log, intent, state, _charge(reservation, state, charge))


def _charge(reservation: str, state: str, text: str | None) -> Charge | None:
    if text is None:
        return None
    try:
        charge = Charge.from_json(text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FaultError(f"the charge of the reservation {reservation} cannot be read") from error
    return charge if state == "settled" else None


def read_stored(connection: sqlite3.Connection, where: str, *values: str) -> Iterator[Stored]:
    """Reservations of the table ``r`` with what they were settled at.

    Raises:
        FaultError: a charge cannot be read.
    """
    query = _STORED.format(whose=_whose(connection), where=where)
    return (_stored(*row) for row in connection.execute(query, values))


def read_lines(connection: sqlite3.Connection, *, after: int) -> Iterator[Line]:
    """The entries behind one, oldest first, each with its reservation; one at a time is held in memory.

    Raises:
        FaultError: a charge cannot be read.
    """
    for row in connection.execute(_LINES.format(whose=_whose(connection)), (after,)):
        stored = row[_ENTRY_COLUMNS:]
        yield LedgerEntry(*row[:_ENTRY_COLUMNS]), None if stored[0] is None else _stored(*stored)


def fits(entry: LedgerEntry, stored: Stored | None) -> bool:
    """Whether an entry looks like one of its kind, and like its reservation.

    Raises:
        FaultError: the reservation itself cannot be.
    """
    rule = _RULES.get(entry.kind)
    return rule is not None and rule(entry, stored)


def _is_opening(entry: LedgerEntry, _: Stored | None) -> bool:
    return entry.seq == 1 and entry.balance_change_uj >= 0 and entry.reserved_change_uj == 0


def _is_grant(entry: LedgerEntry, _: Stored | None) -> bool:
    named = (entry.request_id or "").startswith("grant:")
    return named and entry.seq > 1 and entry.balance_change_uj > 0 and entry.reserved_change_uj == 0


def _is_credit(entry: LedgerEntry, _: Stored | None) -> bool:
    if entry.lo_uj is None or entry.hi_uj is None or entry.tier is None:
        return False
    inside = entry.lo_uj <= entry.balance_change_uj <= entry.hi_uj
    return inside and entry.seq > 1 and entry.request_id is None and entry.reserved_change_uj == 0


def _is_take(entry: LedgerEntry, stored: Stored | None) -> bool:
    if stored is None or entry.request_id != f"take:{stored.request_id}" or entry.note != whose(stored):
        return False
    covered = entry.reserved_uj <= entry.balance_uj
    return covered and (entry.balance_change_uj, entry.reserved_change_uj) == (0, stored.reserved_uj)


def _is_settle(entry: LedgerEntry, stored: Stored | None) -> bool:
    if stored is None or stored.state != "settled" or entry.request_id != f"settle:{stored.id}":
        return False
    paid = stored.charged
    if stored.charge is None or paid is None:
        raise FaultError(f"the reservation {stored.id} is settled without a charge")
    if stored.charge.lent and (stored.charge.sources or not is_lent(stored.request_id)):
        return False
    changes = (entry.balance_change_uj, entry.reserved_change_uj)
    known = (entry.lo_uj, entry.hi_uj, entry.tier) == (paid.lo_uj, paid.hi_uj, str(paid.tier))
    return known and paid.uj >= 0 and changes == (-paid.uj, -stored.reserved_uj)


def _is_release(entry: LedgerEntry, stored: Stored | None) -> bool:
    if stored is None or stored.state != "released" or entry.request_id != f"release:{stored.id}":
        return False
    return (entry.balance_change_uj, entry.reserved_change_uj) == (0, -stored.reserved_uj)


_RULES: dict[str, Callable[[LedgerEntry, Stored | None], bool]] = {
    "opening": _is_opening,
    "grant": _is_grant,
    "credit": _is_credit,
    "take": _is_take,
    "settle": _is_settle,
    "release": _is_release,
}
