"""Step 5: every attempt was announced, and what was done is what was announced.

An intent names task, data, recipe, seed, rule and reservation before anything is tried; its receipt has to
keep to all of them, and comes right after it: of two attempts at once, both could claim the same look at
the holdout. Wall times are labels, so times in an odd order only leave a question.
"""

from __future__ import annotations

__all__ = ["PAIRS", "Pairs", "check_pairs"]

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Outcome, Receipt, Screen, Training
from cryoflux.verification.history import Attempt, History, said_by
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

PAIRS = Step(5, "every attempt was announced")


def check_pairs(history: History) -> list[Check]:
    """Step 5: each receipt ends one earlier intent, and says the same as it did."""
    pairs = Pairs()
    uses = Counter(attempt.receipt.intent for attempt in history.attempts)
    for attempt in history.attempts:
        pairs.take(attempt, uses=uses[attempt.receipt.intent])
    last = len(history.leaves) - 1
    for entry, _ in history.intents:
        if entry.leaf_hash not in uses:
            pairs.leave_open(entry, last=last)
    return pairs.conclude()


class Pairs:
    """Step 5, one attempt after the other."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._paired = 0

    def take(self, attempt: Attempt, *, uses: int = 1) -> None:
        """Look at the next attempt, whose intent so many receipts name."""
        self._findings += _attempt(attempt)
        if attempt.intent is None:
            return
        self._paired += 1
        if uses > 1:
            self._findings.append(failed(attempt.name, "is not the only receipt of its intent"))

    def leave_open(self, entry: Entry, *, last: int) -> None:
        """Take note of an intent that no receipt names; ``last`` is the index of the log's last entry."""
        if entry.index == last:
            detail = "is in progress or crashed; the next run will abort it"
            self._findings.append(unknown(said_by(entry), detail))
        else:
            detail = "was announced and has no receipt: its result was left out"
            self._findings.append(failed(said_by(entry), detail))

    def conclude(self) -> list[Check]:
        """What the step says."""
        return conclude(PAIRS, self._findings, f"{self._paired} receipts, each with its intent")


def _attempt(attempt: Attempt) -> Iterator[Finding]:
    if attempt.intent is None:
        yield failed(attempt.name, "names no intent before it")
        return
    if attempt.receipt.sequence != attempt.intent.sequence + 1:
        yield failed(attempt.name, "does not come right after its intent: attempts must not overlap")
    yield from _differences(attempt, attempt.intent)
    if attempt.receipt.training is not None:
        for complaint in _beyond_recipe(attempt.receipt.training, attempt.intent):
            yield failed(attempt.name, complaint)
        for complaint in _screening(attempt.receipt, attempt.receipt.training, attempt.intent):
            yield failed(attempt.name, complaint)
    yield from _times(attempt)


def _differences(attempt: Attempt, intent: Intent) -> Iterator[Finding]:
    receipt = attempt.receipt
    same = {
        "task": receipt.task == intent.task,
        "base model": receipt.base == intent.base,
        "holdout": receipt.holdout == intent.data.holdout,
        "reservation": receipt.energy.reserved_microjoules == intent.reserved_microjoules,
        "recipe": receipt.training is None or receipt.training.recipe == intent.recipe,
        "seed": receipt.training is None or receipt.training.seed == intent.seed,
        "rule": receipt.decision is None or receipt.decision.rule == intent.rule,
        "token limit": _keeps_token_limit(receipt, intent),
    }
    for what, equal in same.items():
        if not equal:
            yield failed(attempt.name, f"has another {what} than its intent announced")


def _keeps_token_limit(receipt: Receipt, intent: Intent) -> bool:
    return receipt.evaluation is None or receipt.evaluation.max_tokens == intent.recipe.get("max_tokens")


def _beyond_recipe(training: Training, intent: Intent) -> Iterator[str]:
    most = {
        "steps": (training.steps, "max_steps", intent.recipe.get("max_steps")),
        "planned steps": (training.planned_steps, "max_steps", intent.recipe.get("max_steps")),
        "training examples": (training.slice_count, "slice_size", intent.recipe.get("slice_size")),
    }
    if "fresh_size" in intent.recipe:
        most["fresh examples"] = (training.fresh_count, "fresh_size", intent.recipe["fresh_size"])
    for what, (said, name, limit) in most.items():
        if not isinstance(limit, int):
            yield f"its {what} cannot be checked: the recipe has no whole number {name}"
        elif said > limit:
            yield f"says {said} {what}, more than the recipe's {name} {limit}"
    if training.fresh_count > training.slice_count:
        yield f"says {training.fresh_count} fresh examples of {training.slice_count} in all"
    if training.slice_count > intent.data.train_count:
        yield f"says {training.slice_count} training examples of {intent.data.train_count} that there are"
    if training.steps and not training.modules:
        yield f"says {training.steps} steps of training and names no module that was trained"


def _screening(receipt: Receipt, training: Training, intent: Intent) -> Iterator[str]:
    most = intent.recipe.get("screen_size", 0)
    if not isinstance(most, int):
        yield "its screen cannot be checked: the recipe has no whole number screen_size"
    elif training.screen is None:
        if most > 0 and receipt.outcome is not Outcome.ABORTED:
            yield "has no screen, though its recipe sets screening examples aside"
    else:
        yield from _beyond_screen(training.screen, most, intent)


def _beyond_screen(screen: Screen, most: int, intent: Intent) -> Iterator[str]:
    if most <= 0:
        yield "has a screen, though its recipe sets no screening examples aside"
    elif screen.count > most:
        yield f"says {screen.count} screening examples, more than the recipe's screen_size {most}"
    scales = intent.recipe.get("scales")
    if scales is not None and screen.scale not in str(scales).split():
        yield f"was merged at the scale {screen.scale!r}, which its recipe does not list"


def _moment(timestamp: str) -> datetime | None:
    # A label such as month 13 has the right shape and is no time.
    try:
        return datetime.fromisoformat(timestamp)
    except ValueError:
        return None


def _times(attempt: Attempt) -> Iterator[Finding]:
    receipt = attempt.receipt
    started, finished = _moment(receipt.started_at), _moment(receipt.finished_at)
    if started is None or finished is None:
        yield unknown(attempt.name, f"{receipt.started_at} or {receipt.finished_at} is no time")
    elif finished < started:
        detail = f"says that it finished ({receipt.finished_at}) before it started ({receipt.started_at})"
        yield unknown(attempt.name, detail)
