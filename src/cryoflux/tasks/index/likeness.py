"""How alike two texts are: ``cosine/v1``, the cosine of their vectors in whole thousandths.

Vectors are of small whole numbers (`encoding`), so their products and lengths are whole numbers that float32
sums exactly, and 10⁶ · cosine² is compared as one: in whatever order a library adds, the same texts reach
the same threshold. What may differ between two machines, and between two batches of one, is a component of a
vector by one: of 400 docstrings embedded alone, in other batches and with other instructions, at most five of
153,600 components did, which moved no cosine by more than 0.0004. So whoever embeds again is sure of what is
`ROUNDING_MILLI` away from the threshold, and of nothing nearer.
"""

from __future__ import annotations

__all__ = ["ROUNDING_MILLI", "Nearest", "nearest_texts"]

from math import isqrt
from typing import NamedTuple

import numpy as np

from cryoflux.tasks.index.shelf import Vectors

ROUNDING_MILLI = 2
"""so near to a threshold another machine may find it the other way round, thousandths"""
_BLOCK, _TEXTS = 4096, 256
"""texts that are compared at once"""
_SQUARED = 10**6


class Nearest(NamedTuple):
    """Which text is nearest to one, and how near."""

    row: int
    milli: int
    """cosine in thousandths, rounded down; 0 where it is below zero"""


def nearest_texts(texts: Vectors, among: Vectors) -> list[Nearest]:
    """Of each text the nearest among others; of several that are as near, the first.

    Args:
        texts: (texts, dimensions).
        among: (others, dimensions), at least one.
    """
    found: list[Nearest] = []
    for start in range(0, len(texts), _TEXTS):
        asked = texts[start : start + _TEXTS]
        best = np.full(len(asked), -1, np.int64)
        rows = np.zeros(len(asked), np.int64)
        for offset in range(0, len(among), _BLOCK):
            squared = _squared_cosines(asked, among[offset : offset + _BLOCK])
            place = squared.argmax(1)
            value = squared[np.arange(len(place)), place]
            better = value > best
            best[better], rows[better] = value[better], place[better] + offset
        pairs = zip(rows.tolist(), best.tolist(), strict=True)
        found += [Nearest(row, isqrt(max(0, value))) for row, value in pairs]
    return found


def _squared_cosines(asked: Vectors, among: Vectors) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """10⁶ · cosine², rounded down; -1 where the cosine is not above zero."""
    one, other = asked.astype(np.float32), among.astype(np.float32)
    dots = (one @ other.T).astype(np.int64)
    lengths = (one * one).sum(1).astype(np.int64)[:, None] * (other * other).sum(1).astype(np.int64)
    found: np.ndarray[tuple[int, int], np.dtype[np.int64]] = np.where(
        dots > 0, _SQUARED * dots * dots // np.maximum(1, lengths), -1
    )
    return found
