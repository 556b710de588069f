"""Whether a joule account adds up, entry by entry, and what it says was paid.

Every amount of an account stands in it more than once: as a change, in the totals after it, and with the
reservation. One pass compares them all, so an entry that was changed, removed or invented by hand is
found before anything is spent from it. Nothing here needs more than the standard library.
"""

from __future__ import annotations

__all__ = ["check_account", "fault_of", "read_settlements", "require_account"]

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryoflux.database import read_only
from cryoflux.energy.charge import Charge
from cryoflux.energy.ledger import SCHEMA, VERSION, LedgerEntry, identity, read_entries
from cryoflux.errors import StateError, StateTamperedError
from cryoflux.quantities import Energy

# What a damaged or foreign file can make SQLite say.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_SCHEMA_ROWS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_ENDINGS = {"settle": "settled", "release": "released"}


class _FaultError(Exception):
    """Something does not add up; the text says what."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A reservation, as its own table has it."""

    id: str
    request_id: str
    reserved_uj: int
    state: str
    charged: Energy | None


def _schema(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    return {(kind, name): " ".join(str(sql).split()) for kind, name, sql in connection.execute(_SCHEMA_ROWS)}


@cache
def _expected_schema() -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMA)
        return _schema(empty)


def require_account(connection: sqlite3.Connection, path: Path, *, new: bool = False) -> None:
    """Refuse a file that is not a joule account, whatever its entries say.

    Args:
        connection: open on ``path``.
        path: the file, for the message.
        new: an empty database will do too.

    Raises:
        StateError: another version of CryoFlux wrote it.
        StateTamperedError: it is something else.
    """
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        found = _schema(connection)
    except _UNREADABLE as error:
        raise _no_account(path) from error
    if new and not found and not version:
        return
    tables = {key: sql for key, sql in _expected_schema().items() if key[0] == "table"}
    if version and version != VERSION and ("table", "entries") in found:
        raise StateError(
            f"{path} has format {version}; this CryoFlux reads format {VERSION}.",
            why="Guessing at another format could lose entries.",
            hint="Use the CryoFlux version that wrote it, or start afresh with --state DIR.",
        )
    if version != VERSION or any(found.get(key) != sql for key, sql in tables.items()):
        raise _no_account(path)


def _no_account(path: Path) -> StateTamperedError:
    return StateTamperedError(
        f"{path} is not a joule account.",
        why="It is empty, or something else was put in its place, so it says nothing about joules.",
        hint="Restore account.db from a backup, or start afresh with --state DIR.",
    )


def fault_of(connection: sqlite3.Connection) -> str:
    """What does not add up in an account; empty where everything does."""
    try:
        _check_schema(connection)
        _check_entries(connection, _reservations(connection))
    except _FaultError as fault:
        return str(fault)
    except (*_UNREADABLE, TypeError) as error:
        return f"an entry cannot be read ({error})"
    return ""


def check_account(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse an account that does not add up.

    Raises:
        StateTamperedError: it says what does not.
    """
    if fault := fault_of(connection):
        raise StateTamperedError(
            f"The joule account {path} does not add up: {fault}.",
            why="An entry was changed, removed or invented, so its balance is no evidence of joules.",
            hint="Restore account.db from a backup, or start afresh with --state DIR.",
        )


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
            for held in _reservations(connection).values()
            if held.state != "released"
        }


def _check_schema(connection: sqlite3.Connection) -> None:
    found, expected = _schema(connection), _expected_schema()
    for kind, name in sorted(expected.keys() | found.keys()):
        if (kind, name) not in found:
            raise _FaultError(f"the {kind} {name} is missing")
        if found[kind, name] != expected.get((kind, name)):
            raise _FaultError(f"the {kind} {name} is not as it was made")


def _reservations(connection: sqlite3.Connection) -> dict[str, _Held]:
    rows = connection.execute("SELECT id, request_id, reserved_uj, state, charge FROM reservations")
    return {
        reservation: _Held(reservation, request_id, uj, state, _charged(reservation, state, charge))
        for reservation, request_id, uj, state, charge in rows
    }


def _charged(reservation: str, state: str, text: str | None) -> Energy | None:
    if text is None:
        if state == "settled":
            raise _FaultError(f"the reservation {reservation} is settled without a charge")
        return None
    try:
        energy = Charge.from_json(text).energy
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _FaultError(f"the charge of the reservation {reservation} cannot be read") from error
    return energy if state == "settled" else None


def _check_entries(connection: sqlite3.Connection, held: Mapping[str, _Held]) -> None:
    balance_uj = reserved_uj = count = 0
    kinds: Counter[str] = Counter()
    for count, entry in enumerate(read_entries(connection), start=1):
        balance_uj += entry.balance_change_uj
        reserved_uj += entry.reserved_change_uj
        kinds[entry.kind] += 1
        if entry.seq != count:
            raise _FaultError(f"entry {count} is missing")
        if (entry.balance_uj, entry.reserved_uj) != (balance_uj, reserved_uj):
            raise _FaultError(f"entry {count} ({entry.kind}) does not follow from the one before")
        rule = _RULES.get(entry.kind)
        if rule is None or not rule(entry, held.get(entry.reservation or "")):
            raise _FaultError(f"entry {count} is not what a {entry.kind} looks like")
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
    if not count or last != (count,):
        raise _FaultError("entries are missing at its end")
    _check_counts(kinds, held)
    if not identity(connection).holds:
        raise _FaultError("the sums are not those of its entries")


def _check_counts(kinds: Mapping[str, int], held: Mapping[str, _Held]) -> None:
    # Request ids are unique, so where the numbers agree each reservation has its entries once.
    states = Counter(one.state for one in held.values())
    if kinds["take"] != len(held):
        raise _FaultError("its reservations are not those that its entries took")
    for kind, state in _ENDINGS.items():
        if kinds[kind] != states[state]:
            raise _FaultError(f"a reservation is {state} without an entry")


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
