"""What finds documents: FAISS over the vectors of a version, built when it is opened.

FAISS keeps the vectors as the bytes that they are, and sums whole numbers below 2²⁴ in float32, which is
exact. Equal scores go by the documents' names, so that its ranks are those of `shelf.exact_ranks`; a test
holds that, and whoever verifies computes without FAISS. Every document is compared: with 100,000 of them that
costs a tenth of what embedding one does (docs/reference/benchmarks.md), so lists or graphs would save little
and cost exactness.
"""

from __future__ import annotations

__all__ = ["Hit", "Served", "ranks_of", "require_faiss"]

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from cryoflux.errors import UsageError
from cryoflux.tasks.index.shelf import Shelf, Vectors

_MORE = 16
"""that are asked for beyond what is wanted, for equal scores at the end"""
_BLOCK = 65_536
"""vectors that are handed over together"""


def require_faiss() -> None:
    """Make sure that FAISS is installed; it is not imported.

    Raises:
        UsageError: it is not.
    """
    if find_spec("faiss") is None or find_spec("numpy") is None:
        raise UsageError(
            "FAISS is not installed.",
            why="It is what finds documents.",
            hint="Install it: pip install 'cryoflux[index]'.",
        )


class Hit(NamedTuple):
    """A document that was found."""

    row: int
    score: int


class Served:
    """An index that answers."""

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


def ranks_of(
    served: Served, shelf: Shelf, queries: Vectors, wanted: Sequence[bytes], first: int
) -> list[int]:
    """The rank of each query's document among the first ones; 0 where it is not there."""
    rows = [shelf.place_of.get(name, -1) for name in wanted]
    return [
        next((rank for rank, hit in enumerate(hits, 1) if hit.row == row), 0)
        for row, hits in zip(rows, served.top(queries, first), strict=True)
    ]
