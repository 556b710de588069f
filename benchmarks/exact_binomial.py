"""Exact bounds on a share, of what was counted (Clopper and Pearson 1934): for tables of simulations."""

from __future__ import annotations

__all__ = ["interval", "lower_bound", "upper_bound"]

import math
from collections.abc import Callable

_STEPS = 60
"""halvings of the interval in which a bound lies"""


def upper_bound(found: int, count: int, confidence: float = 0.95) -> float:
    """The largest share with which so few would be found as often as 1 − confidence."""
    if found >= count:
        return 1.0
    return _crossing(lambda share: _at_most(found, count, share) > 1 - confidence)


def lower_bound(found: int, count: int, confidence: float = 0.95) -> float:
    """The smallest share with which so many would be found as often as 1 − confidence."""
    if found <= 0:
        return 0.0
    return _crossing(lambda share: 1 - _at_most(found - 1, count, share) < 1 - confidence)


def interval(found: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Both bounds, each with half of what is left of the confidence."""
    each = (1 + confidence) / 2
    return lower_bound(found, count, each), upper_bound(found, count, each)


def _crossing(below: Callable[[float], bool]) -> float:
    """The share up to which something holds."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def _at_most(found: int, count: int, share: float) -> float:
    """P(X ≤ found) of a binomial."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return float(found >= count)
    log, odds = count * math.log1p(-share), math.log(share) - math.log1p(-share)
    terms = []
    for number in range(found + 1):
        terms.append(log)
        log += math.log((count - number) / (number + 1)) + odds if number < count else 0.0
    return min(1.0, math.fsum(math.exp(term) for term in terms))
