"""Scores queries by the rank of their document in one version of an index."""

from __future__ import annotations

__all__ = ["RankScorer"]

from collections.abc import Callable, Sequence

from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.tasks.index.shelf import loss_of

_BATCH = 64


class RankScorer:
    """Scores the queries of a set.

    Args:
        ranks: of some queries of the set; 0 where a document is not among the first ones.
    """

    def __init__(self, ranks: Callable[[Sequence[int]], list[int]]) -> None:
        self._ranks = ranks

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses and hits of some queries."""
        losses: list[int] = []
        right: list[bool] = []
        for start in range(0, len(indices), _BATCH):
            between(start)
            ranks = self._ranks(indices[start : start + _BATCH])
            losses += [loss_of(rank) for rank in ranks]
            right += [rank > 0 for rank in ranks]
        return losses, right
