"""How far off an idle power may be that was learned from some seconds, which are alike."""

from __future__ import annotations

__all__ = ["LEAST_BLOCKS", "learning_error_uw"]

import math
import random
import statistics
from itertools import pairwise

from cryoflux.quantities import MICRO

LEAST_BLOCKS = 10
"""seconds that are needed to tell noise from its correlation"""
_RESAMPLES = 400
_BOOTSTRAP_BLOCK = 5
_LEAST_ERROR_UW = MICRO // 20
_MOST_CORRELATED = 0.9
_Z95 = 1.96
_SPIKE = 3 * 1.4826
"""of the median absolute deviation: three standard deviations of a normal noise"""


def learning_error_uw(powers_uw: list[int], centre_uw: int, rng: random.Random) -> int:
    """95 % half width of the median: the larger of two ways to reckon with seconds that are alike."""
    return max(
        _LEAST_ERROR_UW,
        _bootstrap_error_uw(powers_uw, centre_uw, rng),
        _autocorrelated_error_uw(powers_uw),
    )


def _bootstrap_error_uw(powers_uw: list[int], centre_uw: int, rng: random.Random) -> int:
    # Neighbouring seconds are alike, so runs of them are drawn, not single ones.
    length = min(_BOOTSTRAP_BLOCK, len(powers_uw))
    runs = -(-len(powers_uw) // length)
    distances = []
    for _ in range(_RESAMPLES):
        starts = (rng.randrange(len(powers_uw) - length + 1) for _ in range(runs))
        drawn = [power for start in starts for power in powers_uw[start : start + length]]
        distances.append(abs(statistics.median(drawn) - centre_uw))
    return int(sorted(distances)[int(0.95 * _RESAMPLES)])


def _autocorrelated_error_uw(powers_uw: list[int]) -> int:
    """Of an AR(1) noise; its correlation, underestimated in a short series, is corrected for that.

    Source: Marriott and Pope, Biometrika 41 (1954); the median's standard error is √(π/2) of the mean's.
    """
    count = len(powers_uw)
    if count < LEAST_BLOCKS:
        return 0
    median_uw = statistics.median(powers_uw)
    apart_uw = statistics.median(abs(power - median_uw) for power in powers_uw)
    # The median does not follow single spikes, so they must not count as noise of it.
    most_uw = _SPIKE * apart_uw
    off = [max(-most_uw, min(most_uw, power - median_uw)) for power in powers_uw]
    squares = sum(value * value for value in off)
    if not squares:
        return 0
    found = sum(a * b for a, b in pairwise(off)) / squares
    correlation = min(_MOST_CORRELATED, max(0.0, found + (1 + 3 * found) / count))
    independent = count * (1 - correlation) / (1 + correlation)
    deviation = math.sqrt(squares / max(1.0, count - count / independent))
    return int(_Z95 * math.sqrt(math.pi / 2) * deviation / math.sqrt(independent))
