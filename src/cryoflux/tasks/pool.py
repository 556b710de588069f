"""Which training examples an attempt draws: a window that slides through the pool.

The pool is one seeded order of the training examples. Its end is set aside for screening and never
trained on. Examples that join later are shuffled by the same seed and the number of their batch, and
appended: what came before keeps its place, and nothing more is set aside for screening. A batch that led to a
head that was left is left out.

An attempt draws some examples that no attempt has drawn yet, and before them, up to the size of its window,
the ones drawn last: their activations are known, so they cost little. Once all were drawn, the order begins
again.
"""

from __future__ import annotations

__all__ = ["MOST_SCREENED", "Pool", "make_pool", "slice_digest"]

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.task_tallies import PoolParts

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
    ends: tuple[int, ...] = ()
    """places in the order where examples of the beginning end, and those of each later batch in it"""
    counts: tuple[int, ...] = ()
    """training examples that there were in all at each of ``ends``, those that are left out included"""

    def first(self, count: int) -> Pool:
        """The pool as it was when there were ``count`` examples; as it is, for a count below those."""
        kept = sum(there_were <= count for there_were in self.counts)
        if not 0 < kept < len(self.ends):
            return self
        return Pool(self.order[: self.ends[kept - 1]], self.screen, self.ends[:kept], self.counts[:kept])

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


def make_pool(parts: int | PoolParts, seed: int, *, most_screened: int = MOST_SCREENED) -> Pool:
    """The order of training examples; it depends on the seed and on when they joined.

    As many are set aside whatever the recipes ask for, so that none of them is ever trained on.

    Args:
        parts: how many there are, or were after each batch that joined, and which batches are left out.
        seed: of the order.
        most_screened: how many are set aside at most.
    """
    first, *later = [parts] if isinstance(parts, int) else parts.counts
    left_out = frozenset() if isinstance(parts, int) else frozenset(parts.quarantined)
    order = list(range(first))
    random.Random(f"{seed}/pool").shuffle(order)  # noqa: S311 - a reproducible draw, not a secret
    kept = first - min(most_screened, int(first * _SHARE))
    screen, order = tuple(order[kept:]), order[:kept]
    ends, counts, before = [kept], [first], first
    for number, count in enumerate(later, start=1):
        batch = list(range(before, count))
        before = count
        if count in left_out:
            continue
        random.Random(f"{seed}/pool/{number}").shuffle(batch)  # noqa: S311 - the same
        order += batch
        ends.append(len(order))
        counts.append(count)
    return Pool(tuple(order), screen, tuple(ends), tuple(counts))


def slice_digest(indices: Sequence[int]) -> str:
    """SHA-256 of the indices as decimal text, one a line."""
    return hashlib.sha256("".join(f"{index}\n" for index in indices).encode()).hexdigest()
