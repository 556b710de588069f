"""Part of step 10: what the meter signed is what the receipts say, once each, and by a known key."""

from __future__ import annotations

__all__ = ["check_metered"]

import base64
from collections.abc import Iterator

from cryoflux.energy.account.settlement import SettlementStatement, read_settlement
from cryoflux.errors import VerificationError
from cryoflux.receipts.statement import EnergyFigure
from cryoflux.signing.keys import raw_public_key
from cryoflux.verification.history import Attempt, History
from cryoflux.verification.result import Finding, failed, unknown

_NO_SETTLEMENT = frozenset({"never-reserved", "settled-elsewhere"})


def check_metered(history: History) -> tuple[list[Finding], str]:
    """What is wrong with the meters' statements, and a summary of those that are right.

    A statement that serves two receipts, or is missing where the same meter signed before, is no
    accident: joules would be told twice, or not by the meter.
    """
    key = history.material.meter_key
    known = base64.b64encode(raw_public_key(key)).decode() if key else ""
    findings: list[Finding] = []
    used: dict[str, str] = {}
    signed = 0
    for attempt in history.attempts:
        figure = attempt.receipt.energy
        if not figure.settlement:
            findings += _missing(attempt, signed=signed)
            continue
        try:
            statement = read_settlement(figure.settlement)
        except VerificationError as error:
            findings.append(failed(attempt.name, error.what))
            continue
        findings += [failed(attempt.name, complaint) for complaint in _differences(attempt, statement)]
        if statement.reservation in used:
            other = used[statement.reservation]
            findings.append(failed(attempt.name, f"shows the meter's statement of {other} again"))
        used[statement.reservation] = attempt.name
        findings += _key(attempt, statement, known)
        signed += 1
    return findings, f"; {signed} of {len(history.attempts)} signed by the meter" if signed else ""


def _missing(attempt: Attempt, *, signed: int) -> Iterator[Finding]:
    if signed and not _NO_SETTLEMENT & set(attempt.receipt.energy.flags):
        yield failed(attempt.name, "lacks the meter's statement, which earlier receipts have")


def _key(attempt: Attempt, statement: SettlementStatement, known: str) -> Iterator[Finding]:
    embedded = attempt.intent is not None and attempt.intent.meter == "embedded"
    if known and embedded and statement.meter_key != known:
        yield failed(attempt.name, "was metered under a key that is not this meter's")
    elif known and statement.meter_key != known:
        yield unknown(attempt.name, "was metered by a daemon whose key is not known here")


def _differences(attempt: Attempt, statement: SettlementStatement) -> Iterator[str]:
    figure = attempt.receipt.energy
    pairs = {
        "joules": (_joules(figure), tuple(statement.charged.model_dump().values())),
        "reservation": (figure.reserved_microjoules, statement.reserved_microjoules),
        "attempt": (attempt.receipt.task.id, statement.request),
        "tier": (figure.tier, statement.tier),
        "flags": (figure.flags, statement.flags),
        "baseline": (figure.baseline, statement.baseline),
        "curve": (figure.curve, statement.curve),
        "CPU time": (figure.cpu_microseconds, statement.cpu_microseconds),
        "sources": (sorted(figure.sources), sorted(statement.sources)),
    }
    for name, (said, metered) in pairs.items():
        if said != metered:
            yield f"says another {name} ({said}) than the meter signed ({metered})"


def _joules(figure: EnergyFigure) -> tuple[int, int, int]:
    return figure.microjoules, figure.lo_microjoules, figure.hi_microjoules
