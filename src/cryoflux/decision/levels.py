"""``round/v1``: one look at a guest holdout, and what of Δ it certifies.

What other nodes offer is composed on a node's own training side, and the composition is shown to a guest
holdout once. What is published is one bit, and of an acceptance its *level*: the largest ℓ of `LEVELS` for
which the mean of δᵢ − ℓ still passes the bar. Sums stay sealed until the holdout retires: whoever reads
published Δ learns the holdout from them.

Look k, after ``looks`` = k − 1 verdicts of which ``kept`` were acceptances, is tested at the level

    α_k = α / (k² · (k + 1) · C(k − 1, kept) · L^kept),    L = 4, the number of `LEVELS`.

**Claim.** The probability that the holdout *ever* certifies a level that the true mean Δ of what was shown to
it does not exceed is at most α. An acceptance certifies the lowest level or more, so that this covers every
acceptance of what is no improvement.

**Proof.** As that of ``evidence/v2`` (`cryoflux.decision.budget`), with another tree. With all seeds fixed,
what is shown at look k follows from the outcomes before it: not kept, or kept at one of L levels. There are
C(n, kept) · L^kept nodes of depth n = k − 1 with ``kept`` acceptances on their path. Each has the share
1 / (k · C(n, kept) · L^kept), so that those with the same ``kept`` sum to 1/k, and those of a depth, whose
``kept`` runs over k values, to 1; of that each depth gets 1/(k (k + 1)), which sums to 1 over all depths. So
the levels of all nodes sum to at most α. At a node let ℓ* be the lowest level that the true Δ does not
exceed. If a level ℓ ≥ ℓ* is certified, then so is ℓ*, because S²/V of δᵢ − ℓ falls as ℓ rises while S > 0
(below): a wrong level needs one test to fail, that of ℓ*, at α_k. The union bound does the rest. ∎

*S²/V falls with ℓ.* With m the mean and s² the variance of δᵢ, S²/V = n·(m − ℓ)² / ((m − ℓ)² + s²), which
rises with (m − ℓ)² and so falls as ℓ rises towards m.

Each look tests one hypothesis after the other about one quantity, and no accuracy: the half of the error
that ``evidence/v2`` keeps for accuracy is not spent here. A guest look reads all examples: how far was read,
and the joules of reading, would be another bit.
"""

from __future__ import annotations

__all__ = ["LEVELS", "RoundBudget", "certified_level"]

from fractions import Fraction
from functools import lru_cache

from cryoflux.decision.budget import ErrorBudget, bar_of
from cryoflux.decision.evidence import Evidence

LEVELS = (2_000_000, 10_000_000, 50_000_000, 250_000_000)
"""mean Δ that an acceptance can certify, billionths of a loss's unit: 0.002, 0.01, 0.05 and 0.25 nats"""
_HALVES = 2
"""of the error, one of which ``evidence/v2`` keeps for accuracy"""


class RoundBudget(ErrorBudget, frozen=True):
    """What one guest holdout may still err: that of a run's rule, with both its halves, a level told besides.

    Raises:
        ValueError: a number is out of range.
    """

    @property
    def level(self) -> Fraction:
        """The error that the next look may make, exactly."""
        return _HALVES * super().level * Fraction(1, len(LEVELS) ** self.kept)

    @property
    def needed_milli(self) -> int:
        """What S²/V must exceed at the next look, thousandths: 2000 · ln(1/level), rounded up."""
        return _needed_milli(self.alpha_ppm, self.looks, self.kept)


@lru_cache(maxsize=4096)
def _needed_milli(alpha_ppm: int, looks: int, kept: int) -> int:
    return bar_of(RoundBudget(alpha_ppm, looks, kept).level)


def certified_level(evidence: Evidence, needed_milli: int) -> int:
    """The mean Δ that an evaluation certifies, one of `LEVELS`; 0 where it certifies none: not kept.

    Args:
        evidence: of what was composed against the head, on the whole guest holdout.
        needed_milli: what S²/V must exceed, thousandths.
    """
    found = 0
    for level in LEVELS:
        if not evidence.shifted(-level).delta_passes(needed_milli):
            break
        found = level
    return found
