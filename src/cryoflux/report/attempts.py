"""What a report says of each attempt, read from the receipts and from nothing else."""

from __future__ import annotations

__all__ = ["AttemptPoint", "attempt_points", "without_delta"]

from collections.abc import Iterable
from dataclasses import dataclass

from cryoflux.quantities import MICRO, Tier
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Outcome
from cryoflux.receipts.sums import evidence_of


@dataclass(frozen=True, slots=True)
class AttemptPoint:
    """One attempt that was judged."""

    number: int
    """of the receipt, from 1"""
    kept: bool
    outcome: Outcome
    """``accepted``, ``rejected`` or ``undecided``"""
    joules: float
    joules_lo: float
    joules_hi: float
    tier: Tier
    delta: float
    """mean Δ, nats"""
    delta_se: float


def without_delta(entries: Iterable[Entry]) -> tuple[int, float]:
    """How many attempts the holdout never judged, and their joules."""
    receipts = (receipt for entry in entries if (receipt := entry.receipt))
    uj = [receipt.energy.microjoules for receipt in receipts if receipt.evaluation is None]
    return len(uj), sum(uj) / MICRO


def attempt_points(entries: Iterable[Entry]) -> list[AttemptPoint]:
    """Every attempt of a log that the holdout judged, oldest first.

    What was aborted, or stopped by its screen, has no Δ on the holdout and is left out.
    """
    points = []
    receipts = (receipt for entry in entries if (receipt := entry.receipt))
    for number, receipt in enumerate(receipts, start=1):
        if receipt.evaluation is None:
            continue
        evidence = evidence_of(receipt.evaluation)
        points.append(
            AttemptPoint(
                number=number,
                kept=receipt.outcome is Outcome.ACCEPTED,
                outcome=receipt.outcome,
                joules=receipt.energy.microjoules / MICRO,
                joules_lo=receipt.energy.lo_microjoules / MICRO,
                joules_hi=receipt.energy.hi_microjoules / MICRO,
                tier=receipt.energy.tier,
                delta=evidence.delta_mean,
                delta_se=evidence.delta_se,
            )
        )
    return points
