"""Steps 5 to 8 and 10: what receipts say about each other and about themselves.

All of it is integer arithmetic and comparison of digests on the signed statements; no artefact is read.
"""

from __future__ import annotations

__all__ = ["check_arithmetic", "check_decisions", "check_energy", "check_lineage", "check_pairs"]

from collections import Counter
from collections.abc import Iterator

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.errors import ConfigError
from cryoflux.quantities import format_energy
from cryoflux.receipts.statement import Base, Data, Evaluation, Holdout, Intent, Outcome, Receipt, Training
from cryoflux.verification.history import Attempt, History, said_by
from cryoflux.verification.result import Check, Claim, Finding, Step, conclude, failed, unknown

PAIRS = Step(5, "every attempt was announced")
ARITHMETIC = Step(6, "arithmetic of Δ")
DECISIONS = Step(7, "decisions follow from their rule")
LINEAGE = Step(8, "models and holdout follow one another")
ENERGY = Step(10, "energy figures", Claim.ATTESTED)

_OVERDRAFT_PERCENT = 105


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


def check_pairs(history: History) -> list[Check]:
    """Step 5: each receipt ends one earlier intent, and says the same as it did."""
    findings: list[Finding] = []
    uses = Counter(attempt.receipt.intent for attempt in history.attempts)
    for attempt in history.attempts:
        if attempt.intent is None:
            findings.append(failed(attempt.name, "names no intent before it"))
            continue
        findings += _differences(attempt, attempt.intent)
        if uses[attempt.receipt.intent] > 1:
            findings.append(failed(attempt.name, "is not the only receipt of its intent"))
    findings += _unfinished(history, uses)
    paired = sum(attempt.intent is not None for attempt in history.attempts)
    return conclude(PAIRS, findings, f"{paired} receipts, each with its intent")


def _differences(attempt: Attempt, intent: Intent) -> Iterator[Finding]:
    receipt = attempt.receipt
    same = {
        "task": receipt.task == intent.task,
        "base model": receipt.base == intent.base,
        "holdout": receipt.holdout == intent.data.holdout,
        "reservation": receipt.energy.reserved_microjoules == intent.reserved_microjoules,
        "recipe": receipt.training is None or _keeps_recipe(receipt.training, intent),
        "seed": receipt.training is None or receipt.training.seed == intent.seed,
    }
    for what, equal in same.items():
        if not equal:
            yield failed(attempt.name, f"has another {what} than its intent announced")


def _keeps_recipe(training: Training, intent: Intent) -> bool:
    return all(training.recipe.get(name) == value for name, value in intent.recipe.items())


def _unfinished(history: History, uses: Counter[str]) -> Iterator[Finding]:
    last = len(history.leaves) - 1
    for entry, _ in history.intents:
        if entry.leaf_hash in uses:
            continue
        if entry.index == last:
            yield unknown(said_by(entry), "is in progress or crashed; the next run will abort it")
        else:
            yield failed(said_by(entry), "was announced and has no receipt: its result was left out")


def check_arithmetic(history: History) -> list[Check]:
    """Step 6: sums and counts of each evaluation are possible and agree."""
    findings = [
        failed(attempt.name, complaint)
        for attempt in history.attempts
        if attempt.receipt.evaluation is not None
        for complaint in _impossible(attempt.receipt.evaluation, attempt.receipt.holdout.count)
    ]
    evaluated = sum(attempt.receipt.evaluation is not None for attempt in history.attempts)
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
    used = ", ".join(f"{rule} × {count}" for rule, count in sorted(rules.items())) or "none to check"
    outcomes = Counter(attempt.receipt.outcome.value for attempt in history.attempts)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return conclude(DECISIONS, findings, f"{ended or 'no receipts'}; rules: {used}")


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
    thresholds = Thresholds(decision.min_delta_nano_nat, decision.min_accuracy_gain_ppm, decision.z_milli)
    try:
        verdict = decide(decision.rule, evidence_of(evaluation, receipt.holdout), thresholds)
    except (ConfigError, ArithmeticError) as error:
        yield f"its decision cannot be made again: {error}"
        return
    if verdict.accepted != decision.accepted:
        yield f"says accepted={decision.accepted}, but {decision.rule} gives: {verdict.reason}"


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


def check_energy(history: History) -> list[Check]:
    """Step 10: figures lie in their intervals; how many joules there were stays attested."""
    findings: list[Finding] = []
    tiers: Counter[str] = Counter()
    for attempt in history.attempts:
        figure = attempt.receipt.energy
        tiers[figure.tier.value] += 1
        if not figure.lo_microjoules <= figure.microjoules <= figure.hi_microjoules:
            findings.append(failed(attempt.name, "its joules lie outside their own interval"))
        if figure.microjoules * 100 > figure.reserved_microjoules * _OVERDRAFT_PERCENT:
            charged, reserved = format_energy(figure.microjoules), format_energy(figure.reserved_microjoules)
            findings.append(unknown(attempt.name, f"spent {charged} of {reserved} reserved: over by > 5 %"))
    total = format_energy(sum(attempt.receipt.energy.microjoules for attempt in history.attempts))
    measured = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items())) or "no receipts"
    return conclude(ENERGY, findings, f"{total} in all, self-reported; tiers: {measured}")
