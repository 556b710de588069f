"""The paired evidence for Δ: what two arrays of per-example losses say, in exact integers.

Δᵢ = baseᵢ − newᵢ for each holdout example, in nano-nats. Everything that a rule looks at follows from
five integer sums, so a verifier needs the sums and not the examples, and two machines cannot differ.
``*_exceeds`` is the paired one-sample z-test (Student 1908; n is in the hundreds, where t and z agree),
and for accuracy McNemar's test on the discordant pairs (McNemar 1947). ``*_passes`` is the self-normalised
bound, S²/V against a bar, whose error is bounded and not only approximated (``decision.budget``).
"""

from __future__ import annotations

__all__ = ["Z95", "Evidence", "pair_losses"]

import math
from collections.abc import Sequence

from msgspec import Struct, structs

from cryoflux.quantities import NANO

Z95 = 1.96
"""95 % of a normal distribution lie within so many standard deviations"""


class Evidence(Struct, frozen=True):
    """Sums over one holdout."""

    count: int
    """examples"""
    base_loss: int
    """Σ base losses, nano-nats"""
    new_loss: int
    """Σ candidate losses, nano-nats"""
    delta_squared: int
    """Σ (base − new)², nano-nats²"""
    base_correct: int
    new_correct: int
    gained: int
    """examples that only the candidate gets right"""
    lost: int
    """examples that only the base gets right"""
    hits: bool = True
    """whether an example can be right or wrong; else the four counts above are zero, and say nothing"""

    @property
    def delta(self) -> int:
        """Σ Δᵢ, nano-nats."""
        return self.base_loss - self.new_loss

    @property
    def delta_mean(self) -> float:
        """Mean Δ, nats, for display."""
        return self.delta / self.count / NANO

    @property
    def delta_se(self) -> float:
        """Standard error of the mean Δ, nats, for display."""
        return math.sqrt(max(0, self._scatter)) / self.count / math.sqrt(max(1, self.count - 1)) / NANO

    @property
    def accuracy_gain(self) -> float:
        """Accuracy after minus accuracy before, for display."""
        return (self.new_correct - self.base_correct) / self.count

    def shifted(self, nano: int) -> Evidence:
        """What it would be if the candidate's loss were lower on every example.

        Args:
            nano: by how much, nano-nats; predictions stay as they are.
        """
        return structs.replace(
            self,
            new_loss=self.new_loss - nano * self.count,
            delta_squared=self.delta_squared + 2 * nano * self.delta + nano**2 * self.count,
        )

    @property
    def _scatter(self) -> int:
        # n · Σ(Δᵢ − mean)², kept in integers
        return self.count * self.delta_squared - self.delta**2

    @property
    def z(self) -> float:
        """Mean Δ over its standard error, for display; infinite where every Δᵢ is the same."""
        if self.delta_se == 0:
            return math.copysign(math.inf, self.delta) if self.delta else 0.0
        return self.delta_mean / self.delta_se

    def delta_exceeds(self, z_milli: int) -> bool:
        """Whether mean Δ lies more than ``z_milli``/1000 standard errors above zero."""
        left = self.delta**2 * (self.count - 1) * 1_000_000
        return self.delta > 0 and left > z_milli**2 * self._scatter

    def accuracy_exceeds(self, z_milli: int) -> bool:
        """Whether the accuracy gain lies more than ``z_milli``/1000 standard errors above zero."""
        gain = self.gained - self.lost
        return gain > 0 and gain**2 * 1_000_000 > z_milli**2 * (self.gained + self.lost)

    def delta_passes(self, needed_milli: int) -> bool:
        """Whether Δ is positive and (Σδᵢ)²/Σδᵢ² exceeds ``needed_milli``/1000."""
        return self.delta > 0 and self.delta**2 * 1000 > needed_milli * self.delta_squared

    def accuracy_passes(self, needed_milli: int) -> bool:
        """Whether more is gained than lost and (gained − lost)²/(gained + lost) exceeds the same bar."""
        gain = self.gained - self.lost
        return gain > 0 and gain**2 * 1000 > needed_milli * (self.gained + self.lost)

    def delta_may_reach(self, mean: int, z_milli: int) -> bool:
        """Whether a mean Δ of ``mean`` nano-nats lies below Δ + ``z_milli``/1000 standard errors."""
        gap = mean * self.count - self.delta
        return gap <= 0 or gap**2 * (self.count - 1) * 1_000_000 <= z_milli**2 * self._scatter

    @property
    def delta_weight(self) -> float:
        """(Σδᵢ)²/Σδᵢ² for display; zero where Δ is not positive."""
        return self.delta**2 / self.delta_squared if self.delta > 0 else 0.0

    @property
    def accuracy_weight(self) -> float:
        """(gained − lost)²/(gained + lost) for display; zero where nothing is gained."""
        gain = self.gained - self.lost
        return gain**2 / (self.gained + self.lost) if gain > 0 else 0.0


def pair_losses(
    base: Sequence[int],
    new: Sequence[int],
    base_correct: Sequence[bool] | None = None,
    new_correct: Sequence[bool] | None = None,
) -> Evidence:
    """Evidence from per-example losses, in billionths of their unit, in the same order of examples.

    Args:
        base: losses of the base.
        new: losses of the candidate.
        base_correct: whether the base got each example right; none where that means nothing.
        new_correct: the same of the candidate.

    Raises:
        ValueError: the arrays differ in length or are empty.
    """
    hits = base_correct is not None and new_correct is not None
    base_correct, new_correct = base_correct or [False] * len(base), new_correct or [False] * len(new)
    if not base or len({len(base), len(new), len(base_correct), len(new_correct)}) != 1:
        raise ValueError("per-example arrays must have one common, positive length")
    return Evidence(
        count=len(base),
        base_loss=sum(base),
        new_loss=sum(new),
        delta_squared=sum((b - n) ** 2 for b, n in zip(base, new, strict=True)),
        base_correct=sum(base_correct),
        new_correct=sum(new_correct),
        gained=sum(n and not b for b, n in zip(base_correct, new_correct, strict=True)),
        lost=sum(b and not n for b, n in zip(base_correct, new_correct, strict=True)),
        hits=hits,
    )
