"""Embedding until the joules end, and not a batch further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from cryoflux.tasks.index.documents import Folder, digest_of
from cryoflux.tasks.index.embedding import Embedded, Purse, Wanted, embed_documents, embed_queries
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.pacing import JoulesEndedError, Limits

WIDE, BATCH = 4, 3


class Encoder:
    """Says how long a text is, a few at a time, and what that costs."""

    def __init__(self, costs_uj: Sequence[int]) -> None:
        self.costs_uj, self.spent_uj, self.asked = [*costs_uj], 0, 0

    def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        for start in range(0, len(texts), BATCH):
            batch = list(range(len(texts)))[start : start + BATCH]
            self.spent_uj += self.costs_uj.pop(0)
            self.asked += len(batch)
            yield batch, np.array([[len(texts[i])] * WIDE for i in batch], np.int8)

    def limits(self, limit_uj: int) -> Limits:
        return Limits(limit_uj, lambda: self.spent_uj, lambda: False)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "store.bin", WIDE)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "notes").mkdir()
    for number in range(12):
        (tmp_path / "notes" / f"{number}.txt").write_text("a" * (number + 1))
    found = Folder(tmp_path / "notes")
    found.look()
    return found


def embedded(
    encoder: Encoder, folder: Folder, store: EmbeddingStore, limit_uj: int
) -> tuple[Embedded, dict[str, bytes]]:
    put: dict[str, bytes] = {}
    found = embed_documents(
        Wanted(folder.names, frozenset(), 128),
        folder,
        lambda: encoder,  # type: ignore[arg-type, return-value]
        store,
        Purse(encoder.limits(limit_uj)),
        lambda _: None,
        lambda rows, vectors: put.update(zip([row["document"] for row in rows], vectors, strict=True)),
    )
    return found, put


def test_it_ends_where_the_dearest_batch_so_far_would_go_beyond_the_joules(
    folder: Folder, store: EmbeddingStore
) -> None:
    encoder = Encoder([40, 10, 10, 10])
    found, put = embedded(encoder, folder, store, 100)
    assert (found.count, found.computed, found.ended_by) == (9, 9, "joules")
    assert (encoder.spent_uj, len(put)) == (60, 9)
    assert put[digest_of("aa").hex()] == bytes([2] * WIDE)


def test_the_next_attempt_goes_on_from_what_is_in_the_store(folder: Folder, store: EmbeddingStore) -> None:
    embedded(Encoder([40, 10, 10]), folder, store, 100)
    encoder = Encoder([40])
    found, put = embedded(encoder, folder, store, 100)
    assert (found.count, found.computed, found.ended_by) == (12, 3, "steps")
    assert len(put) == 12
    assert encoder.asked == 3


def test_queries_end_with_the_joules_too_and_what_was_embedded_is_kept(store: EmbeddingStore) -> None:
    texts = [f"{number:02}" for number in range(10)]
    first, second = Encoder([40, 10]), Encoder([10, 10])
    with pytest.raises(JoulesEndedError, match="before 4 queries were embedded"):
        embed_queries(texts, lambda: first, store, WIDE, Purse(first.limits(85)))  # type: ignore[arg-type, return-value]
    found = embed_queries(texts, lambda: second, store, WIDE, Purse(second.limits(60)))  # type: ignore[arg-type, return-value]
    assert second.asked == 4
    assert (found == 2).all()


def test_queries_are_embedded_whatever_it_costs_where_nobody_counts(store: EmbeddingStore) -> None:
    encoder = Encoder([10**9] * 4)
    embed_queries([str(n) for n in range(10)], lambda: encoder, store, WIDE)  # type: ignore[arg-type, return-value]
    assert encoder.asked == 10
