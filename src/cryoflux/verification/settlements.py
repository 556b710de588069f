"""Part of step 10: what each meter signed is what the receipts say, once each, and by a key that is known.

Who verifies may name the keys of meters (``--meter-key``). Then every charge has to carry a statement under
one of them. Without that the statements are of keys that the state, or the log, brings itself: they show
that nobody changed the figures afterwards, and not that anything was metered.
"""

from __future__ import annotations

__all__ = ["Settlements", "SignedStatements"]

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
from cryoflux.quantities import SO_FAR, format_energy
from cryoflux.receipts.charged import NEVER_RESERVED, SETTLED_ELSEWHERE, WORKER_LOST, MeteredPart
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.signing.keys import raw_key_id, raw_public_key
from cryoflux.verification.counters import beyond_counters
from cryoflux.verification.material import Material
from cryoflux.verification.metered import BY_CAUSE, Metered, ShownPart
from cryoflux.verification.result import Finding, Findings, failed, unknown
from cryoflux.verification.signature_pool import SignaturePool

_STATEMENTS = "the meter's statements"
_DIGEST, _INDEX = 16, 6
"""bytes that are kept of each reservation, and of the entry that shows it"""


class SignedStatements(Struct):
    """The meters' statements so far."""

    charges: int = 0
    """what there should be one for each: figures, or the parts of those that have parts"""
    count: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    """key of a meter, base64 → how many are under it"""
    of_workers: dict[str, int] = field(default_factory=dict)
    """the same of those alone that are about a worker's part"""
    unnamed: int = 0
    """of them, those that do not say of which log or announcement they are"""
    log: str = ""
    """that the first one names"""
    reservations: bytearray = field(default_factory=bytearray)
    """a digest of the reservation of each, and the entry that shows it"""
    missing: int = 0
    """figures that lack one"""
    missing_uj: int = 0
    so_far: int = 0
    """of the statements, those that are no last word"""
    cut_short: int = 0
    """attempts and sessions that were closed from outside, and workers that were lost: no meter signs them"""
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
        self._workers = {_encoded(raw_public_key(key)) for key in material.worker_meters}
        self._told: set[str] = set()
        """keys that it was said of that nobody has named them"""
        self._pinned = {_encoded(raw_public_key(key)) for key in material.pinned_meters}
        self._origin = origin_of(material.key) if material.key is not None else ""

    def take(self, said: Metered, signed: SignedStatements) -> tuple[int, ...]:
        """Look at the statements of the next figure; how long each says to have metered, ns, or 0.

        Args:
            said: the figure, of a receipt, a round or a session.
            signed: the statements before it.
        """
        keys: dict[str, ShownPart] = {}
        return tuple(self._take_part(said, shown, signed, keys) for shown in said.parts)

    def _take_part(
        self, said: Metered, shown: ShownPart, signed: SignedStatements, keys: dict[str, ShownPart]
    ) -> int:
        signed.charges += 1
        complaints = [*_unbelievable(said, shown.part), *_unfinished(said, shown.part)]
        self._findings.fail(shown, shown.told(complaints))
        if complaints:
            return 0
        if not shown.part.settlement:
            self._unsigned(shown, signed)
            return 0
        try:
            parsed = parse_settlement(shown.part.settlement)
        except VerificationError as error:
            self._findings.add(failed(shown.name, error.what))
            return 0
        self._take_statement(said, shown, parsed, signed)
        self._findings.fail(shown, shown.told(_of_one_meter(shown, parsed.statement, keys)))
        return parsed.statement.window_nanoseconds

    def _take_statement(
        self, said: Metered, shown: ShownPart, parsed: ParsedSettlement, signed: SignedStatements
    ) -> None:
        statement = parsed.statement
        bad = failed(shown.name, "The meter's statement was not signed by the key that it names.")
        self._pool.check(parsed.key, parsed.message, parsed.signature, partial(self._findings.add, bad))
        self._findings.fail(shown, shown.told(_differences(said, shown, statement)))
        self._findings.fail(shown, shown.told(self._misplaced(said, statement, signed)))
        self._findings.fail(shown, shown.told(self._of_another(parsed)))
        beyond = beyond_counters(shown.name, statement, session=not said.intent)
        self._findings.extend(shown.of_it(beyond))
        digest = sha256(statement.reservation.encode()).digest()[:_DIGEST]
        signed.reservations += digest + said.entry.index.to_bytes(_INDEX, "big")
        signed.keys[statement.meter_key] = signed.keys.get(statement.meter_key, 0) + 1
        if shown.part.worker:
            known = signed.of_workers.get(statement.meter_key, 0)
            signed.of_workers[statement.meter_key] = known + 1
        signed.count += 1
        signed.so_far += SO_FAR in statement.flags

    def _unsigned(self, shown: ShownPart, signed: SignedStatements) -> None:
        part = shown.part
        if part.unmetered or WORKER_LOST in part.flags:
            signed.cut_short += 1
            signed.cut_short_uj += part.hi_microjoules
            signed.never += NEVER_RESERVED in part.flags
            return
        signed.missing += 1
        signed.missing_uj += part.microjoules
        if self._pinned:
            detail = "carries no statement of a meter, and a meter's key was named: nobody but its signer"
            complaint = f"{detail} says what it cost"
        elif signed.count:
            complaint = "lacks the meter's statement, which earlier receipts have"
        else:
            return
        self._findings.fail(shown, shown.told([complaint]))

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
        key = parsed.statement.meter_key
        if not self._pinned or key in self._pinned:
            return
        why = (
            ""
            if key in self._told
            else "; a meter that lost its key has another one from then on, and so "
            "has each daemon and each worker (fleet/meters of a state): if you trust it, name its key too"
        )
        self._told.add(key)
        yield f"was metered under the key {raw_key_id(parsed.key)[:16]}…, which --meter-key did not name{why}"

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
        if signed.so_far and self._pinned:
            last = f"{signed.so_far} of {signed.count} are the last word on a worker that was lost"
            yield unknown(_STATEMENTS, f"{last}: what it cost after that is their signer's word")
        foreign = sum(count for key, count in signed.keys.items() if key != self._own)
        # The state's own word, as its own key is; of its workers alone, for those have keys of their own.
        foreign -= sum(count for key, count in signed.of_workers.items() if key in self._workers)
        if foreign and self._own and not self._pinned:
            detail = f"{foreign} of {signed.count} are under other keys than this state's keys/meter.pub"
            why = "a meter that lost its key, a worker's, a daemon, or somebody who made a key up"
            yield unknown(_STATEMENTS, f"{detail} ({why}): name those that you trust with --meter-key")

    def metered(self, signed: SignedStatements) -> str:
        """What is known of who metered, in words."""
        if not signed.count or signed.missing or not signed.keys.keys() <= self._pinned:
            return "self-reported"
        one = "the key" if len(self._pinned) == 1 else "a key"
        words = f"metered under {one if len(signed.keys) == 1 else 'keys'} that you named"
        return f"{words}, but for {signed.cut_short} cut short" if signed.cut_short else words

    def signers(self, signed: SignedStatements) -> Iterator[str]:
        """How many charges carry a statement, and what those cost that carry none; in words."""
        if signed.count and self._pinned:
            yours = "that meter" if len(signed.keys) == 1 else "those meters"
            yield f"{signed.count} of {signed.charges} signed by {yours}"
        elif signed.count:
            whose = "a meter" if len(signed.keys) == 1 else f"{len(signed.keys)} meters"
            yield f"{signed.count} of {signed.charges} signed by {whose} that nobody named"
        if signed.missing:
            yield f"{format_energy(signed.missing_uj)} in {signed.missing} that no meter signed"
        if signed.cut_short:
            most = format_energy(signed.cut_short_uj)
            yield f"{most} at most, by their own word, in {signed.cut_short} cut short that no meter signed"


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _unbelievable(said: Metered, part: MeteredPart) -> Iterator[str]:
    """Why nobody believes that this was not metered here."""
    if not part.unmetered:
        return
    flags = " and ".join(flag for flag in part.flags if flag in BY_CAUSE)
    if part.worker:
        yield from _never_begun(said, part, flags)
    elif not said.cut_short:
        yield f"is flagged {flags}, which only what the next run closes for one that died can be"
    elif said.worked or part.cpu_microseconds or part.microjoules or part.lo_microjoules:
        yield "says that nobody metered it, and what it did or cost, which then nobody can know"
    elif SETTLED_ELSEWHERE in part.flags and part.hi_microjoules < part.reserved_microjoules:
        most = part.reserved_microjoules
        yield f"was settled elsewhere, so it may have cost all of the {most} µJ that it reserved"
    elif NEVER_RESERVED in part.flags and part.hi_microjoules:
        yield "says that nothing was reserved, and that it was charged something"


def _never_begun(said: Metered, part: MeteredPart, flags: str) -> Iterator[str]:
    """Why a worker's part cannot be of one that never took the joules that were to be lent to it."""
    if SETTLED_ELSEWHERE in part.flags or not (said.aborted or said.unheard):
        yield f"is flagged {flags}, which only a worker can be that never began, and that nobody judged"
    elif part.cpu_microseconds or part.hi_microjoules or part.settlement:
        yield "says that nothing was reserved, and that it was charged something"


def _unfinished(said: Metered, part: MeteredPart) -> Iterator[str]:
    """Why something cannot be what no meter told to its end."""
    flags = [flag for flag in part.flags if flag in {SO_FAR, WORKER_LOST}]
    if not flags:
        return
    named, most = " and ".join(flags), part.reserved_microjoules
    if not part.worker:
        yield f"is flagged {named}, which only the part of a worker can be"
    elif not said.unheard:
        yield f"is flagged {named}, though neither its worker was lost nor its run died"
    elif WORKER_LOST in flags and part.settlement:
        yield "is flagged worker-lost, which is for one whose meter said nothing, and shows what it said"
    elif WORKER_LOST in flags and not 0 < most <= part.hi_microjoules:
        yield f"was lost, so it may have cost all of the {most} µJ that it reserved, which is something"
    elif WORKER_LOST not in flags and not part.settlement:
        yield "is flagged so-far, and shows no word of its meter"


def _of_one_meter(
    shown: ShownPart, statement: OldSettlementStatement, keys: dict[str, ShownPart]
) -> Iterator[str]:
    """Whether the coordinator's meter signed for a worker; a JouleAgent may sign for several workers."""
    first = keys.setdefault(statement.meter_key, shown)
    if first is not shown and not first.part.worker:
        yield f"was metered under the key of {first.whose}, which has a meter of its own"


def _shown_twice(records: bytes) -> Iterator[Finding]:
    size = _DIGEST + _INDEX
    in_order = sorted(records[at : at + size] for at in range(0, len(records), size))
    for one, other in pairwise(in_order):
        if one[:_DIGEST] == other[:_DIGEST]:
            first, again = (int.from_bytes(record[_DIGEST:], "big") for record in (one, other))
            detail = f"shows a statement of the meter on the reservation that entry {first} shows"
            yield failed(f"entry {again}", detail)


def _differences(said: Metered, shown: ShownPart, statement: OldSettlementStatement) -> Iterator[str]:
    part, charged = shown.part, statement.charged
    hi_uj = charged.hi_microjoules
    if SO_FAR in part.flags and part.hi_microjoules > hi_uj:  # what came after the meter's last word
        hi_uj = part.hi_microjoules
    pairs = {
        "joules": (_joules(part), (charged.microjoules, charged.lo_microjoules, hi_uj)),
        "reservation": (part.reserved_microjoules, statement.reserved_microjoules),
        "attempt": (shown.metered_as(said.request), statement.request),
        "tier": (part.tier, statement.tier),
        "flags": (part.flags, statement.flags),
        "baseline": (part.baseline, statement.baseline),
        "curve": (part.curve, statement.curve),
        "CPU time": (part.cpu_microseconds, statement.cpu_microseconds),
        "sources": (sorted(part.sources), sorted(statement.sources)),
        "boot": (part.boot if shown.several else statement.boot, statement.boot),
    }
    for name, (told, signed) in pairs.items():
        if told != signed:
            yield f"says another {name} ({told}) than the meter signed ({signed})"


def _joules(part: MeteredPart) -> tuple[int, int, int]:
    return part.microjoules, part.lo_microjoules, part.hi_microjoules
