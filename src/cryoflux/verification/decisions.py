"""Step 7: the choice of the arm, the bar of evidence and the verdict follow from their rules.

Each is made again from the signed statements: the choice from the log before it, the bar from the looks
that the holdout has given, the verdict from the sums of the screen and of the holdout. A policy, rule or
screen that is not known here cannot be applied again: it is named as a question, never passed over.
"""

from __future__ import annotations

__all__ = ["DECISIONS", "Decisions"]

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from msgspec import field

from cryoflux.decision.looking import SCREENS, Look, due_look, is_at_its_end, judged_before
from cryoflux.decision.reason import Reason
from cryoflux.decision.rules import NO_WORSE, RULES, WITH_BUDGET, Thresholds, Verdict, decide
from cryoflux.decision.sequential import decide_partial
from cryoflux.errors import ConfigError
from cryoflux.log_state import LogState
from cryoflux.quantities import NANO
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Bar, Decision, Intent, Metric, Outcome, Receipt, Rule, Training
from cryoflux.receipts.sums import evidence_of
from cryoflux.sentences import say
from cryoflux.verification.choices import choice_findings, is_made_again, says_the_same
from cryoflux.verification.downgrades import Downgrades
from cryoflux.verification.judged import subject_complaint, wrong_judgement
from cryoflux.verification.result import Check, NumberedStep, unknown
from cryoflux.verification.strangers import Strangers, spelt
from cryoflux.verification.topics import Topic
from cryoflux.verification.walk import Fold, Paired, Seen, Tally

DECISIONS = NumberedStep(7, "decisions follow from their rule")
_MOST_RULES = 16
"""different rules that the summary tells apart"""


class _Unfounded(Exception):  # noqa: N818 - not an error: it becomes a finding
    """No verdict was due."""


class _NotKnown(Exception):  # noqa: N818 - not an error: step 7 asks about it
    """A rule or screen that is not known here gives no verdict."""


class _Decided(Tally):
    choices: int = 0
    again: int = 0
    """choices that were made again"""
    judged: int = 0
    """receipts that carry a decision"""
    decided: int = 0
    """decisions that were made again"""
    policies: Strangers = field(default_factory=Strangers)
    """that are not known here → choices"""
    strange: Strangers = field(default_factory=Strangers)
    """rules and screens that are not known here → receipts"""
    judgements: int = 0
    """on what others made"""
    downgrades: Downgrades = field(default_factory=Downgrades)
    rules: dict[str, int] = field(default_factory=dict)
    """rule, in words → receipts"""
    outcomes: dict[str, int] = field(default_factory=dict)
    """outcome → receipts"""


class Decisions(Fold):
    """Step 7: policy, error budget, screen and rule, applied again, give what was recorded.

    Args:
        past: whether the log is here from its beginning; else what depends on that is passed over.
    """

    step: ClassVar = DECISIONS
    tally: _Decided

    def __init__(self, *, past: bool = True) -> None:
        super().__init__()
        self._past = past
        self.tally = _Decided()

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the choice of the next intent, or at the decision of the next receipt."""
        if seen.entry is None:
            return
        if (intent := seen.entry.intent) is not None:
            if self._past:
                self._announce(seen.entry, intent, memory)
        elif seen.paired is not None:
            self._decide(seen.paired, memory)
        elif (judgement := seen.entry.judgement) is not None:
            self.tally.judgements += 1
            self.findings.fail(seen, wrong_judgement(judgement, memory, past=self._past))
            self.findings.fail(seen, filter(None, [subject_complaint(seen.entry, judgement)]))

    def _announce(self, entry: Entry, intent: Intent, memory: LogState) -> None:
        self.tally.choices += 1
        if is_made_again(intent):
            self.tally.again += 1
        else:
            self.tally.policies.add(spelt("policy", intent.schedule.policy))
        self.findings.extend(choice_findings(entry, intent, memory))
        if intent.rule.name in RULES:
            self.findings.fail(entry, _wrong_bar(intent, intent.bar, memory))
        self.findings.ask(entry, self.tally.downgrades.announced(entry, intent, memory), Topic.RULE)

    def _decide(self, paired: Paired, memory: LogState) -> None:
        outcome, decision = paired.receipt.outcome.value, paired.receipt.decision
        rules, outcomes = self.tally.rules, self.tally.outcomes
        self.findings.fail(paired, _wrong_decision(paired))
        if decision is not None:
            self.tally.judged += 1
            if strange := _not_known(decision.rule):
                self.tally.strange.add(strange)
                self.findings.fail(paired, _off_its_intent(paired, strange))
            else:
                self.tally.decided += 1
            rule = _in_words(decision.rule, paired.intent.metric if paired.intent is not None else None)
            if rule not in rules and len(rules) >= _MOST_RULES:
                rule = "others"
            rules[rule] = rules.get(rule, 0) + 1
            if paired.intent is not None and self._past and decision.rule.name in RULES:
                self.findings.fail(paired, _wrong_bar(paired.intent, decision.bar, memory))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def conclude(self, memory: LogState) -> list[Check]:  # noqa: ARG002
        """The lines of the step."""
        tally = self.tally
        for name, count in tally.policies.counted():
            were = "choice of an arm was" if count == 1 else "choices of arms were"
            detail = f"is not known here: {count} {were} not made again"
            self.findings.add(unknown(name, detail, Topic.CHOICES))
        for name, count in tally.strange.counted():
            were = "decision was" if count == 1 else "decisions were"
            detail = f"is not known here: {count} {were} not made again"
            self.findings.add(unknown(name, detail))
        used = ", ".join(f"{rule} × {count}" for rule, count in tally.rules.items()) or "none to check"
        ended = ", ".join(
            f"{count} {Outcome(outcome).word}" for outcome, count in sorted(tally.outcomes.items())
        )
        again = f"; {tally.again} of {tally.choices} choices made again" if tally.choices else ""
        if tally.decided < tally.judged:
            again = f"; {tally.decided} of {tally.judged} decisions made again{again}"
        judged = f"{tally.judgements} on what others made: verdict and bar made again"
        if not tally.again and not tally.decided:
            if tally.judgements:
                return self.findings.conclude(DECISIONS, judged, topics=[Topic.DECISIONS])
            asked = tally.policies or tally.strange
            nothing = "" if asked else "no choice and no decision in the log"
            return self.findings.conclude(DECISIONS, "", nothing=nothing)
        again += f"; {judged}" if tally.judgements else ""
        held = {Topic.CHOICES: tally.again, Topic.DECISIONS: tally.decided + tally.judgements}
        topics = [topic for topic, count in held.items() if count]
        return self.findings.conclude(
            DECISIONS, f"{ended or 'no receipts'}; rules: {used}{again}", topics=topics
        )


def _not_known(rule: Rule) -> str:
    """What of a rule is not known here; empty where all of it is."""
    if rule.name not in RULES:
        return spelt("rule", rule.name)
    return spelt("screen", rule.screen) if rule.screen not in {"", *SCREENS} else ""


def _off_its_intent(paired: Paired, what: str) -> Iterator[str]:
    """What is wrong with a decision by a rule that is not known here: that its intent announced another."""
    decision, intent = paired.receipt.decision, paired.intent
    if decision is not None and intent is not None and decision.rule != intent.rule:
        yield f"was judged by the {what}, which its intent did not announce"


@lru_cache(maxsize=64)
def _in_words(rule: Rule, metric: Metric | None) -> str:
    unit = metric.unit if metric is not None else "nats"
    points = rule.min_accuracy_gain_ppm / 10_000
    delta = f"Δ ≥ {rule.min_delta / NANO:g} {unit}"
    noise = f"z > {rule.z_milli / 1000:g}"
    if rule.name == NO_WORSE:
        return f"{rule.name} (Δ > −{rule.min_delta / NANO:g} {unit}, {noise})"
    if rule.name in WITH_BUDGET:
        noise = f"error ≤ {rule.alpha_ppm / 10_000:g} % a holdout"
    return f"{rule.name} ({delta}, accuracy gain ≥ {points:g} points, {noise})"


def _wrong_bar(intent: Intent, bar: Bar, memory: LogState) -> Iterator[str]:
    try:
        due = memory.bar(intent.task.name, intent.data.holdout.sha256, intent.rule)
    except ValueError as error:
        yield f"its error budget is none: {error}"
        return
    if (bar.looks, bar.kept) != (due.looks, due.kept):
        said = f"says that its holdout gave {bar.looks} verdicts, {bar.kept} of them acceptances"
        yield f"{said}; by the log it gave {due.looks}, {due.kept} of them acceptances"
    elif bar.left != due.left:
        yield f"says that {bar.left} of its error budget are left, but by the log {due.left} are (10⁻¹⁵)"
    elif not bar.stake_milli and bar.needed_milli != due.needed_milli:
        said = f"asks for evidence of {bar.needed_milli}/1000"
        yield f"{said}, but its error budget for {due.needed_milli}/1000"


def _wrong_decision(paired: Paired) -> Iterator[str]:
    receipt = paired.receipt
    training, decision = receipt.training, receipt.decision
    if receipt.outcome is Outcome.ABORTED:
        yield from _wrong_abort(paired, receipt)
        return
    unscreened = decision is not None and not decision.rule.screen
    if decision is None or training is None or (receipt.evaluation is None and unscreened):
        yield f"is {receipt.outcome.value} without training, evaluation and decision"
        return
    if decision.accepted != (receipt.outcome is Outcome.ACCEPTED):
        yield f"outcome {receipt.outcome.value} and decision accepted={decision.accepted} disagree"
    unit = paired.intent.metric.unit if paired.intent is not None else "nats"
    try:
        verdict = _verdict(paired, training, decision, unit)
    except _NotKnown:
        return
    except _Unfounded as reason:
        yield str(reason)
    except (ConfigError, ArithmeticError, ValueError) as error:
        yield f"its decision cannot be made again: {error}"
    else:
        yield from _disagreements(paired, decision, verdict)


def _wrong_abort(paired: Paired, receipt: Receipt) -> Iterator[str]:
    if receipt.evaluation is not None or receipt.decision is not None:
        yield "is aborted, but carries an evaluation or a decision"
    if paired.entry.version > 1 and receipt.reason.code.partition(".")[0] != receipt.cause.value:
        yield f"is aborted as {receipt.cause.value}, but its reason is {receipt.reason.code}"


def _verdict(paired: Paired, training: Training, decision: Decision, unit: str) -> Verdict:
    rule, receipt = decision.rule, paired.receipt
    if rule.name not in RULES:
        raise _NotKnown
    least = (rule.min_delta, rule.min_accuracy_gain_ppm)
    thresholds = Thresholds(*least, rule.z_milli, decision.bar.needed_milli, unit)
    evaluation, known = receipt.evaluation, not _not_known(rule)
    look = _look(paired, training, decision, thresholds) if known else None
    if evaluation is None:
        return Verdict(False, _refused(look))
    if look is not None:
        _require(look, decision)
    evidence = evidence_of(evaluation)
    if evaluation.read < receipt.holdout.count:
        return decide_partial(rule.name, evidence, receipt.holdout.count, thresholds)
    return decide(rule.name, evidence, thresholds)


def _refused(look: Look | None) -> Reason:
    """Why there was no look, where none was due."""
    if look is None:
        raise _NotKnown
    if look.refused is None:
        raise _Unfounded("passed its screen, but was not shown to the holdout")
    return look.refused


def _require(look: Look, decision: Decision) -> None:
    """Make sure that a look was due, with the stake and the bar that it had."""
    if look.refused is not None:
        raise _Unfounded(f"was shown to the holdout, but {decision.rule.screen} gives: {say(look.refused)}")
    said, due = decision.bar, (look.stake_milli, look.needed_milli)
    if (said.stake_milli, said.needed_milli) != due:
        raise _Unfounded(
            f"says that it staked {said.stake_milli}/1000 for a bar of {said.needed_milli}/1000; its screen "
            f"gives {due[0]}/1000 and {due[1]}/1000"
        )


def _look(paired: Paired, training: Training, decision: Decision, thresholds: Thresholds) -> Look:
    """Whether a look was due, and at which bar."""
    rule, intent = decision.rule, paired.intent
    if paired.chain is not None and paired.chain.judged == paired.statement.subject[0].digest.sha256:
        return judged_before()
    carries = intent is not None and intent.chain is not None
    screened = evidence_of(training.screen) if training.screen is not None and rule.screen else None
    try:
        return due_look(
            rule.name,
            rule.screen,
            screened,
            thresholds,
            decision.bar.left,
            paired.receipt.holdout.count,
            ended=is_at_its_end(training.stopped_by, carries=carries),
        )
    except ValueError as error:
        raise _Unfounded(str(error)) from error


def _disagreements(paired: Paired, decision: Decision, verdict: Verdict) -> Iterator[str]:
    receipt = paired.receipt
    name = decision.rule.name if receipt.evaluation is not None else decision.rule.screen
    rejected = Outcome.UNDECIDED if verdict.undecided else Outcome.REJECTED
    if receipt.training is not None and receipt.training.working:
        rejected = Outcome.CARRIED
    due = Outcome.ACCEPTED if verdict.accepted else rejected
    if verdict.accepted != decision.accepted:
        yield f"says accepted={decision.accepted}, but {name} gives: {say(verdict.reason)}"
    elif receipt.outcome is not due:
        yield f"is {receipt.outcome.value}, but {name} gives: {say(verdict.reason)}"
    elif not says_the_same(verdict.reason, receipt.reason, paired.entry.version):
        yield f"its reason is not the one of {name}, which is: {say(verdict.reason)}"
