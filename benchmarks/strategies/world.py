"""A world in which the true Δ of every update is known: losses are drawn, rules are not.

A model is a point, an update a move. The loss of an example at a point is

    ½ ‖point − goal‖² over some axes  −  slope · point along one more  +  σ · ε · point over all axes,

with ε drawn anew for each example and axis. So the true Δ of a move follows from the point and the move, and
a guest holdout adds noise to it that grows with how far the move goes: with σ = 0.95 the spread of δ is
1.3 √Δ, as updates of the embedded model have it (Δ .044 with .27, .36 with .82). Along the *flat* axes
nothing helps or harms: an update there has a true Δ of exactly zero, and a holdout its own luck.

Of a guest holdout only Σε and Σεεᵀ are kept: sums of δ and of δ² of any move follow from these exactly, also
for moves that were chosen by what the same holdout said before. Arrays are over lives, the first axis.
"""

from __future__ import annotations

__all__ = ["GOALS", "SIGMA", "SLOPE", "Array", "Sample", "World", "drawn_sample", "unit"]

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SIGMA = 0.95
SLOPE = 5.0
"""nats that a unit along the long axis gains, for ever: whoever has it can buy acceptances"""
GOALS = 8
"""axes with a goal; then comes the long one, then the flat ones"""
_REACH = 1.2
"""how far the goal is at first: 0.72 nats can be gained"""


@dataclass
class World:
    """Heads of many lives, and where they should go."""

    goal: Array
    """(lives, axes)"""
    head: Array
    flat: int
    """flat axes"""

    @classmethod
    def drawn(cls, rng: np.random.Generator, lives: int, flat: int) -> World:
        """Goals in random directions, heads at zero."""
        goal = np.zeros((lives, GOALS + 1 + flat))
        goal[:, :GOALS] = _REACH * unit(rng.normal(size=(lives, GOALS)))
        return cls(goal, np.zeros_like(goal), flat)

    @property
    def lives(self) -> int:
        """How many."""
        return len(self.goal)

    @property
    def wanted(self) -> Array:
        """The way that is left to the goal: what somebody who trains honestly finds."""
        way = self.goal - self.head
        way[:, GOALS:] = 0
        return way

    def delta(self, moves: Array) -> Array:
        """True Δ of moves from the heads, nats."""
        near, way = moves[:, :GOALS], self.wanted[:, :GOALS]
        gained: Array = (near * way).sum(1) - 0.5 * (near**2).sum(1) + SLOPE * moves[:, GOALS]
        return gained

    def in_flat(self, values: Array) -> Array:
        """Moves along flat axes alone."""
        moves = np.zeros_like(self.goal)
        moves[:, GOALS + 1 : GOALS + 1 + values.shape[1]] = values
        return moves


@dataclass(frozen=True)
class Sample:
    """Examples, as far as any move shows them: one set of them a life."""

    count: int
    sums: Array
    """(lives, axes): Σε"""
    products: Array
    """(lives, axes, axes): Σεεᵀ"""

    def shown(self, moves: Array, delta: Array) -> tuple[Array, Array]:
        """Σδ in nats and Σδ² in nats² of moves with some true Δ."""
        noise = SIGMA * np.einsum("la,la->l", self.sums, moves)
        scatter = SIGMA**2 * np.einsum("la,lab,lb->l", moves, self.products, moves, optimize=True)
        return self.count * delta + noise, self.count * delta**2 + 2 * delta * noise + scatter


def drawn_sample(rng: np.random.Generator, lives: int, axes: int, count: int) -> Sample:
    """Draw the examples of so many lives."""
    noise = rng.standard_normal((lives, count, axes), dtype=np.float32)
    products = (noise.transpose(0, 2, 1) @ noise).astype(float)
    return Sample(count, noise.sum(1, dtype=float), products)


def unit(directions: Any) -> Array:
    """Of length one each."""
    found: Array = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return found
