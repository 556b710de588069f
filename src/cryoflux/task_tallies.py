"""What a log has come to for a holdout, a head and a version: small values of `cryoflux.task_state`."""

from __future__ import annotations

__all__ = ["EVERYTHING", "HoldoutTally", "JudgedTally", "MadeBy", "PoolParts", "SignedLosses"]

from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED, WITH_BUDGET
from cryoflux.decision.stakes import MOST_NEEDED, STAKED, STAKES, StakedBudget, left_of_counted
from cryoflux.receipts.statement import Bar, Base, Decision, Rule
from cryoflux.signing.fields import Count, Document

_NOTHING_SPENT = Bar(looks=0, kept=0, needed_milli=0)


class HoldoutTally(Struct):
    """What one holdout has been used for."""

    count: int
    """its examples, as was said first"""
    uses: int = 0
    """attempts that were announced on it"""
    looks: int = 0
    """verdicts that it has given"""
    kept: int = 0
    """how many of them were acceptances"""
    left: int | None = None
    """of its error budget under ``evidence/v3``, units of 10⁻¹⁵; none before the first look under it"""

    def staked_budget(self, alpha_ppm: int) -> StakedBudget:
        """What is left to stake; looks under ``evidence/v2`` have used up their part of it.

        Args:
            alpha_ppm: what the next rule promises; a promise may be tightened, never widened.
        """
        if self.left is None:
            return left_of_counted(alpha_ppm, self.looks, self.kept)
        return StakedBudget(min(self.left, StakedBudget.fresh(alpha_ppm).left))

    def exhausted(self, rule: str, alpha_ppm: int) -> bool:
        """Whether a rule would rather have a fresh holdout; never under one without an error budget.

        Raises:
            ValueError: the error budget is none.
        """
        if rule == STAKED:
            return self.staked_budget(alpha_ppm).exhausted(alpha_ppm)
        return rule == BUDGETED and ErrorBudget(alpha_ppm, self.looks, self.kept).exhausted

    def bar(self, rule: Rule) -> Bar:
        """The evidence that its next look needs; nothing under a rule without an error budget.

        Under ``evidence/v3`` it is that of the largest stake: what is staked, the screen decides.

        Raises:
            ValueError: the rule's error budget is none.
        """
        if rule.name not in WITH_BUDGET:
            return _NOTHING_SPENT
        if rule.name == STAKED:
            budget = self.staked_budget(rule.alpha_ppm)
            needed = budget.needed_milli(STAKES[0]) if budget.level(STAKES[0]) else MOST_NEEDED
            return Bar(looks=self.looks, kept=self.kept, needed_milli=needed, left=budget.left)
        needed = ErrorBudget(rule.alpha_ppm, self.looks, self.kept).needed_milli
        return Bar(looks=self.looks, kept=self.kept, needed_milli=needed)

    def count_look(self, decision: Decision | None, *, accepted: bool) -> None:
        """Go on by a verdict that it has given; ``decision`` says by which rule."""
        if decision is not None and decision.rule.name == STAKED:
            before = self.staked_budget(decision.rule.alpha_ppm)
            self.left = before.after(decision.bar.stake_milli, accepted=accepted).left
        self.looks += 1
        self.kept += accepted


class JudgedTally(Struct):
    """What a holdout was used for that judges what others made."""

    alpha_ppm: int
    """its error budget, parts per million: a promise may be tightened, never widened"""
    looks: int = 0
    """verdicts that it has given"""
    kept: int = 0
    """how many of them were acceptances"""


class SignedLosses(Struct, frozen=True):
    """What receipts have signed of a head on a holdout."""

    loss_sum: int
    """billionths of the metric's unit, over all examples"""
    hits: int
    """examples that were right; 0 where that means nothing"""


class MadeBy(Struct, frozen=True):
    """The entry that made a version: where a head that goes back to it says that it came from."""

    version: Base
    index: int
    """position in the log"""
    leaf_hash: str
    drawn_from: int = 0
    """training examples that there were in the pool that it learned from; 0 where it began with it"""


class PoolParts(Document, frozen=True):
    """Which training examples are drawn from: those of the beginning, and what has joined, batch by batch."""

    counts: tuple[Count, ...] = ()
    """how many there were at the beginning, and in all after each batch; rising. Empty for all at once"""
    quarantined: tuple[Count, ...] = ()
    """those of ``counts`` that end a batch which is drawn from no more: it led to a head that was left"""

    @property
    def count(self) -> int:
        """Training examples that there are, quarantined or not; 0 where that is not said."""
        return self.counts[-1] if self.counts else 0

    def indices_quarantined(self) -> Iterator[int]:
        """Training examples that are drawn from no more."""
        for start, end in pairwise((0, *self.counts)):
            if end in self.quarantined:
                yield from range(start, end)

    @property
    def examples_quarantined(self) -> int:
        """How many those are."""
        return sum(1 for _ in self.indices_quarantined())


EVERYTHING = PoolParts()
"""all training examples, where nobody says when they joined"""
