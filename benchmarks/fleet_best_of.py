"""The command, with a fleet that shows the holdout only the best of each batch of attempts.

    python benchmarks/fleet_best_of.py run --workers 2 …

All workers begin from one head; once the last one has delivered, the update that gains most on the screening
examples is judged. The others get the receipt of an aborted attempt, with what they cost: so the log stays
valid, and says that they were wasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.decision.reason import Reason
from cryoflux.errors import BudgetError
from cryoflux.fleet.attempts import FleetAttempts
from cryoflux.fleet.crew import LeaseEnd
from cryoflux.receipts.statement import Cause
from cryoflux.scheduling.policy import Plateau

OTHER = "Another update of its batch gained more on the screening examples."


class BestOf(FleetAttempts):
    """Makes attempts in batches, and judges the best of each."""

    _batch: Sequence[LeaseEnd] = ()

    def next(self, left_uj: int, most: int | None) -> AttemptRecord | Plateau | None:
        """The next attempt of the batch: its best one first; none after a stop."""
        if not self._batch:
            ended_by = self._begin(left_uj, most)
            if not self._open:
                if isinstance(ended_by, BudgetError):
                    raise ended_by
                return ended_by
            ended = [self._waited() for _ in range(len(self._open))]
            best, *others = sorted(ended, key=gain, reverse=True)
            self._batch = [best, *map(passed_over, others)]
        first, *self._batch = self._batch
        return self._finish(first)


def gain(ended: LeaseEnd) -> int:
    """What an update gained on its screen, nano-nats over all its examples; least where there is none."""
    update = ended.delivery.update if ended.delivery is not None else None
    if update is None or update.screening is None:
        return -(2**63)
    return update.screening.delta


def passed_over(ended: LeaseEnd) -> LeaseEnd:
    """An attempt whose update is thrown away unseen."""
    if ended.delivery is None or ended.delivery.update is None:
        return ended
    why = Reason(code="failed", numbers={"what": OTHER})
    return replace(ended, delivery=ended.delivery.but(update=None, cause=Cause.FAILED, reason=why))


def main() -> None:
    """Be the command."""
    with patch("cryoflux.runs.crewing.FleetAttempts", BestOf):
        from cryoflux.cli.main import main as command

        command()


if __name__ == "__main__":
    main()
