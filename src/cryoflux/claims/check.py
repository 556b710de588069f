"""Checking a claim: signatures, the way to the signed head, the receipts themselves, then the expression.

The steps of `cryoflux.verification` are applied to what the file carries; three more are about the claim.

- 20: the document is signed by the key that was valid at its head, and says what its head says.
- 21: the range is complete, and begins and ends between attempts.
- 22: every comparison holds; what rests on joules or on their tier is attested, the rest is arithmetic on
  signed integers.

A range that does not begin with the log cannot show what depends on the entries before it: that is said as
unknown, never as passed. Nothing here raises for what a file says: what is malformed or hostile is a failed
check that names it.
"""

from __future__ import annotations

__all__ = ["check_claim"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.claims.document import Claim, parse_claim, subject_of_head
from cryoflux.claims.evaluation import Judged, add_up, in_words, judge, spelt
from cryoflux.claims.evidence import root_over, unpack
from cryoflux.claims.expression import Expression, Quantity, parse_expression
from cryoflux.claims.report import ClaimReport
from cryoflux.claims.standing import check_seen_before, check_witnesses
from cryoflux.errors import CryoFluxError, StorageError, UsageError, VerificationError
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, parse_checkpoint
from cryoflux.receipts.entry import Entry, KeyEntry
from cryoflux.receipts.key_statement import public_key_of
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import ZERO_HASH
from cryoflux.receipts.store import Row
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import key_id
from cryoflux.verification.arithmetic import ARITHMETIC, check_arithmetic
from cryoflux.verification.authority import SIGNATURES, check_signatures, key_entries
from cryoflux.verification.decisions import DECISIONS, check_decisions
from cryoflux.verification.history import History, read_history, said_by
from cryoflux.verification.joules import ENERGY, check_energy
from cryoflux.verification.known_heads import REMEMBERED, remember
from cryoflux.verification.lineage import LINEAGE, check_lineage
from cryoflux.verification.material import Material
from cryoflux.verification.order import CHAIN, FORM, TREE, check_form
from cryoflux.verification.pairs import PAIRS, check_pairs
from cryoflux.verification.result import (
    Check,
    Finding,
    Report,
    Status,
    Step,
    conclude,
    failed,
    unknown,
)
from cryoflux.verification.result import (
    Claim as Knowledge,
)
from cryoflux.verification.witnessing import WITNESSED, Demand

DOCUMENT = Step(20, "claim document")
RANGE = Step(21, "range is complete")
HOLDS = Step(22, "claim")
_ATTESTED = Step(22, "claim", Knowledge.ATTESTED)
_ON_JOULES = {
    Quantity.JOULES,
    Quantity.JOULES_LO,
    Quantity.JOULES_ESTIMATE,
    Quantity.JOULES_HI,
    Quantity.ETA,
    Quantity.TIER,
}
_ON_LOSSES = {Quantity.DELTA, Quantity.ACCURACY_GAIN, Quantity.LOSS_FIRST, Quantity.LOSS_LAST}
_NOT_CARRIED = Row(0, None, None, b"")
_HOSTILE = (CryoFluxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, OSError)


@dataclass(frozen=True, slots=True)
class _Carried:
    """A claim, unpacked; its head is signed by the log's key, and nothing else is known."""

    claim: Claim
    point: Checkpoint
    history: History
    indexes: tuple[int, ...]
    """of the entries that are here"""

    @property
    def complete(self) -> bool:
        """Whether every entry up to the head is here."""
        return len(self.indexes) == self.point.size


def check_claim(
    content: bytes,
    target: Path,
    *,
    key: Ed25519PublicKey | None = None,
    log_key: Ed25519PublicKey | None = None,
    meter_key: Ed25519PublicKey | None = None,
    demand: Demand | None = None,
    heads: Path | None = None,
) -> ClaimReport:
    """Go through all steps.

    Args:
        content: the file of the claim.
        target: how the report names it.
        key: that the log has to have begun under; the claim names one otherwise, which proves no owner.
        log_key: that has to have signed the head; the same.
        meter_key: that joules have to be signed by.
        demand: what witnesses have to say.
        heads: folder of the heads that were seen before; a good one is remembered there.
    """
    try:
        carried = _carried(parse_claim(content), target, key, log_key, meter_key)
    except _HOSTILE as error:
        what = error.what if isinstance(error, CryoFluxError) else f"{type(error).__name__}: {error}"
        return _report(conclude(DOCUMENT, [failed(str(target), what)], ""), target)
    checks = [check for step, run in _STEPS for check in _guarded(step, run, carried)]
    if demand is not None:
        asked = demand
        checks += _guarded(WITNESSED, lambda c: check_witnesses(c.history, asked), carried)
    if heads is not None:
        folder = heads
        checks += _guarded(REMEMBERED, lambda c: _seen_before(c, folder), carried)
    judged: list[Judged] = []
    checks += _guarded(HOLDS, lambda c: _check_holds(c, judged), carried)
    if heads is not None and carried.complete:
        checks += _remembered(carried, heads, checks)
    return _report(checks, target, carried, tuple(judged))


def _report(
    checks: list[Check], target: Path, carried: _Carried | None = None, judged: tuple[Judged, ...] = ()
) -> ClaimReport:
    history = carried.history if carried else None
    attempts = history.attempts if history else ()
    signer = history.material.key if history else None
    report = Report(
        target=str(target),
        checks=tuple(checks),
        entries=len(carried.indexes) if carried else 0,
        receipts=len(attempts),
        evaluated=sum(attempt.receipt.evaluation is not None for attempt in attempts),
        recomputed=0,
        signer=key_id(signer) if signer else "",
        pinned=history.material.pinned if history else False,
    )
    said = carried.claim.predicate if carried else None
    return ClaimReport(
        report=report,
        expression=said.expression if said else "",
        judged=judged,
        first=said.first if said else 0,
        end=said.end if said else 0,
        size=carried.point.size if carried else 0,
    )


def _carried(
    claim: Claim,
    target: Path,
    key: Ed25519PublicKey | None,
    log_key: Ed25519PublicKey | None,
    meter_key: Ed25519PublicKey | None,
) -> _Carried:
    said = claim.predicate
    signs_head = log_key or public_key_of(said.log_key)
    point = parse_checkpoint(claim.checkpoint, signs_head)
    if claim.spans[-1][1] > point.size:
        raise VerificationError(f"The claim carries entries beyond the {point.size} that its head covers.")
    envelopes = unpack(claim.packed, claim.carried)
    indexes = tuple(index for first, end in claim.spans for index in range(first, end))
    rows = [_NOT_CARRIED] * claim.spans[-1][1]
    for index, envelope in zip(indexes, envelopes, strict=True):
        rows[index] = Row(index, None, None, envelope)
    material = Material(
        target=target,
        rows=tuple(rows),
        state=None,
        key=key or public_key_of(said.first_key),
        pinned=key is not None,
        log_key=signs_head,
        meter_key=meter_key,
        checkpoint=claim.checkpoint,
    )
    history = read_history(material)
    here = set(indexes)
    malformed = {index: what for index, what in history.malformed.items() if index in here}
    return _Carried(claim, point, replace(history, malformed=malformed), indexes)


def _guarded(step: Step, run: Callable[[_Carried], list[Check]], carried: _Carried) -> list[Check]:
    # The last line of defence: input that a step did not foresee is a failed check, not a traceback.
    try:
        return run(carried)
    except _HOSTILE as error:
        what = error.what if isinstance(error, CryoFluxError) else f"{type(error).__name__}: {error}"
        detail = f"the step could not finish: {what}"
        return conclude(step, [failed(str(carried.history.material.target), detail)], "")


def _check_document(carried: _Carried) -> list[Check]:
    """Step 20."""
    said, point, key = carried.claim.predicate, carried.point, carried.history.material.key
    assert key is not None  # noqa: S101 - a claim names one
    findings = [failed("claim", complaint) for complaint in _misfits(carried, key)]
    findings += [failed("claim", complaint) for complaint in _unsigned(carried, key)]
    if not carried.history.material.pinned:
        detail = f"only the claim itself says that the log is of key {key_id(key)[:16]}…: name it with --key"
        findings.append(unknown("signer", detail))
    when = f"says that it was made at {said.claimed_at}"
    return conclude(DOCUMENT, findings, f"signed, and about the head over {point.size} entries; {when}")


def _misfits(carried: _Carried, key: Ed25519PublicKey) -> Iterator[str]:
    said, point = carried.claim.predicate, carried.point
    if said.first_key.keyid != key_id(key):
        yield f"is about a log of key {said.first_key.keyid[:16]}…, not of {key_id(key)[:16]}…"
    if point.origin != origin_of(key):
        yield f"its head is of the log {point.origin}, not of {origin_of(key)}"
    if (said.head.origin, said.head.size, said.head.root) != (point.origin, point.size, point.root.hex()):
        yield "is about another head than the one that it brings"
    if carried.claim.statement.subject != subject_of_head(point):
        yield "its subject is not the head that it brings"


def _unsigned(carried: _Carried, key: Ed25519PublicKey) -> Iterator[str]:
    authority, signed = Authority(key), carried.claim.signed
    for entry in key_entries(carried.history).values():
        authority.admit(entry)  # what is wrong with it, step 2 says
    valid = authority.receipt_key
    if valid is None:
        yield "the receipt key of the log is revoked, so nobody may claim in its name"
    elif not verify(signed, valid):
        yield f"is not signed by the key that is valid at its head, {key_id(valid)[:16]}…"


def _check_chain(carried: _Carried) -> list[Check]:
    """Step 3, for the entries that are here."""
    history, here = carried.history, set(carried.indexes)
    findings: list[Finding] = []
    entries: list[Entry | KeyEntry] = [*history.entries, *key_entries(history).values()]
    for entry in entries:
        name = said_by(entry) if isinstance(entry, Entry) else f"entry {entry.index} (key)"
        said = entry.statement.predicate
        before = history.leaves[entry.index - 1].hex() if entry.index else ZERO_HASH
        if said.sequence != entry.index:
            findings.append(failed(name, f"says that it is number {said.sequence}"))
        if (entry.index == 0 or entry.index - 1 in here) and said.prev != before:
            findings.append(failed(name, "does not name the hash of the entry before it"))
    return conclude(CHAIN, findings, f"{len(carried.indexes)} entries, each at its place")


def _check_tree(carried: _Carried) -> list[Check]:
    """Step 4: the entries that are here lead to the signed root."""
    claim, point = carried.claim, carried.point
    leaves = {index: carried.history.leaves[index] for index in carried.indexes}
    if root_over(leaves, claim.spans, point.size, claim.hashes) != point.root:
        detail = "the entries do not lead to its root: one was changed, moved, added or left out"
        return conclude(TREE, [failed("signed head", detail)], "")
    return conclude(TREE, [], f"root {point.root.hex()[:16]}… over {point.size} entries is the signed one")


def _check_range(carried: _Carried) -> list[Check]:
    """Step 21."""
    said, history, size = carried.claim.predicate, carried.history, carried.point.size
    findings: list[Finding] = []
    if (said.first, said.end) not in carried.claim.spans:
        findings.append(failed("range", "its entries are not all here, in one piece"))
    beyond = [entry for entry in history.entries if not said.first <= entry.index < said.end]
    findings += [failed(said_by(entry), "is no entry of the range") for entry in beyond]
    if said.attempts != len(history.attempts):
        detail = f"says that it has {said.attempts} attempts; there are {len(history.attempts)}"
        findings.append(failed("range", detail))
    if history.intents and history.intents[-1][0].index == said.end - 1:
        detail = "ends within an attempt, whose joules are not in it"
        findings.append(failed("range", detail))
    if (said.first, said.end) != (0, size):
        where = f"entries {said.first} to {said.end - 1} of {size}"
        detail = f"{where}: whoever claims chose what to leave out, and what is said of keys elsewhere"
        findings.append(unknown("range", detail))
    return conclude(RANGE, findings, f"{len(history.attempts)} attempts, with every entry between them")


def _without_past(history: History) -> History:
    """The history for steps that must not count from the beginning of the log."""
    return replace(history, entries=tuple(attempt.entry for attempt in history.attempts), intents=())


def _check_decisions(carried: _Carried) -> list[Check]:
    if carried.claim.predicate.first == 0:
        return check_decisions(carried.history)
    detail = "the bar of evidence and the choice of arms follow from earlier entries, which are not here"
    return [
        *check_decisions(_without_past(carried.history)),
        *conclude(DECISIONS, [unknown("range", detail)], ""),
    ]


def _check_lineage(carried: _Carried) -> list[Check]:
    if carried.claim.predicate.first == 0:
        return check_lineage(carried.history)
    detail = "how often the holdout was used before is not here"
    found = check_lineage(_without_past(carried.history))
    bad = [check for check in found if check.status is Status.FAIL]
    return [*bad, *conclude(LINEAGE, [unknown("range", detail)], "")]


def _seen_before(carried: _Carried, heads: Path) -> list[Check]:
    return check_seen_before(carried.history, carried.point, heads, complete=carried.complete)


def _check_holds(carried: _Carried, judged: list[Judged]) -> list[Check]:
    """Step 22; what was judged is added to ``judged``."""
    said = carried.claim.predicate
    expression = _expression(said.expression)
    judged += judge(add_up(attempt.receipt for attempt in carried.history.attempts), expression)
    findings: list[Finding] = []
    claimed = [(value.quantity, value.value) for value in said.values]
    if claimed != [(found.clause.quantity.value, spelt(found.value)) for found in judged]:
        findings.append(failed("claim", "its values are not those that its receipts come to"))
    return [
        *conclude(HOLDS, findings, ""),
        *(check for found in judged for check in _clause(found, carried.history)),
    ]


def _expression(text: str) -> Expression:
    try:
        expression = parse_expression(text)
    except UsageError as error:
        raise VerificationError(f"its expression cannot be read: {error.what}") from error
    if expression.text != text:
        raise VerificationError(f"its expression is not in its one spelling: {expression.text}")
    return expression


def _clause(found: Judged, history: History) -> list[Check]:
    quantity = found.clause.quantity
    value = in_words(found)
    step = _ATTESTED if quantity in _ON_JOULES else HOLDS
    if not found.holds:
        return conclude(step, [failed(found.clause.text, value)], "")
    basis = ""
    if quantity in _ON_JOULES:
        basis = f", by what {len(history.attempts)} receipts say of their energy"
    elif quantity in _ON_LOSSES:
        basis = ", by the signed losses, which were not recomputed here"
    return conclude(step, [], f"{found.clause.text}: {value}{basis}")


def _remembered(carried: _Carried, heads: Path, checks: list[Check]) -> list[Check]:
    if any(check.status is Status.FAIL for check in checks):
        return []
    try:
        remember(heads, carried.claim.checkpoint)
    except StorageError as error:
        return conclude(REMEMBERED, [unknown("this head", f"is not remembered: {error.what}")], "")
    return []


_STEPS: tuple[tuple[Step, Callable[[_Carried], list[Check]]], ...] = (
    (DOCUMENT, _check_document),
    (FORM, lambda c: check_form(c.history)),
    (SIGNATURES, lambda c: check_signatures(c.history)),
    (CHAIN, _check_chain),
    (TREE, _check_tree),
    (RANGE, _check_range),
    (PAIRS, lambda c: check_pairs(c.history)),
    (ARITHMETIC, lambda c: check_arithmetic(c.history)),
    (DECISIONS, _check_decisions),
    (LINEAGE, _check_lineage),
    (ENERGY, lambda c: check_energy(c.history)),
)
