"""Every amount of an account stands in it more than once; here they are compared.

All of it in one pass, with one reservation in memory at a time; or its end alone; or one reservation.
"""

from __future__ import annotations

__all__ = ["TAIL", "check_end", "check_one", "since", "whole"]

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from cryoflux.energy.account.ledger import (
    ENTRIES,
    LedgerEntry,
    identity,
    kept_sums,
    read_entries,
    read_pending,
    summed,
)
from cryoflux.energy.account.rules import FaultError, Line, fits, read_lines, read_stored
from cryoflux.energy.account.tables import missing_or_changed, version_of

TAIL = 4096
"""An account that is opened is checked whole up to so many entries, and over its last so many beyond."""

_FIRST_WITH_SUMS = 4
_ENDINGS = {"settle": "settled", "release": "released"}
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
# Read as the table has it: an index may have been edited too.
_STATES = "SELECT state, count(*) FROM reservations NOT INDEXED GROUP BY state"
_INDEXED = ("entries", "reservations")


def whole(connection: sqlite3.Connection) -> Iterator[Line]:
    """All entries of an account, oldest first; it adds up if going through them comes to an end.

    Raises:
        FaultError: it does not.
    """
    _check_schema(connection)
    # First, since it reads the table in the order in which it lies on the disk.
    states = dict(connection.execute(_STATES).fetchall())
    kinds: Counter[str] = Counter()
    sources: set[str] = set()
    for entry, stored in _following(connection, None):
        kinds[entry.kind] += 1
        if stored is not None and stored.charge is not None:
            sources.update(stored.charge.sources)
        yield entry, stored
    _check_counts(kinds, states)
    for _ in read_stored(connection, "r.state = 'open'"):
        pass  # what was noted can be read
    _check_sources(connection, sources)
    _check_pending(connection)
    if not identity(connection).holds or not _sums_hold(connection):
        raise FaultError("the sums are not those of its entries")
    _check_indexes(connection)


def check_end(connection: sqlite3.Connection) -> None:
    """Compare the last `TAIL` entries, the kept sums, what is pending, and up to `TAIL` open reservations.

    Raises:
        FaultError: something does not add up.
    """
    last = connection.execute(_LAST).fetchone()
    short = last is None or last[0] <= TAIL
    lines = whole(connection) if short else since(connection, last[0] - TAIL, most_open=TAIL)
    for _ in lines:
        pass


def since(
    connection: sqlite3.Connection,
    seq: int,
    totals: tuple[int, int] | None = None,
    *,
    most_open: int | None = None,
) -> Iterator[Line]:
    """The entries behind one, oldest first; they, the sums, what is pending and what is open are compared.

    Args:
        connection: to the account.
        seq: number of that entry.
        totals: balance and what was reserved, µJ, as it should say; none where it is believed.
        most_open: no more open reservations than this are looked at; none for all of them.

    Raises:
        FaultError: something does not add up.
    """
    _check_schema(connection)
    start = next(read_entries(connection, after=seq - 1), None)
    if start is None or start.seq != seq:
        raise FaultError(f"entry {seq} is missing")
    if totals is not None and totals != (start.balance_uj, start.reserved_uj):
        raise FaultError(f"entry {seq} is not what it was before")
    last = start
    for entry, stored in _following(connection, start):
        last = entry
        yield entry, stored
    _check_totals(connection, last)
    _check_open(connection, last.reserved_uj, most_open)
    _check_pending(connection)


def check_one(connection: sqlite3.Connection, reservation: str) -> None:
    """Compare one reservation with the entries that took and ended it.

    Raises:
        FaultError: they do not agree.
    """
    stored = next(read_stored(connection, "r.id = ?", reservation), None)
    if stored is None:
        raise FaultError(f"the reservation {reservation} is missing")
    due = {f"take:{stored.request_id}": "take"}
    due |= {f"{kind}:{stored.id}": kind for kind, state in _ENDINGS.items() if state == stored.state}
    query = f"{ENTRIES} WHERE e.request_id IN (?, ?, ?)"
    keys = (f"take:{stored.request_id}", *(f"{kind}:{stored.id}" for kind in _ENDINGS))
    found = [LedgerEntry(*row) for row in connection.execute(query, keys)]
    if {entry.request_id: entry.kind for entry in found} != due:
        raise FaultError(
            f"the entries of the reservation {reservation} are not those of one that is {stored.state}"
        )
    for entry in found:
        if entry.reservation != stored.id or not fits(entry, stored):
            raise _unlike(entry)


def _unlike(entry: LedgerEntry) -> FaultError:
    return FaultError(f"entry {entry.seq} is not what a {entry.kind} looks like")


def _check_schema(connection: sqlite3.Connection) -> None:
    if fault := missing_or_changed(connection):
        raise FaultError(fault)


def _following(connection: sqlite3.Connection, start: LedgerEntry | None) -> Iterator[Line]:
    """The entries behind one, or all of them; each follows from the one before, and the last is the last."""
    balance_uj, reserved_uj, count = (start.balance_uj, start.reserved_uj, start.seq) if start else (0, 0, 0)
    for entry, stored in read_lines(connection, after=count):
        count += 1
        balance_uj += entry.balance_change_uj
        reserved_uj += entry.reserved_change_uj
        if entry.seq != count:
            raise FaultError(f"entry {count} is missing")
        if (entry.balance_uj, entry.reserved_uj) != (balance_uj, reserved_uj):
            raise FaultError(f"entry {count} ({entry.kind}) does not follow from the one before")
        if not fits(entry, stored):
            raise _unlike(entry)
        yield entry, stored
    if not count or connection.execute(_LAST).fetchone() != (count,):
        raise FaultError("entries are missing at its end")


def _check_counts(kinds: Mapping[str, int], states: Mapping[str, int]) -> None:
    # Request ids are unique, so where the numbers agree each reservation has its entries once.
    if kinds["take"] != sum(states.values()):
        raise FaultError("its reservations are not those that its entries took")
    for kind, state in _ENDINGS.items():
        if kinds[kind] != states.get(state, 0):
            raise FaultError(f"a reservation is {state} without an entry")


def _check_sources(connection: sqlite3.Connection, sources: AbstractSet[str]) -> None:
    if version_of(connection) == 1:
        return
    if {name for (name,) in connection.execute("SELECT name FROM sources")} != sources:
        raise FaultError("its sources are not those that its settlements were measured by")


def _check_pending(connection: sqlite3.Connection) -> None:
    if version_of(connection) == 1:
        return
    rows = connection.execute("SELECT count(*) FROM (SELECT 1 FROM pending LIMIT 2)").fetchone()[0]
    pending = read_pending(connection)
    if rows != 1 or (pending.readings > 0) != bool(pending.since):
        raise FaultError("its pending credit is not as it was made")
    if not pending.readings and (pending.uj, pending.lo_uj, pending.hi_uj, pending.tier) != (0, 0, 0, ""):
        raise FaultError("its pending credit comes from no reading")
    if pending.readings:
        pending.energy()  # where it is none, that is said


def _check_indexes(connection: sqlite3.Connection) -> None:
    # What makes request ids unique, and finds a reservation, is an index; SQLite compares it with its table.
    for table in _INDEXED:
        (said,) = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
        if said != "ok":
            raise FaultError(f"the table {table} and its indexes do not agree ({said})")


def _sums_hold(connection: sqlite3.Connection) -> bool:
    return version_of(connection) < _FIRST_WITH_SUMS or kept_sums(connection) == summed(connection)


def _check_totals(connection: sqlite3.Connection, last: LedgerEntry) -> None:
    """Compare the sums that are kept with the totals that the last entry carries; each is the other's."""
    if version_of(connection) < _FIRST_WITH_SUMS:
        return
    totals = [sum(column) for column in zip(*kept_sums(connection).values(), strict=True)]
    if totals != [last.seq, last.balance_uj, last.reserved_uj]:
        raise FaultError("the sums are not those of its entries")


def _check_open(connection: sqlite3.Connection, reserved_uj: int, most: int | None) -> None:
    """Compare open reservations with their entries, and their sum where all of them are looked at."""
    limit = -1 if most is None else most + 1  # one more tells whether there are more
    opened = list(read_stored(connection, f"r.state = 'open' LIMIT {limit}"))
    if most is not None and len(opened) > most:
        opened.pop()
    elif sum(stored.reserved_uj for stored in opened) != reserved_uj:
        raise FaultError("its open reservations are not what its entries hold")
    for stored in opened:
        check_one(connection, stored.id)
