"""The joule account, read and added to.

Entries are only ever added; triggers refuse anything else. Each entry changes two accounts, the
balance and what is reserved of it, and carries both as they stand after it, so that the account's
state is its last entry and the identity can be checked by adding up. A meter that credits every second
would add 31 million entries a year, so its small credits gather in one row, `pending`, that counts as
part of the balance and becomes one entry before any other entry is written (docs/explanation/account.md).
"""

from __future__ import annotations

__all__ = [
    "ENTRIES",
    "RECORDS",
    "Identity",
    "KindSum",
    "LedgerEntry",
    "Pending",
    "Position",
    "Record",
    "State",
    "add_credit",
    "append",
    "fold",
    "identity",
    "kept_sums",
    "position",
    "read_entries",
    "read_pending",
    "record_of",
    "standing",
    "summed",
]

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.interface import Reservation
from cryoflux.energy.processes import Owner
from cryoflux.quantities import Energy, Tier

State = Literal["open", "settled", "released"]

_ADD = (
    "UPDATE pending SET uj = uj + ?, lo_uj = lo_uj + ?, hi_uj = hi_uj + ?, readings = readings + 1"
    " WHERE id = 1 AND readings > 0 AND tier = ? AND flags = ?"
)
_REPLACE = (
    "UPDATE pending SET uj = ?, lo_uj = ?, hi_uj = ?, tier = ?, flags = ?, since = ?, readings = ?"
    " WHERE id = 1"
)
_PENDING = "SELECT uj, lo_uj, hi_uj, tier, flags, since, readings FROM pending WHERE id = 1"
_POSITION = (
    "SELECT e.balance_uj, e.reserved_uj, p.uj, p.readings FROM pending p, entries e"
    " WHERE p.id = 1 AND e.seq = (SELECT max(seq) FROM entries)"
)
ENTRIES = (
    "SELECT e.seq, e.kind, e.request_id, e.reservation, e.balance_change_uj, e.reserved_change_uj,"
    " e.balance_uj, e.reserved_uj, e.lo_uj, e.hi_uj, e.tier, e.at, e.note FROM entries e"
)
RECORDS = (
    "SELECT r.id, r.request_id, r.reserved_uj, r.log, r.intent, r.state, r.pid, r.start_ticks, r.boot_id,"
    " r.charge, r.noted_ns, r.noted_boot FROM reservations r"
)
_SUMMED = "SELECT kind, count(*), sum(balance_change_uj), sum(reserved_change_uj) FROM entries GROUP BY kind"
_APPEND = (
    "INSERT INTO entries (kind, request_id, reservation, balance_change_uj, reserved_change_uj,"
    " balance_uj, reserved_uj, lo_uj, hi_uj, tier, at, note) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)


class LedgerEntry(NamedTuple):
    """One line of the account."""

    seq: int
    kind: str
    request_id: str | None
    reservation: str | None
    balance_change_uj: int
    reserved_change_uj: int
    balance_uj: int
    """after this entry"""
    reserved_uj: int
    """after this entry"""
    lo_uj: int | None
    """of a credit or a settlement: the lower end of its energy"""
    hi_uj: int | None
    tier: str | None
    at: str
    """UTC wall time; a label"""
    note: str


@dataclass(frozen=True, slots=True)
class Record:
    """A reservation as it is stored."""

    reservation: Reservation
    state: State
    owner: Owner | None
    charge: Charge | None
    """what it was settled at, or what was noted last; of one that was lent, that"""
    noted_ns: int
    """monotonic time of the last note, or of the take"""
    noted_boot: str

    @property
    def settled(self) -> Charge | None:
        """What it was settled at."""
        return self.charge if self.state == "settled" else None

    @property
    def lent(self) -> bool:
        """Whether another meter charges it, and nobody here meters it."""
        return self.charge is not None and self.charge.lent

    @property
    def withdrawn(self) -> bool:
        """Whether it was charged what was asked for, when it was granted."""
        return self.settled is not None and self.settled.decided


@dataclass(frozen=True, slots=True)
class Pending:
    """Credit that is in the balance and not yet an entry."""

    uj: int
    lo_uj: int
    hi_uj: int
    tier: str
    """empty where nothing is pending"""
    flags: str
    """words, with a space between"""
    since: str
    """UTC wall time of the first reading; a label"""
    readings: int
    """how many credits it is the sum of"""

    def energy(self) -> Energy:
        """The sum, as one amount of energy."""
        try:
            return Energy(self.uj, self.lo_uj, self.hi_uj, Tier(self.tier), tuple(self.flags.split()))
        except ValueError as error:
            raise sqlite3.DatabaseError(f"its pending credit cannot be read ({error})") from error


@dataclass(frozen=True, slots=True)
class Position:
    """Where the account stands: after its last entry, and what is pending on top."""

    balance_uj: int
    """as the last entry says"""
    reserved_uj: int
    pending_uj: int = 0
    readings: int = 0

    @property
    def available_uj(self) -> int:
        """What can be taken."""
        return self.balance_uj + self.pending_uj - self.reserved_uj


def record_of(row: tuple[Any, ...]) -> Record:
    """A reservation from a row of `RECORDS`."""
    (
        reservation_id,
        request_id,
        reserved_uj,
        log,
        intent,
        state,
        pid,
        start_ticks,
        boot_id,
        charge,
        noted_ns,
        noted_boot,
    ) = row
    return Record(
        reservation=Reservation(reservation_id, request_id, reserved_uj, log, intent),
        state=state,
        owner=None if pid is None else Owner(pid, start_ticks, boot_id),
        charge=Charge.from_json(charge) if charge else None,
        noted_ns=noted_ns,
        noted_boot=noted_boot,
    )


def read_entries(connection: sqlite3.Connection, *, after: int = 0) -> Iterator[LedgerEntry]:
    """All entries, or those behind one, oldest first."""
    query = f"{ENTRIES} WHERE e.seq > ? ORDER BY e.seq"
    return (LedgerEntry(*row) for row in connection.execute(query, (after,)))


def read_pending(connection: sqlite3.Connection) -> Pending:
    """What is pending; an account of the first version has nothing."""
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'pending'").fetchone()
    row = connection.execute(_PENDING).fetchone() if known else None
    return Pending(*row) if row else Pending(0, 0, 0, "", "", "", 0)


def position(connection: sqlite3.Connection) -> Position:
    """Where the account stands now."""
    row = connection.execute(_POSITION).fetchone()
    if row is None:
        raise sqlite3.DatabaseError("its last entry or its pending credit is missing")
    return Position(*row)


def append(
    connection: sqlite3.Connection,
    before: Position,
    kind: str,
    at: str,
    *,
    balance_uj: int = 0,
    reserved_uj: int = 0,
    request_id: str | None = None,
    reservation: str | None = None,
    energy: Energy | None = None,
    note: str = "",
) -> Position:
    """Add an entry behind ``before``, and say where the account stands then."""
    interval = (energy.lo_uj, energy.hi_uj, energy.tier) if energy else (None, None, None)
    after = (before.balance_uj + balance_uj, before.reserved_uj + reserved_uj)
    connection.execute(
        _APPEND, (kind, request_id, reservation, balance_uj, reserved_uj, *after, *interval, at, note)
    )
    return Position(*after)


def add_credit(connection: sqlite3.Connection, energy: Energy, at: Callable[[], str]) -> None:
    """Add to what is pending; one statement where the figure is of the same kind as those before it."""
    changes = (energy.uj, energy.lo_uj, energy.hi_uj)
    flags = " ".join(energy.flags)
    if connection.execute(_ADD, (*changes, energy.tier, flags)).rowcount:
        return
    before = read_pending(connection)
    total = before.energy() + energy if before.readings else energy
    row = (total.uj, total.lo_uj, total.hi_uj, total.tier, " ".join(total.flags), before.since or at())
    if not connection.execute(_REPLACE, (*row, before.readings + 1)).rowcount:
        raise sqlite3.DatabaseError("its pending credit is missing")


def fold(connection: sqlite3.Connection, at: str) -> Position:
    """Make one entry of what is pending, and say where the account stands then."""
    before = position(connection)
    if not before.readings:
        return before
    pending = read_pending(connection)
    energy = pending.energy()
    many = f"{pending.readings} readings since {pending.since}" if pending.readings > 1 else ""
    note = " ".join(part for part in (pending.flags, many) if part)
    after = append(connection, before, "credit", at, balance_uj=energy.uj, energy=energy, note=note)
    connection.execute(_REPLACE, (0, 0, 0, "", "", "", 0))
    return after


@dataclass(frozen=True, slots=True)
class Identity:
    """``balance = opening + grants + net credited − settled``, added up from the entries."""

    opening_uj: int
    granted_uj: int
    credited_uj: int
    """with what is pending"""
    settled_uj: int
    balance_uj: int
    """as the last entry says, with what is pending"""
    reserved_uj: int
    """as the last entry says"""
    open_uj: int
    """sum of the open reservations"""
    pending_uj: int = 0
    """of what was credited: not yet an entry"""

    @property
    def holds(self) -> bool:
        """Whether everything adds up, to the microjoule."""
        total_uj = self.opening_uj + self.granted_uj + self.credited_uj - self.settled_uj
        return self.balance_uj == total_uj and self.reserved_uj == self.open_uj

    @property
    def available_uj(self) -> int:
        """What can be taken."""
        return self.balance_uj - self.reserved_uj


class KindSum(NamedTuple):
    """All entries of one kind, added up."""

    entries: int
    balance_uj: int
    reserved_uj: int


def summed(connection: sqlite3.Connection) -> dict[str, KindSum]:
    """By kind, what its entries come to, added up now."""
    return {kind: KindSum(*row) for kind, *row in connection.execute(_SUMMED)}


def kept_sums(connection: sqlite3.Connection) -> dict[str, KindSum]:
    """The same as the account has kept it: as many rows as there are kinds, however many entries."""
    return {kind: KindSum(*row) for kind, *row in connection.execute("SELECT * FROM sums")}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands, without adding anything up."""

    available_uj: int
    """what can be taken"""
    reserved_uj: int
    """what open reservations hold"""
    open: int
    """how many those are"""


def standing(connection: sqlite3.Connection) -> Standing:
    """Where an account of the newest format stands now."""
    now, kept = position(connection), kept_sums(connection)
    number = {kind: kept[kind].entries if kind in kept else 0 for kind in ("take", "settle", "release")}
    open_ = number["take"] - number["settle"] - number["release"]
    return Standing(now.available_uj, now.reserved_uj, open_)


def identity(connection: sqlite3.Connection) -> Identity:
    """Add up all entries."""
    sums = {kind: total.balance_uj for kind, total in summed(connection).items()}
    last = connection.execute("SELECT balance_uj, reserved_uj FROM entries ORDER BY seq DESC LIMIT 1")
    balance_uj, reserved_uj = last.fetchone() or (0, 0)
    open_sum = connection.execute("SELECT sum(reserved_uj) FROM reservations WHERE state = 'open'")
    pending_uj = read_pending(connection).uj
    return Identity(
        opening_uj=sums.get("opening", 0),
        granted_uj=sums.get("grant", 0),
        credited_uj=sums.get("credit", 0) + pending_uj,
        settled_uj=-sums.get("settle", 0),
        balance_uj=balance_uj + pending_uj,
        reserved_uj=reserved_uj,
        open_uj=open_sum.fetchone()[0] or 0,
        pending_uj=pending_uj,
    )
