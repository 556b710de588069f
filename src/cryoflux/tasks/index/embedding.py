"""Embedding what an update needs: from the store where it is there, else until the joules end."""

from __future__ import annotations

__all__ = ["Embedded", "Wanted", "embed_documents", "embed_queries", "name_of_query"]

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.encoding import TextEncoder
from cryoflux.tasks.index.known_items import split_title
from cryoflux.tasks.index.shelf import Vectors
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.pacing import Limits

_AT_ONCE = 4096
"""documents whose texts are in memory together"""
_CHARACTERS = 16
"""of a token, at most, so that of a long document only the beginning is held"""
_GROUP = 256
"""documents that are put into batches by length together"""
_SHOWN = 120
"""characters of a title that is shown"""


@dataclass(slots=True)
class Embedded:
    """Documents with their vectors."""

    rows: list[dict[str, str]] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)
    computed: int = 0
    """how many of them were not in the store"""
    ended_by: str = "steps"
    """``steps`` where everything was embedded; else ``joules`` or ``interrupt``"""

    def sorted(self, dimensions: int) -> tuple[list[dict[str, str]], Vectors]:
        """Rows and vectors in the order of the documents' names."""
        order = sorted(range(len(self.rows)), key=lambda at: self.rows[at]["document"])
        matrix = np.zeros((len(order), dimensions), np.int8)
        for at, row in enumerate(order):
            matrix[at] = self.vectors[row]
        return [self.rows[at] for at in order], matrix


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be embedded, and how."""

    documents: Sequence[bytes]
    """by name: an order that knows of no query"""
    stripped: frozenset[bytes]
    """those that are embedded without their title, because it is a query"""
    tokens: int


def embed_queries(
    texts: Sequence[str], encoder: Callable[[], TextEncoder], store: EmbeddingStore, dimensions: int
) -> Vectors:
    """The vectors of queries, in their order."""
    names = [name_of_query(text) for text in texts]
    missing = sorted({text for text, name in zip(texts, names, strict=True) if name not in store})
    if missing:
        for batch, vectors in encoder().embed(missing):
            store.put([name_of_query(missing[i]) for i in batch], vectors)
    found = np.zeros((len(texts), dimensions), np.int8)
    for at, name in enumerate(names):
        vector = store.get(name)
        if vector is None:  # damaged since it was written
            vector = next(encoder().embed([texts[at]]))[1][0]
        found[at] = vector
    return found


def name_of_query(text: str) -> bytes:
    """What the embedding of a query is called in the store."""
    return hashlib.sha256(b"query\n" + text.encode("utf-8", "surrogatepass")).digest()


def _name_of(document: bytes, *, stripped: bool) -> bytes:
    return hashlib.sha256(b"rest\n" + document).digest() if stripped else document


def embed_documents(
    wanted: Wanted,
    folder: Folder,
    encoder: Callable[[], TextEncoder],
    store: EmbeddingStore,
    limits: Limits,
    done: Callable[[int], Any],
) -> Embedded:
    """Documents with their vectors, as many as the joules pay for.

    Args:
        wanted: which, and how.
        folder: where their texts are.
        encoder: loads what embeds, when something has to be embedded.
        store: what was embedded before, and takes what is embedded now.
        limits: joules, and whether to stop.
        done: told how many are done, after each batch.
    """
    found = Embedded()
    for start in range(0, len(wanted.documents), _AT_ONCE):
        some = wanted.documents[start : start + _AT_ONCE]
        missing: list[_Missing] = []
        for document, place, text in folder.texts(some):
            stripped = document in wanted.stripped
            row, content = _described(document, place, text, stripped=stripped)
            name = _name_of(document, stripped=stripped)
            if (vector := store.get(name)) is not None:
                found.rows.append(row)
                found.vectors.append(vector)
            else:
                missing.append(_Missing(name, content[: _CHARACTERS * wanted.tokens], row))
        _compute(missing, encoder, store, limits, found, done)
        if found.ended_by != "steps":
            break
    return found


class _Missing(NamedTuple):
    name: bytes
    content: str
    row: dict[str, str]


def _described(document: bytes, place: str, text: str, *, stripped: bool) -> tuple[dict[str, str], str]:
    """What is shown of a document, and what of it is embedded."""
    parts = split_title(text)
    title = parts[0] if parts is not None else " ".join(text.split())
    row = {"document": document.hex(), "place": place, "title": title[:_SHOWN]}
    return row, parts[1] if stripped and parts is not None else text


def _compute(
    missing: list[_Missing],
    encoder: Callable[[], TextEncoder],
    store: EmbeddingStore,
    limits: Limits,
    found: Embedded,
    done: Callable[[int], Any],
) -> None:
    # a few at a time in the order of their names, so that what the joules leave out is not the longest ones
    for start in range(0, len(missing), _GROUP):
        group = missing[start : start + _GROUP]
        for batch, vectors in encoder().embed([one.content for one in group]):
            store.put([group[i].name for i in batch], vectors)
            found.rows += [group[i].row for i in batch]
            found.vectors += list(vectors)
            found.computed += len(batch)
            done(len(found.rows))
            if limits.stop():
                found.ended_by = "interrupt"
            elif limits.spent_uj() >= limits.limit_uj:
                found.ended_by = "joules"
            if found.ended_by != "steps":
                return
