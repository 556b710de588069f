"""Which kept updates the heads of a log rest on, however they were moved in between.

A head goes back when it is moved to a version that was a head before: what was kept since is still in the
log, and in no model any more. So a sum of what updates gained is a sum along the line that leads to the head,
never one over all that were kept; the same update may otherwise be kept, taken back and kept again. A round
goes on from the head, and so does a recall, which takes out what others made: the line goes on under both.
"""

from __future__ import annotations

__all__ = ["Lines"]

from dataclasses import dataclass

from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import Recall, RoundResult
from cryoflux.receipts.statement import HeadMove, Move, Outcome, Receipt


@dataclass(frozen=True, slots=True)
class _Version:
    """A version that was a head, by the updates that led to it first."""

    before: _Version | None = None
    """what it was made from; none where the entries that were told begin with it, or do not know it"""
    made_at: int = -1
    """place of the receipt or round that made it"""
    known: bool = True
    """whether it leads back to where the entries that were told begin"""


class Lines:
    """The line of each task's head, entry after entry; of a log, or of a part of one."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, _Version]] = {}
        self._heads: dict[str, _Version] = {}

    def take(self, said: Receipt | HeadMove | RoundResult | Recall) -> None:
        """Go on by one entry, in the order of the log."""
        if isinstance(said, RoundResult | Recall):
            task, where = self._of(said.task, said.base.digest)
            if isinstance(said, Recall) or said.outcome is RoundOutcome.ACCEPTED:
                on = self._heads[task]
                at = said.sequence if isinstance(said, RoundResult) else -1
                self._heads[task] = where.setdefault(said.result.digest, _Version(on, at, known=on.known))
            return
        if isinstance(said, HeadMove):
            task, where = self._of(said.task, said.base.digest)
            if said.move is Move.PRUNE:  # files are freed, and the head stays
                return
            # A version that nothing here has made or begun with: what was taken back lies before.
            self._heads[task] = where.setdefault(said.result.digest, _Version(known=False))
            return
        task, where = self._of(said.task.name, said.base.digest)
        if said.outcome is Outcome.ACCEPTED:
            made = _Version(self._heads[task], said.sequence, self._heads[task].known)
            # What was a head before is that one again, by whichever way it came about this time.
            self._heads[task] = where.setdefault(said.result.digest, made)

    def _of(self, task: str, base: str) -> tuple[str, dict[str, _Version]]:
        if task not in self._known:
            self._heads[task] = _Version()
            self._known[task] = {base: self._heads[task]}
        return task, self._known[task]

    def standing(self) -> frozenset[int]:
        """Places of the receipts whose updates are in a head, and of the rounds that it went on by."""
        found = set()
        for head in self._heads.values():
            at: _Version | None = head
            while at is not None:
                found.add(at.made_at)
                at = at.before
        return frozenset(found - {-1})

    def from_before(self) -> tuple[str, ...]:
        """Tasks whose head rests on a version that a part of a log neither begins with nor made."""
        return tuple(sorted(task for task, head in self._heads.items() if not head.known))
