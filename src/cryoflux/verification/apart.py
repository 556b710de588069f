"""How far from a recorded adapter training it again ends, and which distances were measured of honest ones.

The distance is ‖ours - theirs‖ / ‖theirs - base‖ over all tensors together: 0 is the same weights, and from 1
on ours is no nearer to theirs than the base is, which was not trained at all.
"""

from __future__ import annotations

__all__ = ["ELSEWHERE", "FAR", "NOTHING_LEARNED", "Apart", "furthest_in_words", "length"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot, inf, isfinite
from statistics import median
from typing import Any

ELSEWHERE = 0.63
"""the furthest that honest training was measured to end with other instructions than it was recorded with"""
FAR = 0.75
"""from here on a failure where software, processor and threads are the same: `ELSEWHERE` and a margin"""
NOTHING_LEARNED = 1.0
"""as far as the base is"""
_LIMITS = (ELSEWHERE, FAR, NOTHING_LEARNED)
_DIGITS = 17
"""that tell any two numbers apart"""


@dataclass(frozen=True, slots=True)
class Apart:
    """An adapter that was trained again beside the recorded one."""

    tensors: Mapping[str, tuple[float, float]]
    """name → ‖ours - theirs‖ and ‖theirs - base‖"""
    loss_here: float
    """mean over the holdout with ours, nats"""
    loss_recorded: float
    """with theirs, as the receipt says"""
    delta: float
    """by how much theirs is better than the base, as the receipt says"""

    @property
    def distance(self) -> float:
        """Over all tensors together; infinite where one of the lengths is no number."""
        both = list(self.tensors.values())
        return _ratio(hypot(*(apart for apart, _ in both)), hypot(*(moved for _, moved in both)))

    def in_short(self) -> str:
        """The distance, and whether honest training was ever measured that far away."""
        if not self.tensors:
            return "no tensor to compare"
        beyond = f", beyond honest ones measured ({ELSEWHERE})" if self.distance > ELSEWHERE else ""
        return f"ΔW {length(self.distance)} of its length away{beyond}"

    def in_words(self) -> str:
        """What it is worth on the holdout."""
        by = self.loss_here - self.loss_recorded
        further = "further than not training at all; " if self.distance >= NOTHING_LEARNED else ""
        return (
            f"{further}loss {self.loss_here:.6f} against {self.loss_recorded:.6f} nats "
            f"({by:+.6f}, where Δ was {self.delta:+.6f})"
        )

    def each(self) -> str:
        """Where it lies apart."""
        if not self.tensors:
            return "neither of them changes a tensor"
        ratios = {name: _ratio(*lengths) for name, lengths in self.tensors.items()}
        worst = max(ratios, key=ratios.__getitem__)
        return (
            f"of {len(ratios)} tensors {length(median(ratios.values()))} (median), at most "
            f"{length(ratios[worst])} ({worst})"
        )

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; no distance where it is infinite."""
        return {
            "distance": self.distance if isfinite(self.distance) else None,
            "honest_distance": ELSEWHERE,
            "loss_here_nats": self.loss_here,
            "loss_recorded_nats": self.loss_recorded,
        }


def _ratio(apart: float, moved: float) -> float:
    if not (isfinite(apart) and isfinite(moved)):
        return inf
    if moved:
        return apart / moved
    return inf if apart else 0.0


def length(distance: float) -> str:
    """A distance with two digits, or as many as it takes to show on which side of a limit it lies."""
    if not isfinite(distance):
        return "∞"
    for digits in range(2, _DIGITS):
        said = f"{distance:.{digits}g}"
        if all(_side(float(said), limit) == _side(distance, limit) for limit in _LIMITS):
            return said
    return repr(distance)


def _side(distance: float, limit: float) -> int:
    return (distance > limit) - (distance < limit)


def furthest_in_words(found: Iterable[Mapping[str, Any]]) -> str:
    """Of what `Apart.to_json` says of some adapters: how far the furthest is, and both of its losses."""

    def far(one: Mapping[str, Any]) -> float:
        return inf if one["distance"] is None else float(one["distance"])

    one = max(found, key=far)
    beyond = f", further than any honest other machine measured ({ELSEWHERE})" if far(one) > ELSEWHERE else ""
    return (
        f"ΔW {length(far(one))} of its length away{beyond}, with a loss of {one['loss_here_nats']:.6f} nats "
        f"on the holdout where {one['loss_recorded_nats']:.6f} is recorded"
    )
