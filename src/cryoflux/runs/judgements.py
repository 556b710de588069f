"""What is said before a judgement, and what comes of one."""

from __future__ import annotations

__all__ = ["Judged", "Terms"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.quantities import NATS
from cryoflux.receipts.judgement_parts import HeldApart, JudgedKind, JudgedSide, JudgedTokens, StatedEnergy
from cryoflux.receipts.profiles import HANDED_OVER
from cryoflux.receipts.statement import Metric


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said before a verdict: what is judged, in which unit, and what an improvement is."""

    name: str
    base: JudgedSide
    new: JudgedSide
    kind: JudgedKind = JudgedKind.LOSSES
    profile: str = HANDED_OVER
    metric: Metric = Metric(name="loss", unit=NATS)  # noqa: RUF009 - it is frozen
    min_delta_nano: int = 2_000_000
    min_accuracy_gain_ppm: int = 10_000
    alpha_ppm: int = 10_000
    """error over the life of a holdout, parts per million"""
    apart: HeldApart | None = None
    energy: StatedEnergy | None = None
    tokens: JudgedTokens | None = None
    """how much of the examples was read; none where losses were handed over"""
    libraries: tuple[str, ...] = ()
    """that computed the losses, where they were computed here"""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on what others made."""

    kept: bool
    """whether the new one is better, by the rule"""
    undecided: bool
    """not kept, though a Δ that is large enough was not ruled out"""
    delta: float
    """mean of base loss − new loss over the examples, in `unit`"""
    interval: tuple[float, float]
    """the anytime interval that decided; infinite where the bar rules nothing out"""
    unit: str
    count: int
    """examples of the holdout"""
    accuracy: tuple[float, float] | None
    """of base and new; none where examples are neither right nor wrong"""
    look: int
    """which verdict on this holdout it is, counted from 1 over the log"""
    joules: float | None
    """what making the new one has cost, as it was stated; none where it was not"""
    outcome: str
    """``kept``, ``rejected`` or ``undecided``"""
    reason: str
    """in a sentence"""
    why: str
    """the same in a few words"""
    receipt: str
    """its hash: the RFC 6962 leaf hash of the signed envelope"""
    entry: int
    """its place in the log, from 0"""
    state: Path
    error_budget: float
    """how often, over all looks at this holdout, noise may pass for an improvement, at most"""
    odds: int
    """noise passes the bar of this look at most one time in so many; no word on this Δ"""
    most_tokens: int | None = None
    """of an example that were read; none of losses that were handed over"""
    cut: int | None = None
    """examples whose end was not read, because they have more tokens"""
    targets: int | None = None
    """tokens that a language model had to say, over all examples; none of anything else"""
    again: bool = False
    """whether this log had judged exactly these losses before: it is that verdict, and no look was spent"""

    @property
    def delta_per_token(self) -> float | None:
        """Δ a token that a language model had to say, in `unit`; none of anything else."""
        return self.delta * self.count / self.targets if self.targets else None
