"""The interval of Δ that a rule goes by, in numbers that a person reads; the rules themselves use integers.

The **anytime interval** holds every m that the test of the rule would not refuse as the mean of Δ: with d =
mean − m, n²d² ≤ b (R + n d²), where R = Σ(δᵢ − mean)² and b is the bar, so |d| ≤ √(bR / (n(n − b))). Its
lower end lies above zero exactly where the evidence passes the bar: what is shown is what decides. Where b
≥ n nothing is ruled out. Under ``evidence/v2`` the bars of one holdout share its error budget α, one half
of it for Δ, and that once for each end: all anytime intervals that it ever gives hold their m at once with
probability 1 − α, where the δᵢ are symmetric about m; otherwise asymptotically
(`cryoflux.decision.budget`). Under ``evidence/v3`` they need not: each end errs by the level of its look,
and levels that came back are spent again. There only the lower ends of all that is kept are at once rightly
above zero (`cryoflux.decision.stakes`).

The **fixed interval** is mean ± z standard errors, for one look alone: at z = 1.96 by 95 %. It tells what is
rejected from what is undecided, and is all there is where no bar decided.
"""

from __future__ import annotations

__all__ = ["anytime_interval", "fixed_interval", "odds_against"]

import math

from cryoflux.decision.evidence import Z95, Evidence
from cryoflux.quantities import NANO


def anytime_interval(evidence: Evidence, needed_milli: int) -> tuple[float, float]:
    """Both ends of the anytime interval of mean Δ, in its unit; infinite where the bar rules nothing out."""
    count, bar = evidence.count, needed_milli / 1000
    if bar >= count:
        return -math.inf, math.inf
    scatter = max(0, count * evidence.delta_squared - evidence.delta**2) / count / NANO**2
    half = math.sqrt(bar * scatter / (count * (count - bar)))
    return evidence.delta_mean - half, evidence.delta_mean + half


def fixed_interval(evidence: Evidence, z: float = Z95) -> tuple[float, float]:
    """Mean Δ ± ``z`` standard errors, in its unit."""
    half = z * evidence.delta_se
    return evidence.delta_mean - half, evidence.delta_mean + half


def odds_against(needed_milli: int) -> int:
    """1/level of a bar, rounded down: an update that is no improvement passes it at most once in so many.

    Raises:
        OverflowError: nobody could count that far.
    """
    return math.floor(math.exp(needed_milli / 2000))
