"""Texts that say nearly the same in two sets of a data set, found by the similarity of their embeddings.

`cryoflux.data.near` finds copies that share their words; this finds what was put in other words, too. Each
text of a set that judges is held against all that are trained on: it is near to one where the cosine of their
vectors reaches a threshold. The embedded model embeds, whatever was trained, so that two states compare. It
is a report and changes no set: of two honest texts on one subject some are as alike as a paraphrase
(docs/reference/benchmarks.md#the-leak-guard).
"""

from __future__ import annotations

__all__ = ["LEAK_THRESHOLD", "Leak", "LeakCount", "find_leaks", "nearest_texts"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cryoflux.data.prepared import PreparedData
from cryoflux.state import StateFolder
from cryoflux.tasks.index.embedding import embed_queries
from cryoflux.tasks.index.encoding import TextEncoder, encoder_digest
from cryoflux.tasks.index.shelf import Vectors
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

LEAK_THRESHOLD = 0.85
"""cosine from which on two texts are called near"""
_TOKENS = 128
_BLOCK = 8192
"""training texts that each text is held against at once"""


@dataclass(frozen=True, slots=True)
class Leak:
    """A text that judges, and the training text that is nearest to it."""

    part: str
    row: int
    """in the set, counted from 1"""
    train_row: int
    similarity: float


@dataclass(frozen=True, slots=True)
class LeakCount:
    """What a set has in common with the training set."""

    part: str
    examples: int
    near: int


def nearest_texts(texts: Vectors, among: Vectors) -> list[tuple[int, float]]:
    """Of each text the nearest among others: its row and the cosine.

    Args:
        texts: (texts, dimensions).
        among: (others, dimensions), at least one.
    """
    asked = texts.astype(np.float32)
    asked /= np.maximum(1, np.linalg.norm(asked, axis=1, keepdims=True))
    best = np.full(len(texts), -2.0, np.float32)
    rows = np.zeros(len(texts), np.int64)
    for start in range(0, len(among), _BLOCK):
        some = among[start : start + _BLOCK].astype(np.float32)
        some /= np.maximum(1, np.linalg.norm(some, axis=1, keepdims=True))
        scores = asked @ some.T
        found = scores.argmax(1)
        value = scores[np.arange(len(found)), found]
        better = value > best
        best[better], rows[better] = value[better], found[better] + start
    return [(int(row), float(score)) for row, score in zip(rows, best, strict=True)]


def find_leaks(
    state: StateFolder, data: PreparedData, threshold: float, progress: Callable[[str], None] = lambda _: None
) -> tuple[list[LeakCount], list[Leak]]:
    """Texts of the sets that judge that are near to a training text, the nearest first.

    Args:
        state: whose cache takes the embeddings.
        data: a data set of texts.
        threshold: cosine from which on texts are near.
        progress: told which set is embedded.
    """
    folder = resolve(EMBEDDED)
    encoder = TextEncoder(folder, _TOKENS)
    path = state.cache / "embeddings" / f"{encoder_digest(folder, _TOKENS)}.bin"
    store = EmbeddingStore(path, encoder.dimensions)

    def vectors(part: str) -> Vectors:
        progress(part)
        return embed_queries(_texts(data, part), lambda: encoder, store, encoder.dimensions)

    train = vectors("train")
    counts, leaks = [], []
    for part in (*data.holdouts, "audit"):
        found = nearest_texts(vectors(part), train)
        near = [
            Leak(part, at + 1, row + 1, round(score, 4))
            for at, (row, score) in enumerate(found)
            if score >= threshold
        ]
        counts.append(LeakCount(part, data.count(part), len(near)))
        leaks += near
    store.sync()
    return counts, sorted(leaks, key=lambda leak: -leak.similarity)


def _texts(data: PreparedData, part: str) -> Sequence[str]:
    return [example.text for example in data.examples(part)]
