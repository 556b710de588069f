"""Steps 6 to 8: what receipts say about each other and about themselves.

All of it is integer arithmetic and comparison of digests on the signed statements; no artefact is read.
"""

from __future__ import annotations

__all__ = [
    "ARITHMETIC",
    "DECISIONS",
    "LINEAGE",
    "PROFILE",
    "check_arithmetic",
    "check_decisions",
    "check_lineage",
    "evidence_of",
]

from collections import Counter
from collections.abc import Iterator

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.errors import ConfigError
from cryoflux.quantities import NANO
from cryoflux.receipts.statement import Base, Data, Evaluation, Holdout, Outcome, Receipt, Rule
from cryoflux.verification.history import History, said_by
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

ARITHMETIC = Step(6, "arithmetic of Δ")
DECISIONS = Step(7, "decisions follow from their rule")
LINEAGE = Step(8, "models and holdout follow one another")

PROFILE = "f64-nanonat/v1"
"""the one way of computing a loss that is known here"""


def evidence_of(evaluation: Evaluation, holdout: Holdout) -> Evidence:
    """The sums of a receipt in the form that the rules judge."""
    return Evidence(
        count=holdout.count,
        base_loss=evaluation.base_loss_nano_nat_sum,
        new_loss=evaluation.new_loss_nano_nat_sum,
        delta_squared=int(evaluation.delta_squared_nano_nat_sum),
        base_correct=evaluation.base_correct,
        new_correct=evaluation.new_correct,
        gained=evaluation.gained,
        lost=evaluation.lost,
    )


def check_arithmetic(history: History) -> list[Check]:
    """Step 6: sums and counts of each evaluation are possible and agree."""
    findings: list[Finding] = []
    evaluated = 0
    for attempt in history.attempts:
        evaluation = attempt.receipt.evaluation
        if evaluation is None:
            continue
        evaluated += 1
        impossible = _impossible(evaluation, attempt.receipt.holdout.count)
        findings += [failed(attempt.name, complaint) for complaint in impossible]
        if evaluation.profile != PROFILE:
            detail = f"its losses follow the profile {evaluation.profile!r}, which is not known here"
            findings.append(unknown(attempt.name, detail))
    return conclude(ARITHMETIC, findings, f"{evaluated} evaluations add up")


def _impossible(said: Evaluation, count: int) -> Iterator[str]:
    base, new = said.base_loss_nano_nat_sum, said.new_loss_nano_nat_sum
    delta, squares = said.delta_nano_nat_sum, int(said.delta_squared_nano_nat_sum)
    if delta != base - new:
        yield f"Δ sum {delta} is not base − new = {base - new} nano-nats"
    if delta**2 > count * squares:
        yield "Σδ² is too small for its Δ (Cauchy–Schwarz)"
    if squares > base**2 + new**2 or (squares - delta) % 2:
        yield "Σδ² cannot come from losses with these sums"
    if max(said.base_correct, said.new_correct, said.gained + said.lost) > count:
        yield f"counts more examples than the holdout's {count}"
    if said.gained - said.lost != said.new_correct - said.base_correct:
        yield "gained − lost is not the change in correct examples"
    if said.gained > min(said.new_correct, count - said.base_correct) or said.lost > said.base_correct:
        yield "gained and lost are more than the correct examples allow"


def check_decisions(history: History) -> list[Check]:
    """Step 7: the rule, applied again, gives the recorded verdict and outcome."""
    findings = [
        failed(attempt.name, complaint)
        for attempt in history.attempts
        for complaint in _wrong_decision(attempt.receipt)
    ]
    rules = Counter(a.receipt.decision.rule for a in history.attempts if a.receipt.decision is not None)
    used = ", ".join(f"{_in_words(rule)} × {count}" for rule, count in rules.items()) or "none to check"
    outcomes = Counter(attempt.receipt.outcome.value for attempt in history.attempts)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return conclude(DECISIONS, findings, f"{ended or 'no receipts'}; rules: {used}")


def _in_words(rule: Rule) -> str:
    points = rule.min_accuracy_gain_ppm / 10_000
    delta = f"Δ ≥ {rule.min_delta_nano_nat / NANO:g} nats"
    return f"{rule.name} ({delta}, accuracy gain ≥ {points:g} points, z > {rule.z_milli / 1000:g})"


def _wrong_decision(receipt: Receipt) -> Iterator[str]:
    evaluation, decision = receipt.evaluation, receipt.decision
    if receipt.outcome is Outcome.ABORTED:
        if evaluation is not None or decision is not None:
            yield "is aborted, but carries an evaluation or a decision"
        return
    if evaluation is None or decision is None or receipt.training is None:
        yield f"is {receipt.outcome.value} without training, evaluation and decision"
        return
    if decision.accepted != (receipt.outcome is Outcome.ACCEPTED):
        yield f"outcome {receipt.outcome.value} and decision accepted={decision.accepted} disagree"
    rule = decision.rule
    thresholds = Thresholds(rule.min_delta_nano_nat, rule.min_accuracy_gain_ppm, rule.z_milli)
    try:
        verdict = decide(rule.name, evidence_of(evaluation, receipt.holdout), thresholds)
    except (ConfigError, ArithmeticError) as error:
        yield f"its decision cannot be made again: {error}"
        return
    if verdict.accepted != decision.accepted:
        yield f"says accepted={decision.accepted}, but {rule.name} gives: {verdict.reason}"
    elif verdict.reason != receipt.reason:
        yield f"its reason is not the sentence of {rule.name}, which is: {verdict.reason}"


def check_lineage(history: History) -> list[Check]:
    """Step 8: each base is the result before it, and the holdout is one, with every use counted."""
    findings = [*_model_breaks(history), *_data_breaks(history)]
    versions = {e.statement.predicate.base.digest for e in history.entries}
    versions |= {attempt.receipt.result.digest for attempt in history.attempts}
    summary = f"{len(versions)} model versions in one line; one holdout, judged {len(history.intents)} times"
    return conclude(LINEAGE, findings, summary if history.entries else "the log is empty")


def _model_breaks(history: History) -> Iterator[Finding]:
    head: Base | None = None
    attempts = {attempt.entry.index: attempt for attempt in history.attempts}
    for entry in history.entries:
        base = entry.statement.predicate.base
        if head is not None and base != head:
            yield failed(said_by(entry), "its base model is not the result of the attempt before it")
        head = base
        if (attempt := attempts.get(entry.index)) is not None:
            head = attempt.receipt.result
            if head != _expected_result(attempt.receipt):
                yield failed(
                    attempt.name, f"{attempt.receipt.outcome.value}, but its result is another model"
                )


def _expected_result(receipt: Receipt) -> Base:
    if receipt.outcome is Outcome.ACCEPTED and receipt.evaluation is not None:
        return receipt.evaluation.candidate
    return receipt.base


def _data_breaks(history: History) -> Iterator[Finding]:
    first = _but_for_use(history.intents[0][1].data) if history.intents else None
    for number, (entry, intent) in enumerate(history.intents, start=1):
        used = intent.data.holdout.use_index
        if _but_for_use(intent.data) != first:
            yield failed(said_by(entry), "uses another data set than the first attempt")
        if used != number:
            yield failed(said_by(entry), f"is use {number} of the holdout, but says {used}")


def _but_for_use(data: Data) -> Data:
    return data.model_copy(update={"holdout": data.holdout.model_copy(update={"use_index": 1})})
