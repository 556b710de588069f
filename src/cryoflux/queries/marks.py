"""What became of an attempt, and where its mark lies: the same in pictures, on pages and in words.

A mark shows the interval of Δ that decided, with its name (`Attempt.delta_interval`). The fixed 95 % interval
is for a single look; a holdout gives several, so that it is shown of what really was one: of a screen.
"""

from __future__ import annotations

__all__ = ["AttemptMark", "DrawnAs", "drawn_as", "mark_of", "paid_joules"]

from dataclasses import dataclass
from enum import Enum

from cryoflux.quantities import MICRO, format_energy
from cryoflux.receipts.attempts import Attempt, DeltaInterval
from cryoflux.receipts.per_token import per_token_text
from cryoflux.receipts.statement import Outcome


class DrawnAs(Enum):
    """What became of an attempt: word and shape, by which outcomes are told apart without colour."""

    KEPT = ("kept", "disc")
    CARRIED = ("carried", "arrow")
    UNDECIDED = ("undecided", "triangle")
    REJECTED = ("rejected", "cross")
    SCREENED = ("stopped by the screen", "square")
    ABORTED = ("aborted", "diamond")

    @property
    def word(self) -> str:
        """How it is named."""
        return self.value[0]

    @property
    def shape(self) -> str:
        """What its mark looks like."""
        return self.value[1]


_BY_WORD = {kind.word: kind for kind in DrawnAs}


def drawn_as(attempt: Attempt) -> DrawnAs:
    """What became of an attempt; what its screen rejected is told apart from what the holdout did."""
    if attempt.outcome == Outcome.REJECTED.word and attempt.delta is None:
        return DrawnAs.SCREENED
    return _BY_WORD.get(attempt.outcome, DrawnAs.ABORTED)


@dataclass(frozen=True, slots=True)
class AttemptMark:
    """An attempt as a picture has it."""

    number: int
    kind: DrawnAs
    joules: float
    joules_lo: float
    joules_hi: float
    delta: float | None
    """none where nothing was measured; of a screened one what its screen measured"""
    interval: DeltaInterval | None
    """of this Δ; none where none holds"""
    unit: str
    per_token: str = ""
    """its Δ for each target token, in words; empty where examples are no documents"""

    @property
    def delta_lo(self) -> float | None:
        """The lower end of its interval."""
        return self.interval.low if self.interval is not None else None

    @property
    def delta_hi(self) -> float | None:
        """The upper end."""
        return self.interval.high if self.interval is not None else None

    def above(self, floor: float) -> bool:
        """Whether its Δ lies above some value."""
        return self.delta is not None and self.delta > floor

    @property
    def says(self) -> str:
        """The same in words."""
        gained = "" if self.delta is None else f", Δ {self.delta:+.3g} {self.unit}".rstrip()
        gained += f" ({self.per_token})" if self.per_token else ""
        aside = " on examples set aside" if self.kind is DrawnAs.SCREENED and gained else ""
        return f"#{self.number} {self.kind.word}{gained}{aside}, {format_energy(round(self.joules * MICRO))}"


def paid_joules(attempt: Attempt) -> tuple[float, float, float]:
    """Joules that paid for its Δ, or its own where it has none: estimate and both ends."""
    if attempt.delta is None:
        return attempt.joules, attempt.joules_lo, attempt.joules_hi
    return attempt.chain_joules, attempt.chain_joules_lo, attempt.chain_joules_hi


def mark_of(attempt: Attempt) -> AttemptMark:
    """An attempt as a picture has it: by what paid for its Δ, or what it was charged where it has none."""
    kind, delta, interval = drawn_as(attempt), attempt.delta, attempt.delta_interval
    if kind is DrawnAs.SCREENED:
        delta, low, high = attempt.screen_delta, attempt.screen_delta_lo, attempt.screen_delta_hi
        interval = DeltaInterval(low, high, "95 %") if low is not None and high is not None else None
    unit, per_token = attempt.unit or "", per_token_text(delta, attempt.unit, attempt.tokens_per_example)
    if kind is DrawnAs.SCREENED:  # its documents have other lengths
        per_token = ""
    return AttemptMark(attempt.number, kind, *paid_joules(attempt), delta, interval, unit, per_token)
