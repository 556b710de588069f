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
    "TAIL",
    "check_account",
    "check_held",
    "check_tail",
    "fault_of",
    "read_settlements",
    "require_account",
]

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryoflux.database import read_only
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import (
    ENTRIES,
    SCHEMAS,
    VERSION,
    LedgerEntry,
    identity,
    read_entries,
    read_pending,
)
from cryoflux.errors import StateError, StateTamperedError
from cryoflux.quantities import Energy

TAIL = 4096
"""An account that is opened is checked whole up to so many entries, and over its last so many beyond."""

# What a damaged or foreign file can make SQLite say.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_SCHEMA_ROWS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_ENDINGS = {"settle": "settled", "release": "released"}
_HELD = "SELECT id, request_id, reserved_uj, state, charge FROM reservations"
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"


class _FaultError(Exception):
    """Something does not add up; the text says what."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A reservation, as its own table has it."""

    id: str
    request_id: str
    reserved_uj: int
    state: str
    charge: Charge | None
    """what it was settled at"""

    @property
    def charged(self) -> Energy | None:
        """The energy of that."""
        return self.charge.energy if self.charge else None


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _schema(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    return {(kind, name): " ".join(str(sql).split()) for kind, name, sql in connection.execute(_SCHEMA_ROWS)}


@cache
def _expected_schema(version: int) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMAS[version])
        return _schema(empty)


def require_account(connection: sqlite3.Connection, path: Path, *, new: bool = False) -> int:
    """Refuse a file that is not a joule account, whatever its entries say.

    Args:
        connection: open on ``path``.
        path: the file, for the message.
        new: an empty database will do too.

    Returns:
        The version of its tables; 0 for an empty database.

    Raises:
        StateError: a later version of CryoFlux wrote it.
        StateTamperedError: it is something else.
    """
    try:
        version = _version(connection)
        found = _schema(connection)
    except _UNREADABLE as error:
        raise _no_account(path) from error
    if new and not found and not version:
        return version
    if version and version not in SCHEMAS and ("table", "entries") in found:
        raise StateError(
            f"{path} has format {version}; this CryoFlux reads format {VERSION}.",
            why="Guessing at another format could lose entries.",
            hint="Use the CryoFlux version that wrote it, or start afresh with --state DIR.",
        )
    if version not in SCHEMAS or any(
        found.get(key) != sql for key, sql in _expected_schema(version).items() if key[0] == "table"
    ):
        raise _no_account(path)
    return version


def _no_account(path: Path) -> StateTamperedError:
    return StateTamperedError(
        f"{path} is not a joule account.",
        why="It is empty, or something else was put in its place, so it says nothing about joules.",
        hint="Restore account.db from a backup, or start afresh with --state DIR.",
    )


def _fault(check: Callable[[], None]) -> str:
    try:
        check()
    except _FaultError as fault:
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
    return _fault(lambda: _check_whole(connection))


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
    _refuse(path, _fault(lambda: _check_end(connection)))


def check_held(connection: sqlite3.Connection, path: Path, reservation: str) -> None:
    """Refuse a reservation that is not the one that its entries took and ended.

    Raises:
        StateTamperedError: it says what does not agree.
    """
    _refuse(path, _fault(lambda: _check_one(connection, reservation)))


def read_settlements(path: Path) -> dict[str, int | None]:
    """What every reservation of an account was settled at, µJ, by request id.

    None stands for one that is open; those that were released are left out. The file is not changed.

    Raises:
        StateTamperedError: the account does not add up, or is none.
        StateError: another version of CryoFlux wrote it.
        StorageError: it cannot be opened.
    """
    with closing(read_only(path)) as connection:
        require_account(connection, path)
        connection.execute("BEGIN")  # one view of it all, though a meter may write meanwhile
        check_account(connection, path)
        return {
            held.request_id: held.charged.uj if held.charged else None
            for held in _reservations(connection)
            if held.state != "released"
        }


def _check_schema(connection: sqlite3.Connection) -> None:
    found, expected = _schema(connection), _expected_schema(_version(connection))
    for kind, name in sorted(expected.keys() | found.keys()):
        if (kind, name) not in found:
            raise _FaultError(f"the {kind} {name} is missing")
        if found[kind, name] != expected.get((kind, name)):
            raise _FaultError(f"the {kind} {name} is not as it was made")


def _reservations(connection: sqlite3.Connection, where: str = "", *values: str) -> Iterator[_Held]:
    for row in connection.execute(_HELD + where, values):
        reservation, request_id, uj, state, charge = row
        yield _Held(reservation, request_id, uj, state, _charged(reservation, state, charge))


def _charged(reservation: str, state: str, text: str | None) -> Charge | None:
    if text is None:
        if state == "settled":
            raise _FaultError(f"the reservation {reservation} is settled without a charge")
        return None
    try:
        charge = Charge.from_json(text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _FaultError(f"the charge of the reservation {reservation} cannot be read") from error
    return charge if state == "settled" else None


def _one(connection: sqlite3.Connection, reservation: str | None) -> _Held | None:
    return next(_reservations(connection, " WHERE id = ?", reservation), None) if reservation else None


def _check_whole(connection: sqlite3.Connection) -> None:
    _check_schema(connection)
    held = {one.id: one for one in _reservations(connection)}
    kinds: Counter[str] = Counter()
    start = LedgerEntry(0, "", None, None, 0, 0, 0, 0, None, None, None, "", "")
    for entry in _following(connection, start, lambda reservation: held.get(reservation or "")):
        kinds[entry.kind] += 1
    _check_counts(kinds, held)
    _check_sources(connection, held)
    _check_pending(connection)
    if not identity(connection).holds:
        raise _FaultError("the sums are not those of its entries")


def _check_end(connection: sqlite3.Connection) -> None:
    last = connection.execute(_LAST).fetchone()
    if last is None or last[0] <= TAIL:
        _check_whole(connection)
        return
    _check_schema(connection)
    start = next(read_entries(connection, after=last[0] - TAIL - 1), None)
    if start is None or start.seq != last[0] - TAIL:
        raise _FaultError(f"entry {last[0] - TAIL} is missing")
    reserved_uj = start.reserved_uj
    for entry in _following(connection, start, lambda reservation: _one(connection, reservation)):
        reserved_uj = entry.reserved_uj
    _check_open(connection, reserved_uj)
    _check_pending(connection)


def _following(
    connection: sqlite3.Connection, start: LedgerEntry, held: Callable[[str | None], _Held | None]
) -> Iterator[LedgerEntry]:
    balance_uj, reserved_uj, count = start.balance_uj, start.reserved_uj, start.seq
    for count, entry in enumerate(read_entries(connection, after=start.seq), start=start.seq + 1):
        balance_uj += entry.balance_change_uj
        reserved_uj += entry.reserved_change_uj
        if entry.seq != count:
            raise _FaultError(f"entry {count} is missing")
        if (entry.balance_uj, entry.reserved_uj) != (balance_uj, reserved_uj):
            raise _FaultError(f"entry {count} ({entry.kind}) does not follow from the one before")
        rule = _RULES.get(entry.kind)
        if rule is None or not rule(entry, held(entry.reservation)):
            raise _FaultError(f"entry {count} is not what a {entry.kind} looks like")
        yield entry
    if not count or connection.execute(_LAST).fetchone() != (count,):
        raise _FaultError("entries are missing at its end")


def _check_counts(kinds: Mapping[str, int], held: Mapping[str, _Held]) -> None:
    # Request ids are unique, so where the numbers agree each reservation has its entries once.
    states = Counter(one.state for one in held.values())
    if kinds["take"] != len(held):
        raise _FaultError("its reservations are not those that its entries took")
    for kind, state in _ENDINGS.items():
        if kinds[kind] != states[state]:
            raise _FaultError(f"a reservation is {state} without an entry")


def _check_sources(connection: sqlite3.Connection, held: Mapping[str, _Held]) -> None:
    if _version(connection) == 1:
        return
    known = {name for (name,) in connection.execute("SELECT name FROM sources")}
    if known != {name for one in held.values() if one.charge for name in one.charge.sources}:
        raise _FaultError("its sources are not those that its settlements were measured by")


def _check_pending(connection: sqlite3.Connection) -> None:
    if _version(connection) == 1:
        return
    rows = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
    pending = read_pending(connection)
    if rows != 1 or (pending.readings > 0) != bool(pending.since):
        raise _FaultError("its pending credit is not as it was made")
    if not pending.readings and (pending.uj, pending.lo_uj, pending.hi_uj, pending.tier) != (0, 0, 0, ""):
        raise _FaultError("its pending credit comes from no reading")
    if pending.readings:
        pending.energy()  # where it is none, that is said


def _check_open(connection: sqlite3.Connection, reserved_uj: int) -> None:
    opened = list(_reservations(connection, " WHERE state = 'open'"))
    if sum(one.reserved_uj for one in opened) != reserved_uj:
        raise _FaultError("its open reservations are not what its entries hold")
    for one in opened:
        _check_one(connection, one.id)


def _check_one(connection: sqlite3.Connection, reservation: str) -> None:
    held = _one(connection, reservation)
    if held is None:
        raise _FaultError(f"the reservation {reservation} is missing")
    due = {f"take:{held.request_id}": "take"}
    due |= {f"{kind}:{held.id}": kind for kind, state in _ENDINGS.items() if state == held.state}
    query = f"{ENTRIES} WHERE request_id IN (?, ?, ?)"
    keys = (f"take:{held.request_id}", *(f"{kind}:{held.id}" for kind in _ENDINGS))
    found = [LedgerEntry(*row) for row in connection.execute(query, keys)]
    if {entry.request_id: entry.kind for entry in found} != due:
        raise _FaultError(
            f"the entries of the reservation {reservation} are not those of one that is {held.state}"
        )
    for entry in found:
        if entry.reservation != held.id or not _RULES[entry.kind](entry, held):
            raise _FaultError(f"entry {entry.seq} is not what a {entry.kind} looks like")


def _is_opening(entry: LedgerEntry, _: _Held | None) -> bool:
    return entry.seq == 1 and entry.balance_change_uj >= 0 and entry.reserved_change_uj == 0


def _is_grant(entry: LedgerEntry, _: _Held | None) -> bool:
    named = (entry.request_id or "").startswith("grant:")
    return named and entry.seq > 1 and entry.balance_change_uj > 0 and entry.reserved_change_uj == 0


def _is_credit(entry: LedgerEntry, _: _Held | None) -> bool:
    if entry.lo_uj is None or entry.hi_uj is None or entry.tier is None:
        return False
    inside = entry.lo_uj <= entry.balance_change_uj <= entry.hi_uj
    return inside and entry.seq > 1 and entry.request_id is None and entry.reserved_change_uj == 0


def _is_take(entry: LedgerEntry, held: _Held | None) -> bool:
    if held is None or entry.request_id != f"take:{held.request_id}":
        return False
    covered = entry.reserved_uj <= entry.balance_uj
    return covered and (entry.balance_change_uj, entry.reserved_change_uj) == (0, held.reserved_uj)


def _is_settle(entry: LedgerEntry, held: _Held | None) -> bool:
    if held is None or held.charged is None or entry.request_id != f"settle:{held.id}":
        return False
    paid = held.charged
    changes = (entry.balance_change_uj, entry.reserved_change_uj)
    known = (entry.lo_uj, entry.hi_uj, entry.tier) == (paid.lo_uj, paid.hi_uj, str(paid.tier))
    return known and paid.uj >= 0 and changes == (-paid.uj, -held.reserved_uj)


def _is_release(entry: LedgerEntry, held: _Held | None) -> bool:
    if held is None or held.state != "released" or entry.request_id != f"release:{held.id}":
        return False
    return (entry.balance_change_uj, entry.reserved_change_uj) == (0, -held.reserved_uj)


_RULES: dict[str, Callable[[LedgerEntry, _Held | None], bool]] = {
    "opening": _is_opening,
    "grant": _is_grant,
    "credit": _is_credit,
    "take": _is_take,
    "settle": _is_settle,
    "release": _is_release,
}
