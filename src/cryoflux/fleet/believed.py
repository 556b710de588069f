"""What of a worker's word goes into the log: what its meter signed about this, and is no impossible figure.

A worker may say anything. What it says here has been held to the checks that whoever verifies the log will
make of it: else one lie of a worker would make the coordinator's whole log one that fails.
"""

from __future__ import annotations

__all__ = ["Due", "believed", "believed_phases", "is_believed"]

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from cryoflux.attempt.metered_parts import signed_part
from cryoflux.energy.account.charge import FACE_VALUE, LENT
from cryoflux.energy.account.settlement import SettlementStatement, read_settlement
from cryoflux.errors import VerificationError
from cryoflux.quantities import SO_FAR
from cryoflux.receipts.charged import (
    NEVER_RESERVED,
    PHASES,
    SETTLED_ELSEWHERE,
    WORKER_LOST,
    EnergyFigure,
    MeteredPart,
    PhaseFigure,
    bytes_of_parts,
)
from cryoflux.verification.counters import beyond_counters
from cryoflux.verification.plausible import beyond_sources
from cryoflux.verification.result import Status

_FLAG = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NOT_SAID = frozenset({NEVER_RESERVED, SETTLED_ELSEWHERE, WORKER_LOST, LENT, FACE_VALUE})
"""flags that only a coordinator or an account gives"""
_MOST_BYTES = 8_000
"""of a part, which is some 2,000 with one source: a figure of two of them can still be written"""


class Due(Struct, frozen=True):
    """What a statement of a worker's meter has to be about."""

    worker: str
    key: str
    """of its meter, as it said when it began; empty where that is not known any more"""
    request: str
    """of the attempt, or of the session"""
    reserved_uj: int
    log: str
    intent: str = ""
    """leaf hash of the announcement; empty for a session"""
    own_key: str = ""
    """of the coordinator's meter, which signs for no worker"""


def believed(statement: str, due: Due, *, unfinished: bool = False) -> MeteredPart:
    """A worker's part, as its meter signed it.

    Args:
        statement: that the worker handed over.
        due: what it has to be about.
        unfinished: whether it may be a word on what is still open.

    Raises:
        VerificationError: it is not signed by that meter, is about something else, or cannot be.
    """
    said = read_settlement(statement)
    if not isinstance(said, SettlementStatement):
        raise _unlike(due, "in an old form")
    found = (said.meter_key, said.request, said.reserved_microjoules, said.log, said.intent)
    names = ("meter", "request", "reservation", "log", "announcement")
    wanted = (due.key or said.meter_key, due.request, due.reserved_uj, due.log, due.intent)
    if other := next((name for name, one, two in zip(names, found, wanted, strict=True) if one != two), ""):
        raise _unlike(due, f"of another {other}")
    if due.own_key == said.meter_key:
        raise _unlike(due, "signed by the coordinator's meter")
    if SO_FAR in said.flags and not unfinished:
        raise _unlike(due, "no last word")
    part = signed_part(due.worker, statement)
    for words in _impossible(said, part, session=not due.intent):
        raise _unlike(due, words)
    return part


def _impossible(said: SettlementStatement, part: MeteredPart, *, session: bool) -> Iterator[str]:
    """Why no meter can have signed it, or nobody could write it down."""
    charged = said.charged
    if not 0 <= charged.lo_microjoules <= charged.microjoules <= charged.hi_microjoules:
        yield "of joules that cannot be"
        return
    for flag in part.flags:
        if flag in _NOT_SAID or not _FLAG.fullmatch(flag):
            yield f"flagged {flag[:40]!r}, which no meter says"
    if bytes_of_parts([part]) > _MOST_BYTES:
        yield "more than an entry has room for"
    figure = EnergyFigure.of_parts([part.but(worker="")])
    found = [
        *beyond_counters("", said, session=session),
        *beyond_sources("", figure, windows_ns=[said.window_nanoseconds]),
    ]
    yield from (f"impossible: it {finding.detail}" for finding in found if finding.status is Status.FAIL)


def _unlike(due: Due, what: str) -> VerificationError:
    return VerificationError(f"What the meter of {due.worker} signed for {due.request} is {what}.")


def is_believed(word: str, due: Due) -> bool:
    """Whether a word on what is still open can be taken for the last one."""
    try:
        believed(word, due, unfinished=True)
    except VerificationError:
        return False
    return True


def believed_phases(told: Sequence[PhaseFigure], part: MeteredPart) -> list[PhaseFigure]:
    """What a worker says of its phases, where they add up to what its meter signed; else none.

    Args:
        told: by the worker; its meter does not sign them.
        part: what its meter signed.
    """
    names = [phase.name for phase in told]
    if len({*names}) != len(names) or not {*names} <= {*PHASES}:
        return []
    if any(not 0 <= p.lo_microjoules <= p.microjoules <= p.hi_microjoules for p in told):
        return []
    ends = [(p.microjoules, p.lo_microjoules, p.hi_microjoules) for p in told]
    sums = tuple(map(sum, zip(*ends, strict=True)))
    charged = (part.microjoules, part.lo_microjoules, part.hi_microjoules)
    return list(told) if sums == charged else []
