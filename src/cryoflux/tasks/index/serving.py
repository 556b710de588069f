"""What finds documents: the scores of all of them, or FAISS where many queries come.

Every document is compared. FAISS has to take a copy of the vectors into memory first, which costs as much as
some dozen queries without it, so it pays for a process that stays (docs/reference/benchmarks.md#the-index).
Either sums whole numbers below 2²⁴ in float32, which is exact, and equal scores go by the documents' names:
their answers are the same, and their ranks those of `shelf.exact_ranks`; a test holds that.
"""

from __future__ import annotations

__all__ = ["Hit", "Served", "nearest"]

from typing import Any, NamedTuple

import numpy as np

from cryoflux.tasks.index.shelf import Shelf, Vectors, scores_by_block

_MORE = 16
"""that are asked for beyond what is wanted, for equal scores at the end"""
_BLOCK = 4096
"""vectors that are handed over together"""


class Hit(NamedTuple):
    """A document that was found."""

    row: int
    score: int


def nearest(shelf: Shelf, query: Vectors, most: int) -> list[Hit]:
    """The documents of the largest scores for one query, equal scores by name; nothing is built for it.

    Args:
        shelf: the index.
        query: (1, dimensions).
        most: documents.
    """
    best: list[Hit] = []
    for start, scores in scores_by_block(shelf, query.astype(np.float32)):
        some = scores[0]
        # what comes later has to be better, for it has the higher name
        rows = np.flatnonzero(some > best[-1].score) if len(best) == most else np.arange(len(some))
        rows = rows[np.argsort(-some[rows], kind="stable")][:most]
        best += [Hit(start + int(row), int(some[row])) for row in rows]
        best = sorted(best, key=_order)[:most]
    return best


class Served:
    """An index that FAISS keeps in memory."""

    def __init__(self, shelf: Shelf) -> None:
        """Hand the vectors of a version over to FAISS."""
        import faiss

        self.count, wide = len(shelf.vectors), max(1, shelf.manifest.dimensions)
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index: Any = faiss.IndexScalarQuantizer(wide, kind, faiss.METRIC_INNER_PRODUCT)
        for start in range(0, self.count, _BLOCK):
            self._index.add(shelf.vectors[start : start + _BLOCK].astype(np.float32))

    def top(self, queries: Vectors, most: int) -> list[list[Hit]]:
        """The documents of the largest scores for each query, equal scores by name.

        Args:
            queries: (queries, dimensions).
            most: of each query.
        """
        if not self.count or not len(queries):
            return [[] for _ in queries]
        asked = np.ascontiguousarray(queries.astype(np.float32))
        found = self._asked(asked, most, min(self.count, most + _MORE))
        return [hits[:most] for hits in found]

    def _asked(self, asked: Any, most: int, more: int) -> list[list[Hit]]:
        scores, rows = self._index.search(asked, more)
        found = []
        for at, (some, their) in enumerate(zip(scores, rows, strict=True)):
            hits = sorted(
                (Hit(int(row), int(score)) for row, score in zip(their, some, strict=True)), key=_order
            )
            if more < self.count and len(hits) > most and hits[most - 1].score == hits[-1].score:
                # as many as were asked for have the score of the last one: others may have it, too
                hits = self._asked(asked[at : at + 1], most, min(self.count, 4 * more))[0]
            found.append(hits)
        return found


def _order(hit: Hit) -> tuple[int, int]:
    return -hit.score, hit.row
