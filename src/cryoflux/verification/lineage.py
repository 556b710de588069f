"""Step 8: models follow one another, on one data set, and each use of a holdout is counted.

A log may go on to the next holdout of its data set, but only when the error budget of the one before is
spent: whoever may choose among holdouts can go on choosing until one of them says what is wanted.
"""

from __future__ import annotations

__all__ = ["LINEAGE", "Lineage", "check_lineage"]

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Base, Data, Intent, Outcome, Receipt, Rule
from cryoflux.verification.history import History, said_by
from cryoflux.verification.looks import Tally, with_tallies
from cryoflux.verification.result import Check, Finding, Step, conclude, failed

LINEAGE = Step(8, "models and holdout follow one another")


def check_lineage(history: History) -> list[Check]:
    """Step 8: each base is the result before it, and every use of each holdout is counted."""
    lineage = Lineage()
    for entry in history.entries:
        lineage.take(entry)
    for entry, intent, tallies in with_tallies(history):
        lineage.announce(entry, intent, tallies)
    return lineage.conclude()


class Lineage:
    """Step 8, one entry after the other."""

    def __init__(self) -> None:
        self._models: list[Finding] = []
        self._sets: list[Finding] = []
        self._head: Base | None = None
        self._versions: set[bytes] = set()
        self._used = _Used()

    def take(self, entry: Entry) -> None:
        """Look at the model of the next entry."""
        said = entry.statement.predicate
        self._models += _model_breaks(entry, self._head)
        self._head = said.result if isinstance(said, Receipt) else said.base
        self._versions |= {bytes.fromhex(said.base.digest), bytes.fromhex(self._head.digest)}

    def announce(self, entry: Entry, intent: Intent, tallies: Mapping[str, Tally]) -> None:
        """Look at the data of the next intent, before which its holdouts had given so many verdicts."""
        self._used.count(intent)
        self._sets += _data_breaks(entry, intent, tallies, self._used)
        self._used.before = intent.data.holdout.sha256

    def conclude(self) -> list[Check]:
        """What the step says."""
        uses = self._used.uses
        judged = " and ".join(str(count) for count in uses.values()) or "0"
        which = "one holdout" if len(uses) < 2 else f"{len(uses)} holdouts"
        summary = f"{len(self._versions)} model versions in one line; {which}, judged {judged} times"
        findings = [*self._models, *self._sets]
        return conclude(LINEAGE, findings, summary if self._head else "the log is empty")


@dataclass(slots=True)
class _Used:
    """How the intents up to now have used the data."""

    first: Data | None = None
    """what the first of them named"""
    before: str = ""
    """digest of the holdout that the one before used"""
    counts: dict[str, int] = field(default_factory=dict)
    """examples of each holdout, as was said first"""
    uses: Counter[str] = field(default_factory=Counter)
    """of each holdout, this one included"""
    alpha: int | None = None
    """smallest error budget that was ever announced, ppm"""

    def count(self, intent: Intent) -> None:
        """Take the next intent into account."""
        holdout, alpha = intent.data.holdout, intent.rule.alpha_ppm
        self.first = self.first or intent.data
        self.counts.setdefault(holdout.sha256, holdout.count)
        self.uses[holdout.sha256] += 1
        if intent.rule.name == BUDGETED:
            self.alpha = alpha if self.alpha is None else min(self.alpha, alpha)


def _model_breaks(entry: Entry, head: Base | None) -> Iterator[Finding]:
    said = entry.statement.predicate
    if head is not None and said.base != head:
        yield failed(said_by(entry), "its base model is not the result of the attempt before it")
    if isinstance(said, Receipt) and said.result != _expected_result(said):
        yield failed(said_by(entry), f"{said.outcome.value}, but its result is another model")


def _expected_result(receipt: Receipt) -> Base:
    if receipt.outcome is Outcome.ACCEPTED and receipt.evaluation is not None:
        return receipt.evaluation.candidate
    return receipt.base


def _data_breaks(
    entry: Entry, intent: Intent, tallies: Mapping[str, Tally], used: _Used
) -> Iterator[Finding]:
    data, holdout = intent.data, intent.data.holdout
    first = used.first or data
    same = data == first or data.model_copy(update={"holdout": first.holdout}) == first
    if not same or used.counts[holdout.sha256] != holdout.count:
        yield failed(said_by(entry), "uses another data set than the first attempt")
    if used.before not in {"", holdout.sha256}:
        if used.uses[holdout.sha256] > 1:
            yield failed(said_by(entry), "goes back to a holdout that was left")
        if not _spent(intent.rule, used.alpha, tallies.get(used.before, Tally())):
            yield failed(said_by(entry), "leaves a holdout whose error budget is not spent")
    if holdout.use_index != (use := used.uses[holdout.sha256]):
        yield failed(said_by(entry), f"is use {use} of the holdout, but says {holdout.use_index}")


def _spent(rule: Rule, alpha: int | None, tally: Tally) -> bool:
    # By the smallest α that was ever announced: a larger one, named in order to leave, would be spent sooner.
    try:
        budget = ErrorBudget(alpha, tally.looks, tally.kept) if alpha is not None else None
        return rule.name == BUDGETED and budget is not None and budget.exhausted
    except ValueError:
        return False
