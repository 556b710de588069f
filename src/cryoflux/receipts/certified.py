"""What the rounds of a task certify, less what was recalled since.

A level is of one list against another: that what was composed is better than the head was by so much. So
it counts for as long as nothing of that list was recalled. A recall withdraws the level of the round that
brought the update, and of every round since, which was composed and judged on top of it; nobody has
measured what is left without it. The joules of all of them were spent.
"""

from __future__ import annotations

__all__ = ["CertifiedLevels", "brought_by"]

from collections.abc import Iterator

from msgspec import Struct, field

from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import Recall, RoundResult
from cryoflux.registry.mixture import StepKind


def brought_by(said: RoundResult) -> Iterator[tuple[str, str]]:
    """Adapters that a round brings into the head, each with the offered one that brings it.

    That is itself, and of a mix also what its update was trained on.
    """
    if said.outcome is not RoundOutcome.ACCEPTED:
        return
    for step in said.steps:
        offered = step.update.adapter
        if step.kind is not StepKind.REWEIGHT:
            yield offered, offered
        if step.kind is StepKind.MIX:
            yield from ((term.adapter, offered) for term in step.update.parent)


class CertifiedLevels(Struct):
    """Levels of the rounds of one task, entry after entry; of a log, or of a part of one."""

    levels: list[tuple[int, int]] = field(default_factory=list)
    """place of a round's record, and the mean Δ that it certifies, nano-nats"""
    withdrawn: int = 0
    """rounds whose level counts no more"""
    brought: dict[str, int] = field(default_factory=dict)
    """adapter → place of the record that brought it"""

    @property
    def total(self) -> int:
        """Their sum, nano-nats."""
        return sum(level for _, level in self.levels)

    def take(self, said: RoundResult | Recall) -> None:
        """Go on by one entry, in the order of the log."""
        if isinstance(said, RoundResult):
            if said.outcome is RoundOutcome.ACCEPTED and said.look is not None:
                self.levels.append((said.sequence, said.look.level))
            for adapter, _ in brought_by(said):
                self.brought.setdefault(adapter, said.sequence)
            return
        # What was brought before the part that is here was in each of its heads.
        since = self.brought.pop(said.capsule, 0)
        left = [(place, level) for place, level in self.levels if place < since]
        self.withdrawn += len(self.levels) - len(left)
        self.levels = left
