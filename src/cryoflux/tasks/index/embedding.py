"""Embedding what an update needs: from the store where it is there, else until the joules end."""

from __future__ import annotations

__all__ = ["Embedded", "Purse", "Wanted", "embed_documents", "embed_queries", "name_of_query"]

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.encoding import TextEncoder
from cryoflux.tasks.index.known_items import split_title
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.shelf import Vectors
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.pacing import JoulesEndedError, Limits

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
    """How far embedding came."""

    count: int = 0
    """documents that have a vector"""
    computed: int = 0
    """how many of them were not in the store"""
    ended_by: str = "steps"
    """``steps`` where everything was embedded; else ``joules`` or ``interrupt``"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be embedded, and how."""

    documents: Names
    """by name: an order that knows of no query"""
    stripped: frozenset[bytes]
    """those that are embedded without their title, because it is a query"""
    tokens: int


class Purse:
    """Says whether the joules reach for another batch: as much as the dearest one took so far.

    A batch cannot be ended half-way, and a reservation should not be overdrawn by one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._spent_uj, self._dearest_uj = limits, limits.spent_uj(), 0

    def paid(self) -> None:
        """A batch is done."""
        now_uj = self._limits.spent_uj()
        self._dearest_uj = max(self._dearest_uj, now_uj - self._spent_uj)
        self._spent_uj = now_uj

    def reaches(self) -> bool:
        """Whether another one can be paid for."""
        return self._limits.spent_uj() + self._dearest_uj < self._limits.limit_uj

    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self._limits.stop()


def embed_queries(
    texts: Sequence[str],
    encoder: Callable[[], TextEncoder],
    store: EmbeddingStore,
    dimensions: int,
    purse: Purse | None = None,
) -> Vectors:
    """The vectors of queries, in their order.

    Args:
        texts: the queries.
        encoder: loads what embeds, when something has to be embedded.
        store: what was embedded before, and takes what is embedded now.
        dimensions: of a vector.
        purse: what pays for it; none where nobody counts.

    Raises:
        JoulesEndedError: they ended before all had a vector; what was embedded is in the store.
    """
    names = [name_of_query(text) for text in texts]
    missing = sorted({text for text, name in zip(texts, names, strict=True) if name not in store})
    if missing:
        left = len(missing)
        for batch, vectors in encoder().embed(missing):
            store.put([name_of_query(missing[i]) for i in batch], vectors)
            left -= len(batch)
            if purse is not None:
                purse.paid()
                if left and not purse.reaches():
                    raise _unpaid(left)
    found = np.zeros((len(texts), dimensions), np.int8)
    for at, name in enumerate(names):
        vector = store.get(name)
        if vector is None:  # damaged since it was written
            vector = next(encoder().embed([texts[at]]))[1][0]
        found[at] = vector
    return found


def _unpaid(left: int) -> JoulesEndedError:
    return JoulesEndedError(
        f"The joules were used up before {left} queries were embedded.",
        why="An index is judged by its queries, which are embedded as its documents are.",
        hint="Run again, what was embedded is kept; or raise --index-reserve.",
    )


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
    purse: Purse,
    done: Callable[[int], Any],
    put: Callable[[list[dict[str, str]], list[bytes]], Any],
) -> Embedded:
    """Documents with their vectors, as many as the joules pay for.

    Args:
        wanted: which, and how.
        folder: where their texts are.
        encoder: loads what embeds, when something has to be embedded.
        store: what was embedded before, and takes what is embedded now.
        purse: joules, and whether to stop.
        done: told how many are done, after each batch.
        put: takes some documents with their vectors; those of a later call have higher names.
    """
    found = Embedded()
    for start in range(0, len(wanted.documents), _AT_ONCE):
        some = _Some()
        for document, place, text in folder.texts(wanted.documents.between(start, start + _AT_ONCE)):
            stripped = document in wanted.stripped
            row, content = _described(document, place, text, stripped=stripped)
            name = _name_of(document, stripped=stripped)
            if (vector := store.get(name)) is not None:
                some.rows.append(row)
                some.vectors.append(vector.tobytes())
            else:
                some.missing.append(_Missing(name, content[: _CHARACTERS * wanted.tokens], row))
        before = found.count
        _compute(some, encoder, store, purse, found, lambda: done(before + len(some.rows)))  # noqa: B023
        put(some.rows, some.vectors)
        found.count += len(some.rows)
        if found.ended_by != "steps":
            break
    return found


class _Missing(NamedTuple):
    name: bytes
    content: str
    row: dict[str, str]


@dataclass(slots=True)
class _Some:
    """Documents that are in memory together."""

    rows: list[dict[str, str]] = field(default_factory=list)
    vectors: list[bytes] = field(default_factory=list)
    missing: list[_Missing] = field(default_factory=list)


def _described(document: bytes, place: str, text: str, *, stripped: bool) -> tuple[dict[str, str], str]:
    """What is shown of a document, and what of it is embedded."""
    parts = split_title(text)
    title = parts[0] if parts is not None else " ".join(text.split())
    row = {"document": document.hex(), "place": place, "title": title[:_SHOWN]}
    return row, parts[1] if stripped and parts is not None else text


def _compute(
    some: _Some,
    encoder: Callable[[], TextEncoder],
    store: EmbeddingStore,
    purse: Purse,
    found: Embedded,
    done: Callable[[], Any],
) -> None:
    # a few at a time in the order that they were read in: the joules leave out not just the long ones
    for start in range(0, len(some.missing), _GROUP):
        group = some.missing[start : start + _GROUP]
        for batch, vectors in encoder().embed([one.content for one in group]):
            store.put([group[i].name for i in batch], vectors)
            some.rows += [group[i].row for i in batch]
            some.vectors += [vector.tobytes() for vector in vectors]
            found.computed += len(batch)
            done()
            purse.paid()
            if purse.stopped():
                found.ended_by = "interrupt"
            elif not purse.reaches():
                found.ended_by = "joules"
            if found.ended_by != "steps":
                return
