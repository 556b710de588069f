"""Part of step 10: what the meter signed is what the receipts say, once each, and by a known key."""

from __future__ import annotations

__all__ = ["Metered", "Settlements", "SignedStatements", "metered"]

import base64
from collections.abc import Iterator
from functools import partial

from msgspec import Struct, field

from cryoflux.energy.account.settlement import SettlementStatement, parse_settlement
from cryoflux.errors import VerificationError
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import EnergyFigure
from cryoflux.signing.keys import raw_public_key
from cryoflux.verification.material import Material
from cryoflux.verification.result import Findings, failed, unknown
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.walk import Paired

_NO_SETTLEMENT = frozenset({"never-reserved", "settled-elsewhere"})


class Metered(Struct, frozen=True):
    """An entry that says what something was charged: a receipt, or a session."""

    entry: Entry
    request: str
    """by which the account and the meter know it"""
    figure: EnergyFigure
    meter: str
    """``embedded`` or ``daemon``; empty where nobody knows"""

    @property
    def name(self) -> str:
        """How a finding names it."""
        return self.entry.name


def metered(paired: Paired) -> Metered:
    """What a receipt says that its attempt was charged."""
    meter = paired.intent.meter if paired.intent is not None else ""
    return Metered(paired.entry, paired.receipt.task.id, paired.receipt.energy, meter)


class SignedStatements(Struct):
    """The meters' statements so far."""

    count: int = 0
    places: dict[str, int] = field(default_factory=dict)
    """reservation of a statement of the first form → the entry that shows it"""


class Settlements:
    """The meters' statements, receipt after receipt.

    A statement that serves two receipts, or is missing where the same meter signed before, is no accident:
    joules would be told twice, or not by the meter. It names the id of its attempt, and from the second form
    on no two attempts share one; of the first form, the reservations are remembered.
    """

    def __init__(self, material: Material, findings: Findings, pool: SignaturePool) -> None:
        self._findings, self._pool = findings, pool
        key = material.meter_key
        self._known = base64.b64encode(raw_public_key(key)).decode() if key else ""

    def take(self, said: Metered, signed: SignedStatements) -> int:
        """Look at the statement of the next figure; how long it says to have metered, ns, or 0.

        Args:
            said: the figure, of a receipt or a session.
            signed: the statements before it.
        """
        figure = said.figure
        if not figure.settlement:
            if signed.count and not _NO_SETTLEMENT & set(figure.flags):
                self._findings.add(
                    failed(said.name, "lacks the meter's statement, which earlier receipts have")
                )
            return 0
        try:
            parsed = parse_settlement(figure.settlement)
        except VerificationError as error:
            self._findings.add(failed(said.name, error.what))
            return 0
        statement = parsed.statement
        bad = failed(said.name, "The meter's statement was not signed by the key that it names.")
        self._pool.check(parsed.key, parsed.message, parsed.signature, partial(self._findings.add, bad))
        self._findings.fail(said, _differences(said, statement))
        self._once(said, statement, signed)
        self._check_key(said, statement)
        signed.count += 1
        return statement.window_nanoseconds

    def _once(self, said: Metered, statement: SettlementStatement, signed: SignedStatements) -> None:
        if said.entry.version > 1:
            return
        other = signed.places.setdefault(statement.reservation, said.entry.index)
        if other != said.entry.index:
            detail = f"shows the meter's statement of entry {other} again"
            self._findings.add(failed(said.name, detail))

    def _check_key(self, said: Metered, statement: SettlementStatement) -> None:
        if not self._known or statement.meter_key == self._known:
            return
        if said.meter == "embedded":
            detail = "was metered under a key that is not this meter's"
            self._findings.add(failed(said.name, detail))
        else:
            detail = "was metered by a daemon whose key is not known here"
            self._findings.add(unknown(said.name, detail))


def _differences(said: Metered, statement: SettlementStatement) -> Iterator[str]:
    figure, charged = said.figure, statement.charged
    pairs = {
        "joules": (
            _joules(figure),
            (charged.microjoules, charged.lo_microjoules, charged.hi_microjoules),
        ),
        "reservation": (figure.reserved_microjoules, statement.reserved_microjoules),
        "attempt": (said.request, statement.request),
        "tier": (figure.tier, statement.tier),
        "flags": (figure.flags, statement.flags),
        "baseline": (figure.baseline, statement.baseline),
        "curve": (figure.curve, statement.curve),
        "CPU time": (figure.cpu_microseconds, statement.cpu_microseconds),
        "sources": (sorted(figure.sources), sorted(statement.sources)),
    }
    for name, (told, signed) in pairs.items():
        if told != signed:
            yield f"says another {name} ({told}) than the meter signed ({signed})"


def _joules(figure: EnergyFigure) -> tuple[int, int, int]:
    return figure.microjoules, figure.lo_microjoules, figure.hi_microjoules
