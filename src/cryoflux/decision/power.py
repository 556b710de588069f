"""What a holdout can find: the power of ``evidence/v2``, by the normal approximation, for display only.

S²/V > x² is the t-test in other words: with n examples it says t > x √((n − 1)/(n − x²)), so n examples that
are all equally improved show an evidence of n at most, and n ≤ x² can find nothing at all.
"""

from __future__ import annotations

__all__ = ["detectable", "power"]

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def _bar(count: int, needed_milli: int) -> float:
    """Standard errors that the mean must exceed so that S²/V exceeds ``needed_milli``/1000."""
    squared = needed_milli / 1000
    return math.sqrt(squared * (count - 1) / (count - squared)) if count > squared else math.inf


def detectable(count: int, spread: float, needed_milli: int, *, power: float = 0.9) -> float:
    """The mean Δ, nats, that ``count`` examples find with probability ``power``; infinite where none is.

    Args:
        count: examples of the holdout.
        spread: standard deviation of Δ between examples, nats.
        needed_milli: what S²/V must exceed, thousandths.
        power: probability of being found, between 0 and 1.
    """
    return (_bar(count, needed_milli) + _NORMAL.inv_cdf(power)) * spread / math.sqrt(count)


def power(count: int, spread: float, delta: float, needed_milli: int, *, min_delta: float = 0.0) -> float:
    """Probability that an update whose true mean Δ is ``delta`` nats passes the Δ half of the rule.

    Args:
        count: examples of the holdout.
        spread: standard deviation of Δ between examples, nats.
        delta: true mean Δ, nats.
        needed_milli: what S²/V must exceed, thousandths.
        min_delta: smallest measured mean Δ that is kept, nats.
    """
    bar = _bar(count, needed_milli)
    if spread == 0 or bar == math.inf:
        return float(bar < math.inf and delta > 0 and delta >= min_delta)
    error = spread / math.sqrt(count)
    return _NORMAL.cdf((delta - max(bar * error, min_delta)) / error)
