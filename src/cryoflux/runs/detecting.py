"""What a holdout can find before any of it was read, and how large one has to be, by the rule in force."""

from __future__ import annotations

__all__ = ["SPREADS", "detectable_by_spread", "holdout_needed"]

from cryoflux.config import Settings
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.power import detectable
from cryoflux.decision.rules import BUDGETED
from cryoflux.decision.stakes import MOST_NEEDED, STAKED, STAKES, StakedBudget
from cryoflux.quantities import MICRO
from cryoflux.runs.known_state import KnownState

SPREADS = (0.1, 0.3)
"""standard deviations of Δ between examples, nats: a small update, and a large one"""
_MOST = 2**31


def detectable_by_spread(settings: Settings, count: int, known: KnownState | None = None) -> dict[str, float]:
    """Spread of Δ between examples, nats → the smallest Δ that is found with 90 % power, nats.

    Args:
        settings: which rule decides, and its error budget.
        count: examples of the holdout.
        known: the state whose holdout it is; none for a fresh one.
    """
    needed = _needed_milli(settings, count, known)
    return {str(spread): detectable(count, spread, needed) for spread in SPREADS}


def holdout_needed(settings: Settings, delta: float, spread: float) -> int:
    """The fewest examples of a fresh holdout that find a Δ with 90 % power.

    Args:
        settings: which rule decides, and its error budget.
        delta: the mean improvement, nats.
        spread: standard deviation of Δ between examples, nats.
    """
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        if detectable(middle, spread, _needed_milli(settings, middle, None)) <= delta:
            high = middle
        else:
            low = middle + 1
    return low


def _needed_milli(settings: Settings, count: int, known: KnownState | None) -> int:
    decision = settings.decision
    needed = round(decision.z**2 * 1000)
    alpha_ppm = max(1, round(decision.error_budget * MICRO))
    if decision.rule == BUDGETED:
        spent = (known.tally.looks, known.tally.kept) if known is not None else (0, 0)
        needed = ErrorBudget(alpha_ppm, *spent).needed_milli
    if decision.rule == STAKED:
        budget = known.tally.staked_budget(alpha_ppm) if known is not None else StakedBudget.fresh(alpha_ppm)
        most = (STAKES[0], count)
        needed = budget.needed_milli(*most) if budget.level(*most) else MOST_NEEDED
    return needed
