"""Part of step 10: what an entry says that something was charged, and which meter charged which part of it.

Where one meter charged all of it, that is one part, and findings do not speak of parts.
"""

from __future__ import annotations

__all__ = ["Metered", "ShownPart", "metered", "of_round", "of_session", "shown_parts"]

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from cryoflux.energy.interface import is_lent, lent_request, worker_request
from cryoflux.receipts.charged import NEVER_RESERVED, SETTLED_ELSEWHERE, EnergyFigure, MeteredPart
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.session import Session, SessionEnd
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.verification.result import Finding
from cryoflux.verification.walk import Paired

BY_CAUSE = {
    SETTLED_ELSEWHERE: {Cause.CRASHED},
    NEVER_RESERVED: {Cause.CRASHED, Cause.UNRESERVED, Cause.LOST},
}
"""flag → why an attempt can have ended so that nobody here metered it"""
_UNHEARD = {Cause.LOST, Cause.CRASHED}
"""why an attempt can have ended so that nobody heard the last word of a worker's meter"""


class ShownPart(Struct, frozen=True):
    """What one meter charged, as an entry shows it."""

    name: str
    """how a finding names the entry"""
    part: MeteredPart
    several: bool
    """whether the entry shows other parts too"""

    @property
    def whose(self) -> str:
        """How a finding names the part; empty where there is no other."""
        if not self.several:
            return ""
        return f"its worker {self.part.worker}" if self.part.worker else "its coordinator"

    def told(self, complaints: Iterable[str]) -> Iterator[str]:
        """Complaints about this part, with whose it is before each."""
        return (f"{self.whose} {said}" if self.several else said for said in complaints)

    def of_it(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Findings about this part, with whose it is in each."""
        for found in findings:
            (detail,) = self.told([found.detail])
            yield structs.replace(found, detail=detail)

    def request(self, request: str) -> str:
        """The request id under which the coordinator's account paid for it.

        Args:
            request: by which the entry and its coordinator's meter know it.
        """
        lent = self.part.worker and not is_lent(request)  # what is called so is refused anyway
        return lent_request(request, self.part.worker) if lent else request

    def metered_as(self, request: str) -> str:
        """The request id under which its meter took the joules.

        Args:
            request: as of `request`.
        """
        return worker_request(request, self.part.worker) if self.part.worker else request


class Metered(Struct, frozen=True):
    """An entry that says what something was charged: a receipt, a round, or a session."""

    entry: Entry
    request: str
    """by which the account and the meter know it"""
    figure: EnergyFigure
    meter: str
    """``embedded`` or ``daemon``; empty where nobody knows"""
    intent: str
    """leaf hash of the entry that announced it; empty for a session"""
    cut_short: bool
    """whether another run closed it, after its own had ended, without a meter that knew of it"""
    unheard: bool
    """whether the last word of a worker's meter may have been lost, with its worker or with its run; that of
    a session always may"""
    worked: bool = False
    """whether it says what training or evaluation came to, which died with its run where it was cut short"""
    aborted: bool = False
    """whether it ended without a verdict"""

    @property
    def name(self) -> str:
        """How a finding names it."""
        return self.entry.name

    @property
    def parts(self) -> tuple[ShownPart, ...]:
        """What each meter charged."""
        return shown_parts(self.name, self.figure)


def shown_parts(name: str, figure: EnergyFigure) -> tuple[ShownPart, ...]:
    """What each meter charged, as an entry of that name shows it."""
    return tuple(ShownPart(name, part, bool(figure.parts)) for part in figure.by_meter)


def metered(paired: Paired) -> Metered:
    """What a receipt says that its attempt was charged."""
    receipt, meter = paired.receipt, paired.intent.meter if paired.intent is not None else ""
    figure, aborted = receipt.energy, receipt.outcome is Outcome.ABORTED
    return Metered(
        entry=paired.entry,
        request=receipt.task.id,
        figure=figure,
        meter=meter,
        intent=receipt.intent,
        cut_short=aborted and _closed_from_outside(figure, receipt.cause),
        unheard=aborted and receipt.cause in _UNHEARD,
        worked=receipt.training is not None or receipt.evaluation is not None,
        aborted=aborted,
    )


def of_session(entry: Entry, session: Session) -> Metered:
    """What a session says that it was charged."""
    figure = session.energy
    cut_short = session.ended is SessionEnd.CRASHED and figure.own.unmetered
    return Metered(entry, session.id, figure, session.meter, "", cut_short, unheard=True)


def of_round(entry: Entry, record: RoundResult, meter: str) -> Metered:
    """What a round says that it was charged.

    Args:
        entry: that records it.
        record: what it says.
        meter: whose bucket was to pay, by its announcement; empty where nobody knows.
    """
    figure, aborted = record.energy, record.outcome is RoundOutcome.ABORTED
    return Metered(
        entry=entry,
        request=record.id,
        figure=figure,
        meter=meter,
        intent=record.intent,
        cut_short=aborted and _closed_from_outside(figure, record.cause),
        unheard=aborted and record.cause in _UNHEARD,
        worked=record.search is not None,
        aborted=aborted,
    )


def _closed_from_outside(figure: EnergyFigure, cause: Cause) -> bool:
    return any(cause in BY_CAUSE.get(flag, ()) for flag in figure.own.flags)
