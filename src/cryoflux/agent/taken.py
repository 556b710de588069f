"""The answer to a take, and why there is none: what there is, what was asked for, and what would help."""

from __future__ import annotations

__all__ = ["TakeReply", "TooLittle", "too_little"]

import math
import secrets
from typing import Literal

from cryoflux.agent.schemas import ErrorBody, Wire
from cryoflux.energy.account.ledger import Standing
from cryoflux.energy.interface import Reservation
from cryoflux.quantities import MICRO

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


class TooLittle(ErrorBody):
    """Why a take gave nothing."""

    asked_uj: int
    available_uj: int
    """balance less what is reserved"""
    balance_uj: int
    reserved_uj: int
    """by open reservations"""
    reservations_open: int
    credit_w: float
    """net power that is credited now; 0 where only grants count"""
    enough_in_s: float | None
    """when the bucket would hold enough at that power; none where never"""


class TakeReply(Wire):
    """Whether the joules are yours, and what is left."""

    ok: bool
    remaining_j: float
    remaining_uj: int
    reservation: str | None = None
    """the id of what was taken"""
    state: Literal["open", "settled"] | None = None
    """open: reserved, and to be settled or released; settled: withdrawn, and charged as it is"""
    log: str = ""
    """what the reservation keeps as its log"""
    intent: str = ""
    """and as its announcement"""
    reason: TooLittle | None = None
    """where ok is false: why, and what to type"""

    @classmethod
    def of(cls, taken: Reservation, left_uj: int, *, withdrawn: bool) -> TakeReply:
        """The wire form of what was given."""
        return cls(
            ok=True,
            remaining_j=left_uj / MICRO,
            remaining_uj=left_uj,
            reservation=taken.id,
            state="settled" if withdrawn else "open",
            log=taken.log,
            intent=taken.intent,
        )

    @classmethod
    def refused(cls, reason: TooLittle) -> TakeReply:
        """The wire form of nothing."""
        left_uj = reason.available_uj
        return cls(ok=False, remaining_j=left_uj / MICRO, remaining_uj=left_uj, reason=reason)


def too_little(uj: int, standing: Standing, credit_uw: int, *, grants_only: bool, curl: str) -> TooLittle:
    """Why so much cannot be taken now.

    Args:
        uj: what was asked for.
        standing: of the account.
        credit_uw: net power that is credited now, µW.
        grants_only: whether nothing but grants is ever credited.
        curl: what to type to reach this daemon, up to the path.
    """
    missing_uj = uj - standing.available_uj
    enough_in_s = missing_uj / credit_uw if credit_uw > 0 else None
    balance_uj = standing.available_uj + standing.reserved_uj
    what = f"{_joules(uj)} were asked for; {_joules(standing.available_uj)} can be taken"
    if standing.open:
        held = "1 open reservation holds" if standing.open == 1 else f"{standing.open} open reservations hold"
        what += f": the balance is {_joules(balance_uj)}, and {held} {_joules(standing.reserved_uj)} of it"
    return TooLittle(
        what=f"{what}.",
        why=f"A take is all or nothing. {_when(credit_uw, enough_in_s, grants_only=grants_only)}",
        hint=_hint(missing_uj, standing, curl),
        asked_uj=uj,
        available_uj=standing.available_uj,
        balance_uj=balance_uj,
        reserved_uj=standing.reserved_uj,
        reservations_open=standing.open,
        credit_w=credit_uw / MICRO,
        enough_in_s=enough_in_s,
    )


def _when(credit_uw: int, enough_in_s: float | None, *, grants_only: bool) -> str:
    if grants_only:
        return "This daemon counts granted joules alone, so there are no more until somebody grants them."
    if enough_in_s is None:
        return "Nothing is credited now: the machine draws no more than at rest."
    return (
        f"At the {credit_uw / MICRO:.3g} W that are credited now it would be enough in {_time(enough_in_s)}."
    )


def _hint(missing_uj: int, standing: Standing, curl: str) -> str:
    grant = f'{{"joules": {-(-missing_uj // MICRO)}, "request_id": "grant-{secrets.token_hex(4)}"}}'
    ended = ", or settle or release what is open (GET /v1/reservations lists it)" if standing.open else ""
    return f"Grant what is missing: {curl}/v1/grant -d '{grant}'{ended}, or ask for less."


def _joules(uj: int) -> str:
    """Every microjoule: what is missing may be one."""
    return f"{uj / MICRO:.6f}".rstrip("0").rstrip(".") + " J"


def _time(seconds: float) -> str:
    for unit_s, word in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {word}"
    return f"{math.ceil(seconds)} s"
