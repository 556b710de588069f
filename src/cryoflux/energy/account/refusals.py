"""What the account does not do, said to whoever asked."""

from __future__ import annotations

__all__ = [
    "INTENT_PATTERN",
    "LOG_PATTERN",
    "ReservationConflictError",
    "UnknownReservationError",
    "another_amount",
    "another_intent",
    "another_kind",
    "another_log",
    "check_amount",
    "check_repaid",
    "check_wanted",
    "metered_here",
    "not_metered_here",
    "require_open",
    "too_little",
    "unknown",
    "used_up",
]

import re

from cryoflux.energy.account.charge import FACE_VALUE, LENT
from cryoflux.energy.account.ledger import Record, State
from cryoflux.energy.interface import Reservation, is_lent
from cryoflux.errors import BudgetError, UsageError
from cryoflux.quantities import Energy, format_energy

LOG_PATTERN = r"^[ -~]{0,200}$"
"""What names a receipt log: printable ASCII, as its origin is."""
INTENT_PATTERN = r"^([0-9a-f]{64})?$"
"""What names an announcement: the leaf hash of its entry."""
_MOST_UJ = 2**53 - 1
_FLAG = re.compile(r"[!-~]{1,100}")
_MOST_FLAGS = 50


class UnknownReservationError(UsageError):
    """There is no such reservation."""


class ReservationConflictError(UsageError):
    """A request id comes again with other content, or a reservation is not in the state for this."""


def check_amount(uj: int) -> None:
    """Refuse an amount, µJ, that can be neither granted nor taken."""
    if not 0 < uj <= _MOST_UJ:
        raise UsageError(
            f"{uj} µJ cannot be granted or taken.",
            why="An amount lies above zero and up to 9 GJ.",
            hint="Ask for a positive amount of joules.",
        )


def check_wanted(wanted: Reservation, *, lent: bool = False) -> None:
    """Refuse an amount that cannot be taken, and what can be no log or announcement; none of them is fine.

    Args:
        wanted: the reservation as it is asked for.
        lent: whether another meter is to charge it; its request id has to say the same.
    """
    check_amount(wanted.reserved_uj)
    if is_lent(wanted.request_id) != lent:
        named = "names no joules that are lent" if lent else "names joules that are lent"
        raise UsageError(
            f"The request id {wanted.request_id!r} {named}.",
            why="REQUEST/lent/WORKER is what another meter charges, and nothing else is.",
            hint="Lend under such a request id, and take under another one.",
        )
    if not re.fullmatch(LOG_PATTERN, wanted.log):
        raise UsageError(
            "What is named as the log of a reservation is not the origin of one.",
            why="An origin is at most 200 printable ASCII characters.",
            hint="Name the log as its checkpoint does in its first line, or none.",
        )
    if not re.fullmatch(INTENT_PATTERN, wanted.intent):
        raise UsageError(
            "What is named as the announcement of a reservation is not the leaf hash of an entry.",
            why="One is 64 hexadecimal digits, in lower case.",
            hint="Name the entry of the log that announced the attempt, or none.",
        )


def check_repaid(energy: Energy) -> None:
    """Refuse what no meter can have charged: it comes from another machine."""
    in_bounds = energy.lo_uj >= 0 and energy.hi_uj <= _MOST_UJ
    # As words with a space between they become the note of an entry, and a few mean something to an account.
    words = len(energy.flags) <= _MOST_FLAGS and all(map(_FLAG.fullmatch, energy.flags))
    if not in_bounds or not words or {FACE_VALUE, LENT} & set(energy.flags):
        raise UsageError(
            "What is to be repaid is no charge of a meter.",
            why="One lies between zero and 9 GJ with both its ends, and its flags are words for how it was "
            "metered.",
            hint="Repay what the other meter's settlement says.",
        )


def another_amount(request_id: str) -> ReservationConflictError:
    """A request id comes again for another amount."""
    return _conflict(request_id, "another amount")


def another_log(request_id: str) -> ReservationConflictError:
    """A request id comes again for an attempt of another log."""
    return _conflict(request_id, "an attempt of another log")


def another_intent(request_id: str) -> ReservationConflictError:
    """A request id comes again for another announcement."""
    return _conflict(request_id, "an attempt that was announced elsewhere")


def another_kind(request_id: str) -> ReservationConflictError:
    """A request id comes again to withdraw what it reserved."""
    return _conflict(request_id, "a reservation")


def _conflict(request_id: str, other: str) -> ReservationConflictError:
    return ReservationConflictError(
        f"The request id {request_id!r} was used before, for {other}.",
        why="A repeated request must mean the same thing, or it could spend twice.",
        hint="Use a new request id for a new request.",
    )


def used_up(request_id: str, state: State) -> ReservationConflictError:
    """A request id comes again whose reservation has ended."""
    return ReservationConflictError(
        f"The joules taken with the request id {request_id!r} are {state} already.",
        why="Joules are given out once per request id, so nothing is reserved for this request.",
        hint="Take again with a new request id.",
    )


def too_little(uj: int, available_uj: int) -> BudgetError:
    """More is asked for than there is."""
    return BudgetError(
        f"{format_energy(uj)} were asked for; the bucket holds {format_energy(available_uj)}.",
        why="A take is all or nothing, so that no attempt starts that cannot be paid.",
        hint="Grant more joules with --budget, or ask for less.",
    )


def unknown(reservation_id: str) -> UnknownReservationError:
    """There is no reservation of that id."""
    return UnknownReservationError(
        f"There is no reservation {reservation_id!r}.",
        why="Only what was taken can be settled or released.",
        hint="`cryoflux energy ledger` lists what was taken.",
    )


def require_open(record: Record) -> None:
    """Refuse a reservation that has ended."""
    if record.state != "open":
        raise ReservationConflictError(
            f"The reservation {record.reservation.id!r} is {record.state} already.",
            why="Joules are given back or charged once.",
            hint="Take again for another attempt.",
        )


def not_metered_here(record: Record) -> ReservationConflictError:
    """What was lent is to be settled."""
    return ReservationConflictError(
        f"The reservation {record.reservation.id!r} was lent to another meter.",
        why="Nobody here metered it, so nobody here knows what it cost.",
        hint="Repay it with what the other meter charged, or release it where that was nothing.",
    )


def metered_here(record: Record) -> ReservationConflictError:
    """What was taken is to be repaid."""
    return ReservationConflictError(
        f"The reservation {record.reservation.id!r} was not lent.",
        why="It is charged what this meter measures, and nothing that another one says.",
        hint="Settle it.",
    )
