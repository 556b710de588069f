"""How the terms of an error become one 95 % interval, or of a model a plausible range.

- What is *unknown* (a reset, a failed read, several wraps) has hard bounds. They are added: the truth
  lies inside them, not just probably.
- *Gain* (the source itself), *idle* (the frozen baseline and its drift) and *edge* (the counter's step at
  both ends of the window) are independent errors. Their 95 % half widths are combined as the root of the
  sum of squares (GUM, JCGM 100:2008, §5.1.2).
- The gain of a model is no such error: nobody has counted how far its truths lie off. It is a range that is
  plausible, enters the same sum, and makes the result plausible and no more (`Tier.range_kind`).
- Where a second way to the same energy disagrees by more than a tenth, nobody knows which one is right,
  so the interval holds both.
"""

from __future__ import annotations

__all__ = ["CHECK_DISAGREES", "STEP_SHARE", "ErrorTerms", "counter_against_power", "edge_uj", "interval"]

import math
from dataclasses import dataclass

from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Source
from cryoflux.energy.window import BoundedEnergy, Mark
from cryoflux.quantities import Energy

CHECK_DISAGREES = "counter-against-power"
_CHECK_SHARE = 0.1
_CHECK_LEAST_NS = 10 * BILLION
"""Power samples of a shorter window say little about its energy."""
STEP_SHARE = 0.55
"""A reading lies anywhere inside one step. The difference of two such errors is triangular and lies with
95 % within 0.776 of a step, which is 0.55 · √(1² + 1²)."""


@dataclass(frozen=True, slots=True)
class ErrorTerms:
    """An amount of energy with its errors apart, µJ."""

    amount: BoundedEnergy
    """estimate, and the hard bounds of what is unknown"""
    idle_uj: int = 0
    """95 % half width that the baseline brings in"""

    def __add__(self, other: ErrorTerms) -> ErrorTerms:
        # The same baseline errs the same way in every block.
        return ErrorTerms(self.amount + other.amount, self.idle_uj + other.idle_uj)

    def portion(self, part: int, whole: int) -> ErrorTerms:
        """So large a part of it, rounded down."""
        s = self.amount
        amount = BoundedEnergy(*(uj * part // whole for uj in (s.uj, s.lo_uj, s.hi_uj)))
        return ErrorTerms(amount, -(-self.idle_uj * part // whole))

    def anywhere_up_to(self) -> ErrorTerms:
        """The same when only an unknown part of it counts."""
        s = self.amount
        return ErrorTerms(BoundedEnergy(max(0, s.uj), min(0, s.lo_uj), max(0, s.hi_uj)), self.idle_uj)

    def anywhere(self, *, all_of_it: bool) -> ErrorTerms:
        """The same when anything from nothing to all of it may count; the estimate is one of the two."""
        s = self.amount
        amount = BoundedEnergy(s.uj if all_of_it else 0, min(0, s.lo_uj), max(0, s.hi_uj))
        return ErrorTerms(amount, self.idle_uj)


def edge_uj(source: Source, then: Mark, now: Mark) -> float:
    """95 % half width that the counter's steps at both ends bring in, µJ."""
    powers_uw = (then.power_uw or now.power_uw, now.power_uw)
    steps_uj = (source.resolution_uj + power_uw * source.update_s for power_uw in powers_uw)
    return STEP_SHARE * math.hypot(*steps_uj)


def counter_against_power(then: Mark, now: Mark) -> int:
    """Integrated power less counted energy, µJ, where they disagree by more than a tenth; else 0."""
    if then.check is None or now.check is None or then.check[0] != now.check[0]:
        return 0
    if now.elapsed_ns - then.elapsed_ns < _CHECK_LEAST_NS:
        return 0
    integrated_uj, counted_uj = now.check[1] - then.check[1], now.since(then).uj
    more_uj = integrated_uj - counted_uj
    return more_uj if abs(more_uj) > _CHECK_SHARE * max(integrated_uj, counted_uj) else 0


def interval(terms: ErrorTerms, edge: float, source: Source, flags: tuple[str, ...]) -> Energy:
    """The figure with its interval.

    Args:
        terms: the estimate, its unknowns and its idle error.
        edge: half width from counter steps, µJ.
        source: says how far it can be trusted.
        flags: what went wrong.
    """
    low, high = source.gain_error
    amount = terms.amount
    below = amount.lo_uj * (1 - low) if amount.lo_uj > 0 else -amount.lo_uj * (high - 1)
    above = amount.hi_uj * (high - 1) if amount.hi_uj > 0 else -amount.hi_uj * (1 - low)
    lo_uj = math.floor(amount.lo_uj - math.hypot(below, terms.idle_uj, edge))
    hi_uj = math.ceil(amount.hi_uj + math.hypot(above, terms.idle_uj, edge))
    return Energy(amount.uj, min(amount.uj, lo_uj), max(amount.uj, hi_uj), source.tier, flags)
