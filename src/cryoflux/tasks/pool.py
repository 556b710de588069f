"""Which training examples an attempt draws: a window that slides through the pool.

The pool is one seeded order of the training examples. Its end is set aside for screening and never
trained on. An attempt draws some examples that no attempt has drawn yet, and before them, up to the
size of its window, the ones drawn last: their activations are known, so they cost little. Once all
were drawn, the order begins again.
"""

from __future__ import annotations

__all__ = ["MOST_SCREENED", "Pool", "make_pool", "slice_digest"]

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

MOST_SCREENED = 512
"""training examples that are set aside"""
_SHARE = 0.15
"""largest share of the training examples that may be set aside"""


@dataclass(frozen=True, slots=True)
class Pool:
    """The training examples by index, in the order in which they are drawn."""

    order: tuple[int, ...]
    screen: tuple[int, ...]
    """set aside: an update is tried on them before the holdout is read"""

    def fresh(self, drawn: int, size: int) -> list[int]:
        """The next ``size`` examples after ``drawn`` were drawn, first drawn first."""
        count = len(self.order)
        return [self.order[i % count] for i in range(drawn, drawn + min(size, count))]

    def seen(self, drawn: int, size: int) -> list[int]:
        """The ``size`` examples that were drawn last, each once, oldest first."""
        count = len(self.order)
        first = max(0, drawn - min(size, count))
        return [self.order[i % count] for i in range(first, drawn)]

    def draw(self, drawn: int, *, fresh: int, most: int) -> tuple[list[int], list[int]]:
        """What an attempt learns from after ``drawn`` examples were drawn by earlier ones.

        Args:
            drawn: examples that earlier attempts drew as fresh ones.
            fresh: most examples that are drawn now.
            most: most examples in all.

        Returns:
            those seen before, and the fresh ones; none is in both.
        """
        new = self.fresh(drawn, min(fresh, most))
        again = set(new)
        return [i for i in self.seen(drawn, most - len(new)) if i not in again], new


def make_pool(count: int, seed: int, *, most_screened: int = MOST_SCREENED) -> Pool:
    """The order of ``count`` training examples; it depends on the seed alone.

    As many are set aside whatever the recipes ask for, so that none of them is ever trained on.
    """
    order = list(range(count))
    random.Random(f"{seed}/pool").shuffle(order)  # noqa: S311 - a reproducible draw, not a secret
    kept = count - min(most_screened, int(count * _SHARE))
    return Pool(tuple(order[:kept]), tuple(order[kept:]))


def slice_digest(indices: Sequence[int]) -> str:
    """SHA-256 of the indices as decimal text, one a line."""
    return hashlib.sha256("".join(f"{index}\n" for index in indices).encode()).hexdigest()
