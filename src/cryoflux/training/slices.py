"""Which training examples an attempt draws from: a window that moves through the pool.

Attempts 0, 1, 2, … take consecutive windows of one seeded permutation; when it is used up, the next
permutation begins. So an attempt sees fresh examples until all have been seen once.
"""

from __future__ import annotations

__all__ = ["slice_digest", "training_slice"]

import hashlib
import random


def training_slice(pool_size: int, slice_size: int, attempt: int, seed: int) -> list[int]:
    """Indices into the pool for one attempt, in drawing order; at most the whole pool."""
    size = min(slice_size, pool_size)
    indices: list[int] = []
    position = attempt * size
    while len(indices) < size:
        epoch, offset = divmod(position, pool_size)
        order = list(range(pool_size))
        random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - a reproducible draw, not a secret
        taken = order[offset : offset + size - len(indices)]
        indices += taken
        position += len(taken)
    return indices


def slice_digest(indices: list[int]) -> str:
    """SHA-256 of the indices as decimal text, one a line."""
    return hashlib.sha256("".join(f"{index}\n" for index in indices).encode()).hexdigest()
