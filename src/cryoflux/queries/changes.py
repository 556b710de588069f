"""How each single example changed: a mean can be a few that gained much, or all that gained a little."""

from __future__ import annotations

__all__ = ["HARDLY", "Changes", "changes_of"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.quantities import NANO
from cryoflux.verification.pairing import Pairing

HARDLY = 0.01
"""an example whose loss moved by less, in its unit, hardly moved"""
_BINS = 56
"""bins at most; a round step leaves at least a third of them"""
_STEPS = (1.0, 2.0, 2.5, 5.0)
_TAIL = 0.01
"""share of the examples at each end that is counted in one bin there"""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of all examples that were read; better is above zero."""

    count: int
    better: int
    worse: int
    hardly: int
    """moved by less than `HARDLY`"""
    newly_right: int
    newly_wrong: int
    hits: bool
    """whether an example can be right or wrong; else both counts before say nothing"""
    step: float
    """width of a bin, in the unit of the losses"""
    first: int
    """the lower end of the first bin, in steps; zero is an end of one"""
    bins: tuple[int, ...]
    """examples in each; the first and the last have all that lies beyond, too"""
    below: bool
    """whether any lies below the first bin"""
    above: bool


def changes_of(losses: Pairing, *, hits: bool) -> Changes:
    """The changes of some examples, base loss − new loss.

    Args:
        losses: of base and candidate.
        hits: whether an example can be right or wrong.
    """
    moved = [(base - new) / NANO for base, new in zip(losses.base, losses.new, strict=True)]
    better, worse = sum(one >= HARDLY for one in moved), sum(one <= -HARDLY for one in moved)
    right = [(was, now) for was, now in zip(losses.base_correct, losses.new_correct, strict=True)]
    step, first, last = _range(sorted(moved))
    bins = [0] * (last - first)
    places = [math.floor(one / step) for one in moved]
    for place in places:
        bins[min(max(place, first), last - 1) - first] += 1
    return Changes(
        count=len(moved),
        better=better,
        worse=worse,
        hardly=len(moved) - better - worse,
        newly_right=sum(now and not was for was, now in right),
        newly_wrong=sum(was and not now for was, now in right),
        hits=hits,
        step=step,
        first=first,
        bins=tuple(bins),
        below=min(places) < first,
        above=max(places) >= last,
    )


def _range(rising: Sequence[float]) -> tuple[float, int, int]:
    """A round step, and the first and last end in steps: zero is among them, and nearly all examples."""
    tail = int(_TAIL * len(rising))
    low, high = min(0.0, rising[tail]), max(0.0, rising[-1 - tail])
    step = _round_up(max(high - low, 1e-6) / _BINS)
    first, last = math.floor(low / step), math.floor(high / step) + 1
    return step, first, last


def _round_up(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next((factor * power for factor in _STEPS if factor * power >= width), 10 * power)
