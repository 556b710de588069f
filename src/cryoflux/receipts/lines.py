"""Which kept updates the heads of a log rest on, however they were moved in between.

A head goes back when it is moved to a version that was a head before: what was kept since is still in the
log, and in no model any more. So a sum of what updates gained is a sum along the line that leads to the head,
never one over all that were kept; the same update may otherwise be kept, taken back and kept again. A round
goes on from the head, and so does a recall, which takes out what others made: the line goes on under both.
"""

from __future__ import annotations

__all__ = ["LineVersion", "Lines"]

from msgspec import Struct, field

from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import Recall, RoundResult
from cryoflux.receipts.statement import HeadMove, Move, Outcome, Receipt


class LineVersion(Struct, frozen=True, array_like=True):
    """A version that was a head, by the updates that led to it first."""

    before: str = ""
    """digest of what it was made from; empty where the entries that were told begin with it, or do not know
    it"""
    made_at: int = -1
    """place of the receipt or round that made it"""
    known: bool = True
    """whether it leads back to where the entries that were told begin"""


class Lines(Struct):
    """The line of each task's head, entry after entry; of a log, or of a part of one."""

    known: dict[str, dict[str, LineVersion]] = field(default_factory=dict)
    """task → digest of a version that was its head → how that came about"""
    heads: dict[str, str] = field(default_factory=dict)
    """task → digest of its head"""

    def take(self, said: Receipt | HeadMove | RoundResult | Recall) -> None:
        """Go on by one entry, in the order of the log."""
        if isinstance(said, RoundResult | Recall):
            task, where = self._of(said.task, said.base.digest)
            if isinstance(said, Recall) or said.outcome is RoundOutcome.ACCEPTED:
                self._goes_on(
                    task, where, said.result.digest, said if isinstance(said, RoundResult) else None
                )
            return
        if isinstance(said, HeadMove):
            task, where = self._of(said.task, said.base.digest)
            if said.move is Move.PRUNE:  # files are freed, and the head stays
                return
            # A version that nothing here has made or begun with: what was taken back lies before.
            where.setdefault(said.result.digest, LineVersion(known=False))
            self.heads[task] = said.result.digest
            return
        task, where = self._of(said.task.name, said.base.digest)
        if said.outcome is Outcome.ACCEPTED:
            self._goes_on(task, where, said.result.digest, said)

    def _of(self, task: str, base: str) -> tuple[str, dict[str, LineVersion]]:
        if task not in self.known:
            self.heads[task] = base
            self.known[task] = {base: LineVersion()}
        return task, self.known[task]

    def _goes_on(
        self, task: str, where: dict[str, LineVersion], result: str, by: Receipt | RoundResult | None
    ) -> None:
        """A head goes on to a version, which a receipt or a round has made, or a recall has left."""
        on = self.heads[task]
        # What was a head before is that one again, by whichever way it came about this time.
        where.setdefault(result, LineVersion(on, by.sequence if by is not None else -1, where[on].known))
        self.heads[task] = result

    def standing(self) -> frozenset[int]:
        """Places of the receipts whose updates are in a head, and of the rounds that it went on by."""
        found = set()
        for task, head in self.heads.items():
            at = head
            while at:
                version = self.known[task][at]
                found.add(version.made_at)
                at = version.before
        return frozenset(found - {-1})

    def from_before(self) -> tuple[str, ...]:
        """Tasks whose head rests on a version that a part of a log neither begins with nor made."""
        return tuple(sorted(task for task, head in self.heads.items() if not self.known[task][head].known))
