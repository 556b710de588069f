"""Loss and accuracy of a task's head over the joules that its attempts were charged: a point a kept update.

A curve begins with the version before the first attempt, at no joules, and stays where it is until an update
is kept. On another holdout losses are of other examples, and where a head is moved they jump; what a round
made of others' updates is scored on this holdout by the next attempt alone: each point says
on which holdout it was measured, so that no line joins two that cannot be compared. What runs spent beside
attempts (start-up, data, the audit set) has no place on the axis: it is told apart.
"""

from __future__ import annotations

__all__ = ["CurvePoint", "ProgressFold"]

from dataclasses import dataclass

from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import HeadMove, Move, Outcome, Receipt
from cryoflux.runs.scores import Change, Scores
from cryoflux.task_state import TaskState


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What the head of a task scored once so many joules had been charged to its attempts."""

    attempt: int | None
    """number of the attempt whose update was kept; none where the curve begins, and where a head was moved"""
    joules: float
    joules_lo: float
    joules_hi: float
    loss: float
    """mean on the holdout, in the unit of the task"""
    accuracy: float | None
    """share of its examples that are right, 0 to 1; none where none is right or wrong"""
    holdout: str
    """digest of the holdout"""
    version: str
    """digest of the head"""


@dataclass(slots=True)
class _Charged:
    uj: int = 0
    lo_uj: int = 0
    hi_uj: int = 0


class ProgressFold:
    """The curves of all tasks, entry after entry."""

    def __init__(self) -> None:
        self.curves: dict[str, list[CurvePoint]] = {}
        """task → its points, in the order of the log"""
        self._charged: dict[str, _Charged] = {}
        self._scores: dict[tuple[str, str, str], tuple[float, float | None]] = {}
        """(task, holdout, version) → what it scores"""
        self._unscored: set[str] = set()
        """tasks whose head a round or a recall made since: its first receipt says what that scores"""

    def take(self, entry: Entry, attempt: int | None) -> None:
        """Go on by one entry.

        Args:
            entry: of the log.
            attempt: its number, where it is of an attempt.
        """
        if (receipt := entry.receipt) is not None:
            self._receipt(receipt, attempt)
        elif (made := entry.round or entry.recall) is not None and made.result != made.base:
            self._unscored.add(made.task)
        elif (move := entry.move) is not None and move.move is not Move.PRUNE:
            self._move(move)

    def scores(self, task: str, holdout: str, version: str) -> tuple[float, float | None] | None:
        """Mean loss and accuracy of a version on a whole holdout; none where no receipt says them."""
        return self._scores.get((task, holdout, version))

    def of_head(self, task: str, known: TaskState) -> Change:
        """What a task's first version here and its head score on the holdout in use; none where unknown.

        Args:
            task: its name.
            known: what the log has come to for it.
        """
        versions = (known.start.digest, known.head.digest)
        said = [self.scores(task, known.holdout, version) for version in versions]
        first, head = (Scores(*scores) if scores is not None else None for scores in said)
        return first, head

    def _receipt(self, receipt: Receipt, attempt: int | None) -> None:
        task, holdout = receipt.task.name, receipt.holdout.sha256
        charged, curve = self._charged.setdefault(task, _Charged()), self.curves.setdefault(task, [])
        self._note(receipt)
        begins = not curve or curve[-1].holdout != holdout or task in self._unscored
        if begins and (task, holdout, receipt.base.digest) in self._scores:
            self._add(task, holdout, receipt.base.digest, None)
            self._unscored.discard(task)
        charged.uj += receipt.energy.microjoules
        charged.lo_uj += receipt.energy.lo_microjoules
        charged.hi_uj += receipt.energy.hi_microjoules
        if receipt.outcome is Outcome.ACCEPTED:
            self._add(task, holdout, receipt.result.digest, attempt)

    def _note(self, receipt: Receipt) -> None:
        said, holdout = receipt.evaluation, receipt.holdout
        if said is None or said.read != holdout.count:
            return
        hits, scale = said.hits, said.read * NANO
        both = (
            (receipt.base.digest, said.base_loss_sum, hits.base if hits else None),
            (said.candidate.digest, said.new_loss_sum, hits.new if hits else None),
        )
        for version, loss_sum, right in both:
            accuracy = right / said.read if right is not None else None
            self._scores[receipt.task.name, holdout.sha256, version] = (loss_sum / scale, accuracy)

    def _move(self, move: HeadMove) -> None:
        if curve := self.curves.get(move.task):
            self._add(move.task, curve[-1].holdout, move.result.digest, None)

    def _add(self, task: str, holdout: str, version: str, attempt: int | None) -> None:
        charged = self._charged.setdefault(task, _Charged())
        curve = self.curves.setdefault(task, [])
        if (scored := self._scores.get((task, holdout, version))) is None:
            return
        # Nothing had been spent when the first version was there, whatever its first verdict had cost before.
        joules = charged if curve else _Charged()
        curve.append(
            CurvePoint(
                attempt,
                joules.uj / MICRO,
                joules.lo_uj / MICRO,
                joules.hi_uj / MICRO,
                *scored,
                holdout,
                version,
            )
        )
