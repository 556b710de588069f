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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.claims.carried import Carried, Place, Range, open_question, unpacked
from cryoflux.claims.document import parse_claim, subject_of_head
from cryoflux.claims.evaluation import ON_GAINS, ON_LOSSES, EvaluatedClause, Figures, add_up, judge
from cryoflux.claims.report import ClaimReport
from cryoflux.claims.standing import check_seen_before, check_witnesses
from cryoflux.claims.wording import in_words, spelt
from cryoflux.errors import CryoFluxError, UsageError, VerificationError
from cryoflux.expression import ON_JOULES, Expression, Quantity, parse_expression
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import key_id
from cryoflux.verification.arithmetic import Arithmetic
from cryoflux.verification.authority import Signatures
from cryoflux.verification.decisions import DECISIONS, Decisions
from cryoflux.verification.form import Form, Order
from cryoflux.verification.joules import Joules
from cryoflux.verification.known_heads import REMEMBERED, remember_verified_head
from cryoflux.verification.lineage import LINEAGE, Lineage
from cryoflux.verification.pairs import Pairs
from cryoflux.verification.result import (
    Check,
    Knowledge,
    NumberedStep,
    Report,
    Status,
    conclude,
    failed,
    unknown,
)
from cryoflux.verification.rounds import ROUNDS, Rounds
from cryoflux.verification.sections import Sections
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.walk import Fold, concluded, walk
from cryoflux.verification.witnessing import WITNESSED, Demand

DOCUMENT = NumberedStep(20, "claim document")
HOLDS = NumberedStep(22, "claim")
_ATTESTED = NumberedStep(22, "claim", Knowledge.ATTESTED)
_ON_METER = ON_JOULES | {Quantity.TIER}
_ON_LOSSES = {Quantity.DELTA, Quantity.ACCURACY_GAIN, Quantity.LOSS_FIRST, Quantity.LOSS_LAST}
_BEFORE = {
    DECISIONS: "the bar of evidence and the choice of arms follow from earlier entries, which are not here",
    LINEAGE: "how often the holdout was used before is not here",
    ROUNDS: "the lists, guest holdouts and bars of rounds follow from earlier entries, which are not here",
}
"""what a range that does not begin with the log leaves open"""


@dataclass(frozen=True, slots=True)
class _Walked:
    """A claim whose entries were gone through."""

    carried: Carried
    signatures: Signatures
    place: Place
    range: Range
    joules: Joules
    memory: LogState
    checks: list[Check]
    """of all steps that are folds"""

    @property
    def target(self) -> str:
        """How a finding names all of it."""
        return str(self.carried.material.target)


def check_claim(
    content: bytes,
    target: Path,
    *,
    key: Ed25519PublicKey | None = None,
    log_key: Ed25519PublicKey | None = None,
    meters: Sequence[Ed25519PublicKey] = (),
    demand: Demand | None = None,
    heads: Path | None = None,
    sections: Sections | None = None,
    now_s: float | None = None,
) -> ClaimReport:
    """Go through all steps.

    Args:
        content: the file of the claim.
        target: how the report names it.
        key: that the log has to have begun under; the claim names one otherwise, which proves no owner.
        log_key: that has to have signed the head; the same.
        meters: keys of the meters that every charge has to be signed by; none where any will do.
        demand: what witnesses have to say.
        heads: folder of the heads that were seen before; a good one is remembered there.
        sections: what checks the sections that only a task knows, by their kind.
        now_s: Unix seconds that entries may not be ahead of; none to look at this machine's clock.
    """
    try:
        carried = unpacked(parse_claim(content), target, key, log_key, meters)
    except CryoFluxError as error:
        return _report(conclude(DOCUMENT, [failed(str(target), error.what)], ""), target)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes provoke is a failed check
        detail = f"{type(error).__name__}: {error}"
        return _report(conclude(DOCUMENT, [failed(str(target), detail)], ""), target)
    walked = _walk(carried, sections or {}, now_s)
    checks = [*_guarded(DOCUMENT, walked, lambda: _check_document(walked)), *walked.checks]
    if demand is not None:
        checks += _guarded(WITNESSED, walked, lambda: check_witnesses(carried.material, demand))
    if heads is not None:
        checks += _guarded(REMEMBERED, walked, lambda: _seen_before(walked, heads))
    judged: list[EvaluatedClause] = []
    checks += _guarded(HOLDS, walked, lambda: _check_holds(walked, judged))
    good = all(check.status is not Status.FAIL for check in checks)
    if heads is not None and carried.complete and good:
        checks += remember_verified_head(carried.material, walked.place.log_key.binding, heads)
    return _report(checks, target, walked, tuple(judged))


def _walk(carried: Carried, sections: Sections, now_s: float | None) -> _Walked:
    material, past = carried.material, carried.begins
    with SignaturePool.for_entries(len(material.rows)) as pool:
        signatures, place, span = Signatures(material, pool), Place(carried), Range(carried)
        joules = Joules(material, sections, pool)
        folds: list[Fold] = [
            Form(material),
            signatures,
            Order(),
            place,
            span,
            Pairs(sections, now_s),
            Arithmetic(),
            Decisions(past=past),
            Lineage(material, past=past),
            Rounds(material, past=past),
            joules,
        ]
        memory = walk(material.rows, folds, part=True)
        checks = [check for fold in folds for check in _lines(fold, memory, carried)]
    return _Walked(carried, signatures, place, span, joules, memory, checks)


def _lines(fold: Fold, memory: LogState, carried: Carried) -> list[Check]:
    found = concluded(fold, memory)
    if carried.begins or fold.step not in _BEFORE or not found:
        return found
    kept = [check for check in found if fold.step is not LINEAGE or check.status is not Status.OK]
    return [*kept, *open_question(fold.step, _BEFORE[fold.step])]


def _report(
    checks: list[Check], target: Path, walked: _Walked | None = None, judged: tuple[EvaluatedClause, ...] = ()
) -> ClaimReport:
    receipts = walked.range.receipts if walked else []
    carried = walked.carried if walked else None
    report = Report(
        target=str(target),
        checks=tuple(checks),
        entries=len(carried.material.rows) if carried else 0,
        receipts=len(receipts),
        evaluated=sum(receipt.evaluation is not None for receipt in receipts),
        recomputed=0,
        signer=key_id(carried.key) if carried else "",
        pinned=carried.material.pinned if carried else False,
    )
    said = carried.claim.predicate if carried else None
    return ClaimReport(
        report=report,
        expression=said.expression if said else "",
        judged=judged,
        first=said.first if said else 0,
        end=said.end if said else 0,
        size=carried.point.size if carried else 0,
        metering=walked.joules.metering() if walked else "",
        tasks=len({receipt.task.name for receipt in receipts}),
        readings=walked.range.figures.readings if walked else 1,
        rounds=walked.range.figures.rounds if walked else 0,
        backed=walked.range.backed if walked and said and said.backing is not None else None,
    )


def _guarded(step: NumberedStep, walked: _Walked, run: Callable[[], list[Check]]) -> list[Check]:
    # The last line of defence: input that a step did not foresee is a failed check, not a traceback.
    try:
        return run()
    except CryoFluxError as error:
        what = f"{error.what} {error.why}".strip()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        what = f"{type(error).__name__}: {error}"
    return conclude(step, [failed(walked.target, f"the step could not finish: {what}")], "")


def _check_document(walked: _Walked) -> list[Check]:
    """Step 20."""
    carried, key = walked.carried, walked.carried.key
    said, point = carried.claim.predicate, carried.point
    findings = [failed("claim", complaint) for complaint in _misfits(carried)]
    findings += [failed("claim", complaint) for complaint in _unsigned(walked)]
    if not carried.material.pinned:
        detail = f"only the claim itself says that the log is of key {key_id(key)[:16]}…: name it with --key"
        findings.append(unknown("signer", detail))
    when = f"says that it was made at {said.claimed_at}"
    return conclude(DOCUMENT, findings, f"signed, and about the head over {point.size} entries; {when}")


def _misfits(carried: Carried) -> Iterator[str]:
    said, point, key = carried.claim.predicate, carried.point, carried.key
    if said.first_key.keyid != key_id(key):
        yield f"is about a log of key {said.first_key.keyid[:16]}…, not of {key_id(key)[:16]}…"
    if point.origin != origin_of(key):
        yield f"its head is of the log {point.origin}, not of {origin_of(key)}"
    if (said.head.origin, said.head.size, said.head.root) != (point.origin, point.size, point.root.hex()):
        yield "is about another head than the one that it brings"
    if carried.claim.statement.subject != subject_of_head(point):
        yield "its subject is not the head that it brings"


def _unsigned(walked: _Walked) -> Iterator[str]:
    valid = walked.signatures.authority.receipt_key
    if valid is None:
        yield "the receipt key of the log is revoked, so nobody may claim in its name"
    elif not verify(walked.carried.claim.signed, valid):
        yield f"is not signed by the key that is valid at its head, {key_id(valid)[:16]}…"


def _seen_before(walked: _Walked, heads: Path) -> list[Check]:
    carried = walked.carried
    return check_seen_before(carried.material, walked.memory, walked.place, carried.point, heads)


def _check_holds(walked: _Walked, judged: list[EvaluatedClause]) -> list[Check]:
    """Step 22; what was judged is added to ``judged``."""
    said, figures = walked.carried.claim.predicate, walked.range.figures
    expression = _expression(said.expression)
    judged += judge(figures, expression)
    claimed = [(value.quantity, value.value) for value in said.values]
    findings = [failed("claim", complaint) for complaint in _backed_by_others(walked, expression)]
    if claimed != _values(judged):
        # A claim of an older program is no forgery; whether it holds is said by what stands.
        older = judge(add_up(walked.range.told, taken_back=True), expression)
        if claimed == _values(older):
            what = (
                "count what moves of heads took back" if figures.taken_back else "leave no room for tolerance"
            )
            detail = f"its values {what}, as older programs did"
            findings.append(unknown("claim", detail))
        else:
            findings.append(failed("claim", "its values are not those that its receipts come to"))
    records = len(walked.range.receipts) + figures.rounds
    by = f"by what {records} receipts say of their energy, {_metering(walked)}"
    clauses = [check for found in judged for check in _clause(found, by, figures)]
    return [*conclude(HOLDS, findings, ""), *clauses]


def _backed_by_others(walked: _Walked, expression: Expression) -> Iterator[str]:
    """Whether a claim names other guest holdouts, lists or joules than stand behind what it certifies."""
    backed = walked.range.backed if expression.on_certified else None
    if walked.carried.claim.predicate.backing != (backed.backing if backed is not None else None):
        yield "the guest holdouts, lists or joules that it names are not those of its rounds"


def _metering(walked: _Walked) -> str:
    said, short = walked.joules.metering(), walked.joules.tally.signed.cut_short
    return f"{said}; {short} cut short by their own word" if short and "cut short" not in said else said


def _values(judged: Sequence[EvaluatedClause]) -> list[tuple[str, str]]:
    return [(found.clause.quantity.value, spelt(found.value)) for found in judged]


def _expression(text: str) -> Expression:
    try:
        expression = parse_expression(text)
    except UsageError as error:
        raise VerificationError(f"its expression cannot be read: {error.what}") from error
    if expression.text != text:
        raise VerificationError(f"its expression is not in its one spelling: {expression.text}")
    return expression


def _withdrawn(figures: Figures) -> str:
    gone = figures.withdrawn
    return f", without {gone} accepted rounds that were recalled or taken back" if gone else ""


def _clause(found: EvaluatedClause, by_meter: str, figures: Figures) -> list[Check]:
    quantity = found.clause.quantity
    value = in_words(found)
    step = _ATTESTED if quantity in _ON_METER | {Quantity.CERTIFIED} else HOLDS
    if not found.holds:
        return conclude(step, [failed(found.clause.text, value)], "")
    return conclude(step, [], f"{found.clause.text}: {value}{_basis(quantity, by_meter, figures)}")


def _basis(quantity: Quantity, by_meter: str, figures: Figures) -> str:
    """What a comparison rests on, as it is said behind it."""
    basis = ""
    if quantity in _ON_METER:
        basis = f", {by_meter}"
    elif quantity is Quantity.CERTIFIED:
        basis = f", by sealed looks of the node's own{_withdrawn(figures)}"
    elif quantity in _ON_LOSSES:
        basis = ", by the signed losses, which were not recomputed here"
    if figures.taken_back and quantity is Quantity.KEPT:
        basis = f", {figures.taken_back} of them taken back since"
    elif figures.taken_back and quantity in ON_GAINS:
        basis = f" without what was taken back{basis}"
    if figures.readings > 1 and quantity in ON_LOSSES:
        basis = f", over {figures.readings} readings of holdouts{basis}"
    if figures.tasks > 1:
        basis = f", over {figures.tasks} tasks{basis}"
    return basis
