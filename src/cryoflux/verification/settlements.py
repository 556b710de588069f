"""Part of step 10: what the meter signed is what the receipts say, once each, and by a key that is known.

Who verifies may name the keys of meters (``--meter-key``). Then every charge has to carry a statement under
one of them. Without that the statements are of keys that the state, or the log, brings itself: they show
that nobody changed the figures afterwards, and not that anything was metered.
"""

from __future__ import annotations

__all__ = ["Metered", "Settlements", "SignedStatements", "metered", "of_round", "of_session"]

import base64
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from itertools import pairwise

from msgspec import Struct, field

from cryoflux.energy.account.settlement import (
    OldSettlementStatement,
    ParsedSettlement,
    SettlementStatement,
    parse_settlement,
)
from cryoflux.errors import VerificationError
from cryoflux.quantities import format_energy
from cryoflux.receipts.charged import NEVER_RESERVED, SETTLED_ELSEWHERE
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.session import Session, SessionEnd
from cryoflux.receipts.statement import Cause, EnergyFigure, Outcome
from cryoflux.signing.keys import raw_key_id, raw_public_key
from cryoflux.verification.counters import beyond_counters
from cryoflux.verification.material import Material
from cryoflux.verification.result import Finding, Findings, failed, unknown
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.walk import Paired

_STATEMENTS = "the meter's statements"
_BY_CAUSE = {
    SETTLED_ELSEWHERE: {Cause.CRASHED},
    NEVER_RESERVED: {Cause.CRASHED, Cause.UNRESERVED},
}
"""flag → why an attempt can have ended so that nobody here metered it"""
_DIGEST, _INDEX = 16, 6
"""bytes that are kept of each reservation, and of the entry that shows it"""


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
    worked: bool = False
    """whether it says what training or evaluation came to, which died with its run where it was cut short"""

    @property
    def name(self) -> str:
        """How a finding names it."""
        return self.entry.name


def metered(paired: Paired) -> Metered:
    """What a receipt says that its attempt was charged."""
    receipt, meter = paired.receipt, paired.intent.meter if paired.intent is not None else ""
    figure, aborted = receipt.energy, receipt.outcome is Outcome.ABORTED
    cut_short = aborted and any(receipt.cause in _BY_CAUSE.get(flag, ()) for flag in figure.flags)
    worked = receipt.training is not None or receipt.evaluation is not None
    return Metered(paired.entry, receipt.task.id, figure, meter, receipt.intent, cut_short, worked)


def of_session(entry: Entry, session: Session) -> Metered:
    """What a session says that it was charged."""
    figure = session.energy
    cut_short = session.ended is SessionEnd.CRASHED and figure.unmetered
    return Metered(entry, session.id, figure, session.meter, "", cut_short)


def of_round(entry: Entry, record: RoundResult, meter: str) -> Metered:
    """What a round says that it was charged.

    Args:
        entry: that records it.
        record: what it says.
        meter: whose bucket was to pay, by its announcement; empty where nobody knows.
    """
    figure, aborted = record.energy, record.outcome is RoundOutcome.ABORTED
    cut_short = aborted and any(record.cause in _BY_CAUSE.get(flag, ()) for flag in figure.flags)
    worked = record.search is not None
    return Metered(entry, record.id, figure, meter, record.intent, cut_short, worked)


class SignedStatements(Struct):
    """The meters' statements so far."""

    count: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    """key of a meter, base64 → how many are under it"""
    unnamed: int = 0
    """of them, those that do not say of which log or announcement they are"""
    log: str = ""
    """that the first one names"""
    reservations: bytearray = field(default_factory=bytearray)
    """a digest of the reservation of each, and the entry that shows it"""
    missing: int = 0
    """figures that lack one"""
    missing_uj: int = 0
    cut_short: int = 0
    """attempts and sessions that were closed from outside, so that no meter signs them"""
    cut_short_uj: int = 0
    """what they may have cost at most, by what whoever closed them says"""
    never: int = 0
    """of them, those that say that nothing was reserved, and so that nothing was charged"""


class Settlements:
    """The meters' statements, receipt after receipt.

    A statement that serves two receipts, or is missing where the same meter signed before, is no accident:
    joules would be told twice, or not by the meter.
    """

    def __init__(self, material: Material, findings: Findings, pool: SignaturePool) -> None:
        self._findings, self._pool = findings, pool
        self._own = _encoded(raw_public_key(material.meter_key)) if material.meter_key is not None else ""
        self._pinned = {_encoded(raw_public_key(key)) for key in material.pinned_meters}
        self._origin = origin_of(material.key) if material.key is not None else ""

    def take(self, said: Metered, signed: SignedStatements) -> int:
        """Look at the statement of the next figure; how long it says to have metered, ns, or 0.

        Args:
            said: the figure, of a receipt or a session.
            signed: the statements before it.
        """
        if said.figure.unmetered:
            complaints = list(_unbelievable(said))
            self._findings.fail(said, complaints)
            if complaints:
                return 0
        if not said.figure.settlement:
            self._unsigned(said, signed)
            return 0
        try:
            parsed = parse_settlement(said.figure.settlement)
        except VerificationError as error:
            self._findings.add(failed(said.name, error.what))
            return 0
        statement = parsed.statement
        bad = failed(said.name, "The meter's statement was not signed by the key that it names.")
        self._pool.check(parsed.key, parsed.message, parsed.signature, partial(self._findings.add, bad))
        self._findings.fail(said, _differences(said, statement))
        self._findings.fail(said, self._misplaced(said, statement, signed))
        self._findings.fail(said, self._of_another(parsed))
        self._findings.extend(beyond_counters(said.name, statement, session=not said.intent))
        digest = sha256(statement.reservation.encode()).digest()[:_DIGEST]
        signed.reservations += digest + said.entry.index.to_bytes(_INDEX, "big")
        signed.keys[statement.meter_key] = signed.keys.get(statement.meter_key, 0) + 1
        signed.count += 1
        return statement.window_nanoseconds

    def _unsigned(self, said: Metered, signed: SignedStatements) -> None:
        if said.cut_short:
            signed.cut_short += 1
            signed.cut_short_uj += said.figure.hi_microjoules
            signed.never += NEVER_RESERVED in said.figure.flags
            return
        signed.missing += 1
        signed.missing_uj += said.figure.microjoules
        if self._pinned:
            detail = "carries no statement of a meter, and a meter's key was named: nobody but its signer"
            self._findings.add(failed(said.name, f"{detail} says what it cost"))
        elif signed.count:
            self._findings.add(failed(said.name, "lacks the meter's statement, which earlier receipts have"))

    def _misplaced(
        self, said: Metered, statement: OldSettlementStatement, signed: SignedStatements
    ) -> Iterator[str]:
        """Where a statement says that it belongs to another log or announcement."""
        if not isinstance(statement, SettlementStatement):
            signed.unnamed += 1
            return
        signed.log = signed.log or statement.log
        if statement.log and statement.log != (self._origin or signed.log):
            yield f"shows a statement of the meter that is of another log, {statement.log}"
        if statement.intent and statement.intent != said.intent:
            yield f"shows a statement of the meter on another announcement, {statement.intent[:16]}…"
        signed.unnamed += not statement.log or (bool(said.intent) and not statement.intent)

    def _of_another(self, parsed: ParsedSettlement) -> Iterator[str]:
        if self._pinned and parsed.statement.meter_key not in self._pinned:
            key = raw_key_id(parsed.key)[:16]
            yield (
                f"was metered under the key {key}…, which --meter-key did not name; a meter that lost its "
                "key has another one from then on, and so has each daemon: if you trust it, name its key too"
            )

    def conclude(self, signed: SignedStatements) -> Iterator[Finding]:
        """What is to be said of all of them."""
        yield from _shown_twice(bytes(signed.reservations))
        if signed.unnamed:
            which = (
                f"{signed.unnamed} of {signed.count} do not name log and announcement, as older meters did"
            )
            yield unknown(_STATEMENTS, f"{which} not: they could be another log's")
        if signed.log and not self._origin:
            detail = f"are of the log {signed.log}; without --key it is not known whether that is this one"
            yield unknown(_STATEMENTS, detail)
        if signed.cut_short and self._pinned:
            never = f", of which {signed.never} say that they reserved nothing" if signed.never else ""
            detail = f"are lacking for {signed.cut_short} cut short{never}"
            yield unknown(_STATEMENTS, f"{detail}: what those cost is their signer's word")
        foreign = sum(count for key, count in signed.keys.items() if key != self._own)
        if foreign and self._own and not self._pinned:
            detail = f"{foreign} of {signed.count} are under other keys than this state's keys/meter.pub"
            why = "a meter that lost its key, a daemon, or somebody who made a key up"
            yield unknown(_STATEMENTS, f"{detail} ({why}): name those that you trust with --meter-key")

    def metered(self, signed: SignedStatements) -> str:
        """What is known of who metered, in words."""
        if not signed.count or signed.missing or not signed.keys.keys() <= self._pinned:
            return "self-reported"
        one = "the key" if len(self._pinned) == 1 else "a key"
        words = f"metered under {one if len(signed.keys) == 1 else 'keys'} that you named"
        return f"{words}, but for {signed.cut_short} cut short" if signed.cut_short else words

    def signers(self, signed: SignedStatements, figures: int) -> Iterator[str]:
        """How many figures carry a statement, and what those cost that carry none; in words."""
        if signed.count and self._pinned:
            yours = "that meter" if len(signed.keys) == 1 else "those meters"
            yield f"{signed.count} of {figures} signed by {yours}"
        elif signed.count:
            whose = "a meter" if len(signed.keys) == 1 else f"{len(signed.keys)} meters"
            yield f"{signed.count} of {figures} signed by {whose} that nobody named"
        if signed.missing:
            yield f"{format_energy(signed.missing_uj)} in {signed.missing} that no meter signed"
        if signed.cut_short:
            most = format_energy(signed.cut_short_uj)
            yield f"{most} at most, by their own word, in {signed.cut_short} cut short that no meter signed"


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _unbelievable(said: Metered) -> Iterator[str]:
    """Why nobody believes that this was not metered here."""
    figure, reserved_uj = said.figure, said.figure.reserved_microjoules
    if not said.cut_short:
        flags = " and ".join(flag for flag in figure.flags if flag in _BY_CAUSE)
        yield f"is flagged {flags}, which only what the next run closes for one that died can be"
    elif said.worked or figure.cpu_microseconds or figure.microjoules or figure.lo_microjoules:
        yield "says that nobody metered it, and what it did or cost, which then nobody can know"
    elif SETTLED_ELSEWHERE in figure.flags and figure.hi_microjoules < reserved_uj:
        yield f"was settled elsewhere, so it may have cost all of the {reserved_uj} µJ that it reserved"
    elif NEVER_RESERVED in figure.flags and figure.hi_microjoules:
        yield "says that nothing was reserved, and that it was charged something"


def _shown_twice(records: bytes) -> Iterator[Finding]:
    size = _DIGEST + _INDEX
    in_order = sorted(records[at : at + size] for at in range(0, len(records), size))
    for one, other in pairwise(in_order):
        if one[:_DIGEST] == other[:_DIGEST]:
            first, again = (int.from_bytes(record[_DIGEST:], "big") for record in (one, other))
            detail = f"shows a statement of the meter on the reservation that entry {first} shows"
            yield failed(f"entry {again}", detail)


def _differences(said: Metered, statement: OldSettlementStatement) -> Iterator[str]:
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
