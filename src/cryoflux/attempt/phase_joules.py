"""What of an attempt's joules went into which of its phases: read off the meter where a phase ends.

Nothing depends on it, so it never fails an attempt: where the meter cannot say, no phase is told.
"""

from __future__ import annotations

__all__ = ["EVALUATE_BASE", "PhaseJoules", "shares_of"]

from collections.abc import Callable, Sequence

from cryoflux.energy.interface import Settlement
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import Energy
from cryoflux.receipts.charged import PHASES, PhaseFigure

EVALUATE_BASE, *_, _REST = PHASES
_READ = frozenset(PHASES[:-1])
"""the meter is asked at the end of these; the last one has what is left"""


class PhaseJoules:
    """Notes what an attempt has spent whenever one of its phases ends.

    Args:
        spent: what its reservation has cost so far; none before anything is reserved.
    """

    def __init__(self, spent: Callable[[], Energy] | None = None) -> None:
        self._spent = spent
        self._ends: list[tuple[str, Energy]] = []
        self._known = True

    def ended(self, phase: str) -> None:
        """What was spent since the phase before, or since the take, went into this one."""
        if self._spent is None or not self._known or phase not in _READ:
            return
        try:
            self._ends.append((phase, self._spent()))
        except CryoFluxError:  # whoever needs the meter is told by the next question, and not by this one
            self.give_up()

    def give_up(self) -> None:
        """From here on nothing is known of the phases."""
        self._known = False

    def of(self, settlement: Settlement | None) -> list[PhaseFigure]:
        """The phases of what was settled; none where they are not known."""
        if not self._known or not self._ends or settlement is None or settlement.energy.lo_uj < 0:
            return []
        return shares_of(self._ends, settlement.energy)


def shares_of(ends: Sequence[tuple[str, Energy]], whole: Energy) -> list[PhaseFigure]:
    """What went into each phase; estimates and ends add up to the whole's.

    A cumulated figure that runs backwards, beyond the whole, or by less than its own ends do, is taken for
    the nearest one that does not: so no phase is negative, and each lies between its ends.

    Args:
        ends: phases, each with what was spent in all when it ended, in order; a phase may come again.
        whole: what was charged in the end, of which no number is negative.
    """
    shares = {phase: (0, 0, 0) for phase, _ in (*ends, (_REST, whole))}
    uj = lo_uj = hi_uj = 0
    for phase, spent in (*ends, (_REST, whole)):
        next_uj = _between(spent.uj, uj, whole.uj)
        grown_uj, left_uj = next_uj - uj, whole.uj - next_uj
        next_lo_uj = _between(
            spent.lo_uj, max(lo_uj, whole.lo_uj - left_uj), min(lo_uj + grown_uj, whole.lo_uj)
        )
        next_hi_uj = _between(spent.hi_uj, hi_uj + grown_uj, whole.hi_uj - left_uj)
        before = shares[phase]
        shares[phase] = (before[0] + grown_uj, before[1] + next_lo_uj - lo_uj, before[2] + next_hi_uj - hi_uj)
        uj, lo_uj, hi_uj = next_uj, next_lo_uj, next_hi_uj
    return [
        PhaseFigure(name=phase, microjoules=of[0], lo_microjoules=of[1], hi_microjoules=of[2])
        for phase, of in shares.items()
    ]


def _between(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
