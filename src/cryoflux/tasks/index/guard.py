"""The leak guard: training texts that say nearly the same as one that judges are left out of training.

`cryoflux.data.near` finds copies that share their words; this one finds what was put in other words or in
another order, as far as embeddings show it (docs/reference/benchmarks.md#the-leak-guard says how far). The
embedded model embeds, whatever is trained, so that two states compare; of a text, as much as it reads of its
beginning.
"""

from __future__ import annotations

__all__ = ["LeakGuard", "TextVectors", "guard_of"]

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryoflux.errors import ModelError, StorageError
from cryoflux.tasks.index.embedding import name_of_query
from cryoflux.tasks.index.encoding import TextEncoder, encoder_digest
from cryoflux.tasks.index.likeness import nearest_texts
from cryoflux.tasks.index.shelf import Vectors
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.lora.base_model import EMBEDDED, resolve
from cryoflux.verification.leak_guard import COSINE

_TOKENS = 128
_CHARACTERS = 16 * _TOKENS
"""of a text that may matter, so that of a long one only the beginning is tokenised"""
_Told = Callable[[int, int], None]


class TextVectors:
    """The vectors of texts by the embedded model, each computed once."""

    def __init__(self, cache: Path | None = None) -> None:
        """Begin with what the cache of a state has; without one, with nothing."""
        self._folder = resolve(EMBEDDED)
        self._known: dict[bytes, Vectors] = {}
        self._store = self._opened(cache) if cache is not None else None

    @cached_property
    def encoder(self) -> str:
        """What embeds, by what decides it."""
        return encoder_digest(self._folder, _TOKENS)

    @cached_property
    def _loaded(self) -> TextEncoder:
        return TextEncoder(self._folder, _TOKENS)

    def _opened(self, cache: Path) -> EmbeddingStore:
        return EmbeddingStore(cache / "embeddings" / f"{self.encoder}.bin", self._loaded.dimensions)

    def of(self, texts: Sequence[str], told: _Told = lambda _done, _count: None) -> Vectors:
        """The vectors of texts, in their order.

        Args:
            texts: of which the beginning is read.
            told: how many are embedded, and of how many.
        """
        read = [text[:_CHARACTERS] for text in texts]
        missing = sorted({text for text in read if self._get(name_of_query(text)) is None})
        done = 0
        for batch, vectors in self._loaded.embed(missing):
            self._put([name_of_query(missing[i]) for i in batch], vectors)
            done += len(batch)
            told(done, len(missing))
        found = np.zeros((len(read), self._loaded.dimensions), np.int8)
        for at, text in enumerate(read):
            if (vector := self._get(name_of_query(text))) is None:  # damaged since it was written
                vector = next(self._loaded.embed([text]))[1][0]
            found[at] = vector
        return found

    def _get(self, name: bytes) -> Vectors | None:
        if name in self._known:
            return self._known[name]
        return self._store.get(name) if self._store is not None else None

    def _put(self, names: Sequence[bytes], vectors: Vectors) -> None:
        if self._store is not None:
            with suppress(StorageError):  # what the disk refuses stays in memory
                self._store.put(names, vectors)
                return
        self._known.update(zip(names, vectors, strict=True))

    def keep_in(self, cache: Path) -> None:
        """Put what was computed into the cache of a state."""
        with suppress(StorageError):
            store = self._opened(cache)
            if self._known:
                store.put([*self._known], np.stack([*self._known.values()]))
                store.sync()


class LeakGuard:
    """Finds texts that are like one that judges.

    Args:
        least_milli: cosine from which on they are, thousandths.
        vectors: of the texts.
    """

    def __init__(self, least_milli: int, vectors: TextVectors) -> None:
        self.least_milli, self.vectors = least_milli, vectors

    def near(
        self,
        texts: Sequence[str],
        judging: Mapping[str, Sequence[str]],
        told: _Told = lambda _done, _count: None,
    ) -> dict[int, str]:
        """Place of a text → the first set of which a text is near to it.

        Args:
            texts: that are held against those that judge.
            judging: name of a set → its texts.
            told: how many texts are embedded, and of how many.
        """
        vectors = self.vectors.of([*texts, *(text for those in judging.values() for text in those)], told)
        mine, start = vectors[: len(texts)], len(texts)
        found: dict[int, str] = {}
        for name, those in judging.items():
            theirs, start = vectors[start : start + len(those)], start + len(those)
            if len(mine) and len(theirs):
                for place, nearest in enumerate(nearest_texts(mine, theirs)):
                    if nearest.milli >= self.least_milli:
                        found.setdefault(place, name)
        return found

    def rule(self, dropped: int) -> dict[str, Any]:
        """How `PreparedData.rules` names it.

        Args:
            dropped: training texts that it left out.
        """
        return {
            "rule": COSINE,
            "least_milli": self.least_milli,
            "encoder": self.vectors.encoder,
            "dropped": dropped,
        }


def guard_of(rules: Mapping[str, Any], cache: Path) -> LeakGuard:
    """The guard of a data set.

    Args:
        rules: of a data set that has one.
        cache: of its state.

    Raises:
        ModelError: it embeds with a model that is not here, or is another rule than the one known here.
    """
    said = rules["similar"]
    vectors = TextVectors(cache)
    if (said["rule"], said["encoder"]) != (COSINE, vectors.encoder):
        raise ModelError(
            f"The leak guard of this state, {said['rule']} by {said['encoder'][:16]}…, is not known here.",
            why="What joins the training set is held to the guard that the log names.",
            hint="Install the version of CryoFlux that the state was begun with, or begin another state.",
        )
    return LeakGuard(int(said["least_milli"]), vectors)
