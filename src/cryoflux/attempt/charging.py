"""Who pays for an attempt: the meter of this process alone, or together with one that trained elsewhere.

An attempt is metered here by one reservation, from its take to its settlement. What it comes to in the end is
one figure, which the receipt has.
"""

from __future__ import annotations

__all__ = ["AttemptCharge", "Charging", "OwnCharging"]

from dataclasses import dataclass
from typing import Protocol

from cryoflux.attempt.context import Context
from cryoflux.attempt.phase_joules import PhaseJoules
from cryoflux.attempt.recording import energy_figure
from cryoflux.energy.interface import Reservation
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.statement import Intent


@dataclass(frozen=True, slots=True)
class AttemptCharge:
    """What an attempt was charged in the end."""

    figure: EnergyFigure
    bucket_uj: int
    """what the bucket holds afterwards, µJ"""


class Charging(Protocol):
    """What an attempt is charged by."""

    reservation: Reservation
    """that it is metered by here"""

    def settle(self, phases: PhaseJoules) -> AttemptCharge:
        """Charge it what it cost, and give the rest back.

        Args:
            phases: what was noted where its phases ended.
        """
        ...


class OwnCharging:
    """An attempt that is made in this process, from its first step to its last.

    Args:
        context: the run.
        intent: that announced it.
        reservation: of this meter.
    """

    def __init__(self, context: Context, intent: Intent, reservation: Reservation) -> None:
        self._context, self._intent, self.reservation = context, intent, reservation

    def settle(self, phases: PhaseJoules) -> AttemptCharge:
        """Charge it what this meter says."""
        settlement = self._context.agent.settle(self.reservation.id)
        figure = energy_figure(self._context, settlement, self._intent)
        return AttemptCharge(figure.but(phases=phases.of(settlement)), settlement.bucket_uj)
