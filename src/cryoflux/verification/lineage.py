"""Step 8: models follow one another, on one data set, and each use of a holdout is counted.

A log may go on to the next holdout of its data set, but only when the error budget of the one before is
spent: whoever may choose among holdouts can go on choosing until one of them says what is wanted.
"""

from __future__ import annotations

__all__ = ["LINEAGE", "check_lineage"]

from collections import Counter
from collections.abc import Iterator

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED
from cryoflux.receipts.statement import Base, Data, Outcome, Receipt, Rule
from cryoflux.verification.history import History, said_by
from cryoflux.verification.looks import Tally, with_tallies
from cryoflux.verification.result import Check, Finding, Step, conclude, failed

LINEAGE = Step(8, "models and holdout follow one another")


def check_lineage(history: History) -> list[Check]:
    """Step 8: each base is the result before it, and every use of each holdout is counted."""
    findings = [*_model_breaks(history), *_data_breaks(history)]
    versions = {e.statement.predicate.base.digest for e in history.entries}
    versions |= {attempt.receipt.result.digest for attempt in history.attempts}
    uses = Counter(intent.data.holdout.sha256 for _, intent in history.intents)
    judged = " and ".join(str(count) for count in uses.values()) or "0"
    which = "one holdout" if len(uses) < 2 else f"{len(uses)} holdouts"
    summary = f"{len(versions)} model versions in one line; {which}, judged {judged} times"
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
    first: Data | None = None
    before = ""
    counts: dict[str, int] = {}
    uses: Counter[str] = Counter()
    alphas: list[int] = []
    for entry, intent, tallies in with_tallies(history):
        data, holdout = intent.data, intent.data.holdout
        first = first or data
        same = data.model_copy(update={"holdout": first.holdout}) == first
        if not same or counts.setdefault(holdout.sha256, holdout.count) != holdout.count:
            yield failed(said_by(entry), "uses another data set than the first attempt")
        alphas += [intent.rule.alpha_ppm] if intent.rule.name == BUDGETED else []
        if before not in {"", holdout.sha256}:
            if holdout.sha256 in uses:
                yield failed(said_by(entry), "goes back to a holdout that was left")
            if not _spent(intent.rule, alphas, tallies.get(before, Tally())):
                yield failed(said_by(entry), "leaves a holdout whose error budget is not spent")
        before = holdout.sha256
        uses[before] += 1
        if holdout.use_index != uses[before]:
            detail = f"is use {uses[before]} of the holdout, but says {holdout.use_index}"
            yield failed(said_by(entry), detail)


def _spent(rule: Rule, alphas: list[int], tally: Tally) -> bool:
    # By the smallest α that was ever announced: a larger one, named in order to leave, would be spent sooner.
    try:
        return rule.name == BUDGETED and ErrorBudget(min(alphas), tally.looks, tally.kept).exhausted
    except ValueError:
        return False
