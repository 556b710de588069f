"""What is said before a judgement, and what comes of one."""

from __future__ import annotations

__all__ = ["Judged", "Terms"]

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.html_table import html_table
from cryoflux.quantities import MICRO, NATS, format_efficiency, format_energy, format_nats
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

    def lines(self) -> Iterator[tuple[str, str]]:
        """What the verdict rests on, each line with its name; one that goes on has none."""
        low, high = self.interval
        ends = f"anytime [{format_nats(low)}, {format_nats(high)}]"
        interval = ends if math.isfinite(low) else "so few examples rule nothing out"
        yield "Δ", f"{format_nats(self.delta)} {self.unit} an example, {interval}"
        if self.targets and self.delta_per_token is not None:
            a_token = format_nats(self.delta_per_token)
            yield "", f"{a_token} {self.unit} a token, over the {self.targets:,} that had to be said"
        if self.accuracy is not None:
            before, after = (100 * share for share in self.accuracy)
            yield "accuracy", f"{before:.1f} → {after:.1f} % ({after - before:+.1f} points)"
        again = (
            "judged before, so that no look was spent" if self.again else "each raises the bar of the next"
        )
        yield "holdout", f"{self.count:,} examples; look {self.look} of this log at it ({again})"
        if self.cut:
            texts = f"{self.cut:,} of {self.count:,} texts were cut at {self.most_tokens:,} tokens"
            yield "cut", f"{texts}: what comes after was not judged"
        yield "noise", self._at_this_look()
        yield "", "that is what the error budget bounds, and no p-value of this Δ"
        yield "energy", self._stated()

    def _at_this_look(self) -> str:
        """How often noise passes, at this look and at all of them together."""
        ever = _rounded_down(round(1 / self.error_budget))
        return f"kept at most 1 time in {_rounded_down(self.odds)} at this look, 1 in {ever} over all looks"

    def _stated(self) -> str:
        if self.joules is None:
            return "not stated (--joules)"
        uj = round(self.joules * MICRO)
        return f"{format_energy(uj)} as stated, {format_efficiency(self.delta, uj, self.unit)}"

    def __str__(self) -> str:
        return f"{self.outcome}: {self.why}"

    def _repr_html_(self) -> str:
        """The verdict and what it rests on as a table, for a notebook."""
        receipt = f"entry {self.entry} of {self.state}, {self.receipt[:12]}…"
        return html_table(str(self), [*self.lines(), ("receipt", receipt)])


def _rounded_down(count: int) -> str:
    """To three digits, towards zero."""
    digits = max(0, len(str(count)) - 3)
    return f"{count // 10**digits * 10**digits:,}"
