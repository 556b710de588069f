"""Whether an update is a copy of one that was committed before: ``copy/v1``.

A copy need not have the same bytes. The factors of b⊗a can be turned by any invertible matrix (its *gauge*),
scaled, permuted or mixed with noise, and the update stays what it is. So cosines are taken of what does not
change with that: of the products, and of what the update does to the logits of texts that nobody else has.

- *whole*: of everything that the update moves, modules that were trained in full included;
- *low rank*: of its products alone;
- *function*: of the change of the logits. A constant that is added to all logits of a text changes no loss,
  so it is taken out.

An update is a copy where one of the three exceeds its bound. Noise that no text sees hides products, not the
function; a copy that was trained on is new work, as far as it moves. By fresh seeds and three recipes
(`docs/reference/adversaries.md`) no honest pair lies above the bounds; below them lie copies whose noise cost
them a part of their worth. The nearest honest pair began with the same seed and shared three quarters of its
data: 0.52, 0.63 and 0.88.
"""

from __future__ import annotations

__all__ = ["Alikeness", "Direction", "alikeness", "is_copy"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from cryoflux.registry.compose import F64, LowRank

_WHOLE, _LOW_RANK, _FUNCTION = 0.70, 0.70, 0.96
_NO_TEXTS = np.zeros((0, 0))


@dataclass(frozen=True, slots=True)
class Direction:
    """Where an update moves a model."""

    low_rank: Mapping[str, LowRank]
    """by the name of the weight that it changes"""
    whole: Mapping[str, F64] = field(default_factory=dict)
    """of tensors that were trained in full: value − parent's value, by name"""
    logits: F64 = field(default_factory=lambda: _NO_TEXTS)
    """(texts, classes): what it changes of the logits; none where they were not computed"""


@dataclass(frozen=True, slots=True)
class Alikeness:
    """Cosines of two updates, −1 to 1; 0 where one of them does not move."""

    whole: float
    low_rank: float
    function: float


def is_copy(found: Alikeness) -> bool:
    """Whether the later one of two updates is a copy of the earlier one."""
    return found.whole > _WHOLE or found.low_rank > _LOW_RANK or found.function > _FUNCTION


def alikeness(one: Direction, other: Direction) -> Alikeness:
    """How alike two updates are.

    Args:
        one: an update of a genesis.
        other: another one of the same genesis, with logits of the same texts.
    """
    low_rank = [_products(*pair) for pair in ((one, other), (one, one), (other, other))]
    in_full = [_in_full(*pair) for pair in ((one, other), (one, one), (other, other))]
    mine, theirs = _centred(one.logits), _centred(other.logits)
    texts = [float((mine * theirs).sum()), float((mine**2).sum()), float((theirs**2).sum())]
    return Alikeness(
        whole=_cosine([a + b for a, b in zip(low_rank, in_full, strict=True)]),
        low_rank=_cosine(low_rank),
        function=_cosine(texts),
    )


def _products(one: Direction, other: Direction) -> float:
    """⟨D₁, D₂⟩ of the products: tr((b₁ᵀb₂)(a₂a₁ᵀ)) · scales, in O(rank² · width), without making them."""
    total = 0.0
    for name in one.low_rank.keys() & other.low_rank.keys():
        left, right = one.low_rank[name], other.low_rank[name]
        if left.a.shape[1:] != right.a.shape[1:] or left.b.shape[:1] != right.b.shape[:1]:
            continue
        b = left.b.astype(np.float64).T @ right.b.astype(np.float64)
        a = left.a.astype(np.float64) @ right.a.astype(np.float64).T
        total += float((a * b).sum()) * left.scale * right.scale
    return total


def _in_full(one: Direction, other: Direction) -> float:
    return sum(
        float((one.whole[name] * other.whole[name]).sum())
        for name in one.whole.keys() & other.whole.keys()
        if one.whole[name].shape == other.whole[name].shape
    )


def _centred(logits: F64) -> F64:
    if not logits.size:
        return logits
    centred: F64 = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _cosine(products: list[float]) -> float:
    """Of ⟨x, y⟩, ⟨x, x⟩ and ⟨y, y⟩."""
    between, one, other = products
    return between / (sqrt(one) * sqrt(other)) if one > 0 and other > 0 else 0.0
