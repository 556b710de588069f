"""How far the axes of a panel reach, how marks are styled there, and what their bars say."""

from __future__ import annotations

__all__ = ["AttemptsPanel", "PanelLimits", "bar_words", "colour_of", "limits_of", "marker_of"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryoflux.queries.marks import AttemptMark, DrawnAs
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.scales import Ends, round_below

_DECADES = 3
"""that Δ spans at most; what is smaller lies in the band"""
_COLOURS = {
    DrawnAs.KEPT: "#0072B2",
    DrawnAs.CARRIED: "#009E73",
    DrawnAs.UNDECIDED: "#E69F00",
    DrawnAs.REJECTED: "#555555",
    DrawnAs.SCREENED: "#777777",
    DrawnAs.ABORTED: "#AAAAAA",
}
_MARKERS = {"disc": "o", "arrow": ">", "triangle": "^", "cross": "X", "square": "s", "diamond": "d"}


def colour_of(kind: DrawnAs) -> str:
    """How an outcome is coloured on paper."""
    return _COLOURS[kind]


def marker_of(kind: DrawnAs) -> str:
    """The shape of an outcome, by matplotlib's letter."""
    return _MARKERS[kind.shape]


def bar_words(marks: Iterable[AttemptMark]) -> str:
    """What the upright bars of some marks are: ``the interval of Δ that decided (anytime)``."""
    some = [mark for mark in marks if mark.delta is not None]
    judged = [mark for mark in some if mark.kind is not DrawnAs.SCREENED]
    names = list(dict.fromkeys(mark.interval.name for mark in judged if mark.interval is not None))
    said = [f"the interval of Δ that decided ({' or '.join(names)})"] if names else []
    if len(judged) < len(some):
        said.append("of hollow squares 95 % for one look, at the screen’s own examples")
    if names and any(mark.interval is None for mark in judged):
        said.append("none where none holds, as of a reading that stopped early")
    return "; ".join(said)


@dataclass(frozen=True, slots=True)
class AttemptsPanel:
    """Attempts of one task that are drawn into one panel."""

    title: str
    """above it; empty for none"""
    unit: str
    attempts: Sequence[Attempt]


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
    charged = [mark.joules for mark in marks if mark.joules > 0] or [1.0]
    least = min(charged)
    lows = [mark.joules_lo for mark in marks if mark.joules_lo > least / 10]
    joules = Ends.around(min([least, *lows]), max([*charged, *(mark.joules_hi for mark in marks)]))
    best = max((mark.delta for mark in marks if mark.delta is not None), default=0.0)
    if best <= 0:
        return PanelLimits(joules, None, 1.0, 0.0)
    least = best / 10**_DECADES
    floor = round_below(least) if any(mark.above(0) and not mark.above(least) for mark in marks) else 0.0
    helped = [mark for mark in marks if mark.above(floor)]
    out = len(marks) - len(helped)
    band = 0.0 if not out else 0.14 if out <= 30 else 0.22
    deltas = [mark.delta for mark in helped if mark.delta is not None]
    ends = [
        end
        for mark in helped
        for end in (mark.delta_lo, mark.delta_hi)
        if end is not None and end > max(floor, least)
    ]
    return PanelLimits(joules, Ends.around(min([*deltas, *ends]), max([*deltas, *ends])), band, floor)
