"""What became of an attempt as the picture tells it, where its mark lies, and how far the axes reach."""

from __future__ import annotations

__all__ = [
    "AttemptMark",
    "AttemptsPanel",
    "DrawnAs",
    "PanelLimits",
    "drawn_as",
    "limits_of",
    "mark_of",
    "paid_joules",
]

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Outcome
from cryoflux.report.scales import Ends, round_below

_DECADES = 3
"""that Δ spans at most; what is smaller lies in the band"""


class DrawnAs(Enum):
    """What became of an attempt, as the picture tells it: word, colour and shape."""

    KEPT = ("kept", "#0072B2", "o")
    CARRIED = ("carried", "#009E73", ">")
    UNDECIDED = ("undecided", "#E69F00", "^")
    REJECTED = ("rejected", "#555555", "X")
    SCREENED = ("stopped by the screen", "#777777", "s")
    ABORTED = ("aborted", "#AAAAAA", "d")

    @property
    def word(self) -> str:
        """How it is named."""
        return self.value[0]

    @property
    def colour(self) -> str:
        """How it is coloured."""
        return self.value[1]

    @property
    def marker(self) -> str:
        """Its shape, by matplotlib's letter."""
        return self.value[2]


_BY_WORD = {kind.word: kind for kind in DrawnAs}


def drawn_as(attempt: Attempt) -> DrawnAs:
    """What became of an attempt; what its screen rejected is told apart from what the holdout did."""
    if attempt.outcome == Outcome.REJECTED.word and attempt.delta is None:
        return DrawnAs.SCREENED
    return _BY_WORD.get(attempt.outcome, DrawnAs.ABORTED)


@dataclass(frozen=True, slots=True)
class AttemptsPanel:
    """Attempts of one task that are drawn into one panel."""

    title: str
    """above it; empty for none"""
    unit: str
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class AttemptMark:
    """An attempt as the picture has it."""

    number: int
    kind: DrawnAs
    joules: tuple[float, float, float]
    """estimate and both ends"""
    delta: float | None
    ends: tuple[float, float] | None

    def above(self, floor: float) -> bool:
        """Whether it lies above the band."""
        return self.delta is not None and self.delta > floor


def paid_joules(attempt: Attempt) -> tuple[float, float, float]:
    """Joules that paid for its Δ, or its own where it has none: estimate and both ends."""
    if attempt.delta is None:
        return attempt.joules, attempt.joules_lo, attempt.joules_hi
    return attempt.chain_joules, attempt.chain_joules_lo, attempt.chain_joules_hi


def mark_of(attempt: Attempt) -> AttemptMark:
    """An attempt as the picture has it: by what paid for its Δ, or by its own joules where it has none."""
    kind, paid = drawn_as(attempt), paid_joules(attempt)
    if kind is DrawnAs.SCREENED:
        screened = _pair(attempt.screen_delta_lo, attempt.screen_delta_hi)
        return AttemptMark(attempt.number, kind, paid, attempt.screen_delta, screened)
    if attempt.delta is None:
        return AttemptMark(attempt.number, kind, paid, None, None)
    ends = _pair(attempt.delta_lo_anytime, attempt.delta_hi_anytime)
    return AttemptMark(
        attempt.number, kind, paid, attempt.delta, ends or _pair(attempt.delta_lo, attempt.delta_hi)
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return (low, high) if low is not None and high is not None else None


@dataclass(frozen=True, slots=True)
class PanelLimits:
    """How far the axes of a panel reach."""

    joules: Ends
    delta: Ends | None
    """none where nothing helped"""
    band: float
    """share of the height that the band of what did not help takes; 0 for none"""
    floor: float
    """Δ up to which attempts lie in the band"""


def limits_of(marks: Sequence[AttemptMark]) -> PanelLimits:
    """Axes that hold some marks."""
    charged = [mark.joules[0] for mark in marks if mark.joules[0] > 0] or [1.0]
    least = min(charged)
    lows = [mark.joules[1] for mark in marks if mark.joules[1] > least / 10]
    joules = Ends.around(min([least, *lows]), max([*charged, *(mark.joules[2] for mark in marks)]))
    best = max((mark.delta for mark in marks if mark.delta is not None), default=0.0)
    if best <= 0:
        return PanelLimits(joules, None, 1.0, 0.0)
    least = best / 10**_DECADES
    floor = round_below(least) if any(mark.above(0) and not mark.above(least) for mark in marks) else 0.0
    helped = [mark for mark in marks if mark.above(floor)]
    out = len(marks) - len(helped)
    band = 0.0 if not out else 0.14 if out <= 30 else 0.22
    deltas = [mark.delta for mark in helped if mark.delta is not None]
    ends = [end for mark in helped if mark.ends is not None for end in mark.ends if end > max(floor, least)]
    return PanelLimits(joules, Ends.around(min([*deltas, *ends]), max([*deltas, *ends])), band, floor)
