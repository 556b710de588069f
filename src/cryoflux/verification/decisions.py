"""Step 7: the choice of the arm, the bar of evidence and the verdict follow from their rules.

Each is made again from the signed statements: the choice from the log before it, the bar from the looks
that the holdout has given, the verdict from the sums of the screen and of the holdout.
"""

from __future__ import annotations

__all__ = ["DECISIONS", "Decisions", "check_decisions"]

from collections import Counter
from collections.abc import Iterator, Mapping

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED, Thresholds, Verdict, decide
from cryoflux.decision.screening import SCREEN, screened_out
from cryoflux.decision.sequential import decide_partial
from cryoflux.errors import ConfigError
from cryoflux.quantities import NANO
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Decision, Intent, Outcome, Receipt, Rule, Training
from cryoflux.verification.arithmetic import evidence_of, screen_evidence
from cryoflux.verification.choices import Choices, check_choices
from cryoflux.verification.history import Attempt, History, said_by
from cryoflux.verification.looks import Tally, with_tallies
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

DECISIONS = Step(7, "decisions follow from their rule")


class _Unfounded(Exception):  # noqa: N818 - not an error: it becomes a finding
    """No verdict was due."""


def check_decisions(history: History) -> list[Check]:
    """Step 7: policy, error budget, screen and rule, applied again, give what was recorded."""
    decisions = Decisions(check_choices(history))
    for entry, intent, tallies in with_tallies(history):
        decisions.announce(entry, intent, tallies)
    for attempt in history.attempts:
        decisions.take(attempt)
    return decisions.conclude()


class Decisions:
    """Step 7, one attempt after the other."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._bars: list[Finding] = []
        self._wrong: list[Finding] = []
        self._rules: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._lowest: int | None = None

    def announce(self, entry: Entry, intent: Intent, tallies: Mapping[str, Tally]) -> None:
        """Look at the bar of the next intent, before which its holdouts had given so many verdicts."""
        if intent.rule.name == BUDGETED:
            self._bars += _budgets(entry, intent, tallies, self._lowest)
            alpha = intent.rule.alpha_ppm
            self._lowest = alpha if self._lowest is None else min(self._lowest, alpha)

    def take(self, attempt: Attempt) -> None:
        """Look at the decision of the next attempt."""
        receipt = attempt.receipt
        self._wrong += [failed(attempt.name, complaint) for complaint in _wrong_decision(receipt)]
        if receipt.decision is not None:
            self._rules[_in_words(receipt.decision.rule)] += 1
        self._outcomes[receipt.outcome.value] += 1

    def conclude(self) -> list[Check]:
        """What the step says."""
        used = ", ".join(f"{rule} × {count}" for rule, count in self._rules.items()) or "none to check"
        ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._outcomes.items()))
        chosen, count = self._choices.again, self._choices.count
        again = f"; {chosen} of {count} choices made again" if chosen else ""
        findings = [*self._choices.findings, *self._bars, *self._wrong]
        return conclude(DECISIONS, findings, f"{ended or 'no receipts'}; rules: {used}{again}")


def _in_words(rule: Rule) -> str:
    points = rule.min_accuracy_gain_ppm / 10_000
    delta = f"Δ ≥ {rule.min_delta_nano_nat / NANO:g} nats"
    noise = f"z > {rule.z_milli / 1000:g}"
    if rule.name == BUDGETED:
        noise = f"error ≤ {rule.alpha_ppm / 10_000:g} % a holdout"
    return f"{rule.name} ({delta}, accuracy gain ≥ {points:g} points, {noise})"


def _budgets(
    entry: Entry, intent: Intent, tallies: Mapping[str, Tally], lowest: int | None
) -> Iterator[Finding]:
    rule = intent.rule
    if complaint := _wrong_bar(rule, tallies.get(intent.data.holdout.sha256, Tally())):
        yield failed(said_by(entry), complaint)
    if lowest is not None and rule.alpha_ppm > lowest:
        detail = f"raises the error budget from {lowest} to {rule.alpha_ppm} ppm after looking"
        yield unknown(said_by(entry), detail)


def _wrong_bar(rule: Rule, tally: Tally) -> str:
    if (rule.looks, rule.kept) != (tally.looks, tally.kept):
        said = f"says that its holdout gave {rule.looks} verdicts, {rule.kept} of them acceptances"
        return f"{said}; by the log it gave {tally.looks}, {tally.kept} of them acceptances"
    try:
        needed = ErrorBudget(rule.alpha_ppm, rule.looks, rule.kept).needed_milli
    except ValueError as error:
        return f"its error budget is none: {error}"
    if rule.needed_milli != needed:
        return f"asks for evidence of {rule.needed_milli}/1000, but its error budget for {needed}/1000"
    return ""


def _wrong_decision(receipt: Receipt) -> Iterator[str]:
    training, decision = receipt.training, receipt.decision
    if receipt.outcome is Outcome.ABORTED:
        if receipt.evaluation is not None or decision is not None:
            yield "is aborted, but carries an evaluation or a decision"
        return
    unscreened = decision is not None and not decision.rule.screen
    if decision is None or training is None or (receipt.evaluation is None and unscreened):
        yield f"is {receipt.outcome.value} without training, evaluation and decision"
        return
    if decision.accepted != (receipt.outcome is Outcome.ACCEPTED):
        yield f"outcome {receipt.outcome.value} and decision accepted={decision.accepted} disagree"
    try:
        verdict = _verdict(receipt, training, decision.rule)
    except _Unfounded as reason:
        yield str(reason)
    except (ConfigError, ArithmeticError, ValueError) as error:
        yield f"its decision cannot be made again: {error}"
    else:
        yield from _disagreements(receipt, decision, verdict)


def _verdict(receipt: Receipt, training: Training, rule: Rule) -> Verdict:
    least = (rule.min_delta_nano_nat, rule.min_accuracy_gain_ppm)
    thresholds = Thresholds(*least, rule.z_milli, rule.needed_milli)
    evaluation, stopped = receipt.evaluation, _stopped_by_screen(receipt, training, rule, thresholds)
    if evaluation is None:
        if stopped is None:
            raise _Unfounded("passed its screen, but was not shown to the holdout")
        return Verdict(False, stopped)
    if stopped is not None:
        raise _Unfounded(f"was shown to the holdout, but {rule.screen} gives: {stopped}")
    evidence = evidence_of(evaluation, receipt.holdout)
    if evaluation.examples:
        return decide_partial(rule.name, evidence, receipt.holdout.count, thresholds)
    return decide(rule.name, evidence, thresholds)


def _stopped_by_screen(
    receipt: Receipt, training: Training, rule: Rule, thresholds: Thresholds
) -> str | None:
    if not rule.screen:
        return None
    if rule.screen != SCREEN:
        raise _Unfounded(f"its screening rule {rule.screen!r} is not known here")
    if training.screen is None:
        raise _Unfounded(f"was not screened, as {rule.screen} asks for")
    return screened_out(screen_evidence(training.screen), thresholds, receipt.holdout.count)


def _disagreements(receipt: Receipt, decision: Decision, verdict: Verdict) -> Iterator[str]:
    name = decision.rule.name if receipt.evaluation is not None else decision.rule.screen
    rejected = Outcome.UNDECIDED if verdict.undecided else Outcome.REJECTED
    due = Outcome.ACCEPTED if verdict.accepted else rejected
    if verdict.accepted != decision.accepted:
        yield f"says accepted={decision.accepted}, but {name} gives: {verdict.reason}"
    elif receipt.outcome is not due:
        yield f"is {receipt.outcome.value}, but {name} gives: {verdict.reason}"
    elif verdict.reason != receipt.reason:
        yield f"its reason is not the sentence of {name}, which is: {verdict.reason}"
