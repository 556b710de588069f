"""Charges an attempt what two meters say: that of the worker that trained, and that of this process.

The worker's joules are lent out of this bucket beforehand and repaid at what its meter signed; what is done
here for the attempt has a reservation of its own. The receipt has both as parts of one figure.
"""

from __future__ import annotations

__all__ = ["FleetCharging", "UnpaidCharging", "merged_phases", "repay"]

from collections.abc import Sequence
from dataclasses import replace

from cryoflux.attempt.charging import AttemptCharge, OwnCharging
from cryoflux.attempt.context import Context
from cryoflux.attempt.phase_joules import PhaseJoules
from cryoflux.attempt.recording import figure_of
from cryoflux.energy.interface import JouleAgent, Reservation
from cryoflux.fleet.parts import with_parts
from cryoflux.receipts.charged import NEVER_RESERVED, PHASES, MeteredPart, PhaseFigure
from cryoflux.receipts.statement import Intent


class FleetCharging:
    """An attempt of which another process made a part.

    Args:
        context: the run.
        intent: that announced it.
        reservation: of this meter, for what is done here.
        lent: what was lent for the worker.
        part: what the worker's meter charged.
        phases: the same by phase.
    """

    def __init__(
        self,
        context: Context,
        intent: Intent,
        reservation: Reservation,
        lent: Reservation,
        part: MeteredPart,
        phases: Sequence[PhaseFigure] = (),
    ) -> None:
        # What the worker did not need may be spent here.
        left_uj = intent.reserved_microjoules - max(0, part.microjoules)
        self._context, self._intent = context, intent
        self.reservation = replace(reservation, reserved_uj=max(reservation.reserved_uj, left_uj))
        self._lent, self._part, self._phases = lent, part, phases

    def settle(self, phases: PhaseJoules) -> AttemptCharge:
        """Charge what both meters say, and give back the rest of what was lent and reserved."""
        repay(self._context.agent, self._lent, self._part)
        own = OwnCharging(self._context, self._intent, self.reservation).settle(phases)
        told = merged_phases(own.figure.phases, self._phases)
        return AttemptCharge(with_parts(own.figure.but(phases=told), [self._part]), own.bucket_uj)


class UnpaidCharging:
    """An attempt of which a worker made its part, and for which nothing can be reserved here any more.

    Args:
        context: the run.
        intent: that announced it.
        lent: what was lent for the worker.
        part: what the worker's meter charged.
        own_uj: what was to be reserved here, µJ.
    """

    def __init__(
        self, context: Context, intent: Intent, lent: Reservation, part: MeteredPart, own_uj: int
    ) -> None:
        self._context, self._intent, self._lent, self._part = context, intent, lent, part
        self.reservation = Reservation("", intent.task.id, own_uj)

    def settle(self, phases: PhaseJoules) -> AttemptCharge:  # noqa: ARG002 - nothing was metered here
        """Charge what the worker's meter says."""
        context = self._context
        repay(context.agent, self._lent, self._part)
        meter, own_uj = self._intent.meter, self.reservation.reserved_uj
        own = figure_of(context, None, reserved_uj=own_uj, meter=meter)
        return AttemptCharge(with_parts(own, [self._part]), context.agent.bucket_uj())


def repay(agent: JouleAgent, lent: Reservation, part: MeteredPart) -> None:
    """Charge what was lent to a worker, or give it back where the worker never took it.

    Args:
        agent: whose bucket it was lent out of.
        lent: the reservation.
        part: what the worker's meter charged.
    """
    if NEVER_RESERVED in part.flags:
        agent.release(lent.id)
    else:
        agent.repay(lent.id, part.energy)


def merged_phases(here: Sequence[PhaseFigure], there: Sequence[PhaseFigure]) -> list[PhaseFigure]:
    """The phases of both; none where one of the two does not know its own.

    Args:
        here: of this meter.
        there: of the worker's.
    """
    if not here or not there:
        return []
    found: dict[str, PhaseFigure] = {}
    for phase in (*here, *there):
        before = found.get(phase.name)
        found[phase.name] = phase if before is None else _both(before, phase)
    return sorted(found.values(), key=lambda phase: PHASES.index(phase.name))


def _both(one: PhaseFigure, other: PhaseFigure) -> PhaseFigure:
    return PhaseFigure(
        name=one.name,
        microjoules=one.microjoules + other.microjoules,
        lo_microjoules=one.lo_microjoules + other.lo_microjoules,
        hi_microjoules=one.hi_microjoules + other.hi_microjoules,
    )
