"""Searching the index of a state."""

from __future__ import annotations

__all__ = ["FoundDocument", "Searcher", "open_searcher"]

import shlex
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from cryoflux.errors import StateError
from cryoflux.registry.versions import Versions
from cryoflux.state import StateFolder
from cryoflux.tasks.index.encoding import SCALE, TextEncoder, open_encoder
from cryoflux.tasks.index.inputs import used_encoder
from cryoflux.tasks.index.serving import Hit, Served, nearest
from cryoflux.tasks.index.shelf import Shelf, Vectors
from cryoflux.tasks.lora.libraries import quieten, require_training
from cryoflux.tasks.registry import INDEX

_FEW = 24
"""queries of a process from which on FAISS is built: it costs as much as so many without"""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document that was found."""

    rank: int
    place: str
    """file in the folder, with the row where it holds several"""
    title: str
    document: str
    """SHA-256 of its text"""
    similarity: float
    """cosine, up to rounding"""


class Searcher:
    """Finds documents in one version of an index."""

    def __init__(self, shelf: Shelf, encoder: TextEncoder, version: str) -> None:
        self.version = version
        self.documents = shelf.manifest.documents
        self._shelf, self._encoder, self._asked = shelf, encoder, 0

    @cached_property
    def _served(self) -> Served:
        return Served(self._shelf)

    def find(self, query: str, most: int) -> list[FoundDocument]:
        """The documents that are nearest to a query, nearest first."""
        _, vectors = next(self._encoder.embed([query]))
        hits = self._hits(vectors, most)
        rows = self._shelf.rows_at([hit.row for hit in hits])
        return [
            FoundDocument(
                rank, str(row["place"]), str(row["title"]), str(row["document"]), hit.score / SCALE**2
            )
            for rank, (hit, row) in enumerate(zip(hits, rows, strict=True), 1)
        ]

    def _hits(self, vectors: Vectors, most: int) -> list[Hit]:
        self._asked += 1
        if self._asked > _FEW and find_spec("faiss") is not None:
            return self._served.top(vectors, most)[0]
        return nearest(self._shelf, vectors, most)


def open_searcher(state: StateFolder) -> Searcher:
    """The index that a state keeps.

    Raises:
        StateError: it keeps none, or what embedded it is gone.
        UsageError: the training libraries are not installed.
    """
    require_training()
    quieten()
    versions = Versions(state.path)
    command = (
        f"cryoflux run --task index_refresh --index DIR --budget 300J --state {shlex.quote(str(state.path))}"
    )
    digest = versions.head_digest(INDEX)
    if digest is None:
        raise StateError(
            f"{state.path} keeps no index.",
            why="An index is kept by the task index_refresh.",
            hint=f"Make one: {command}",
        )
    shelf = Shelf(versions.open(digest).folder)
    if not shelf.manifest.documents:
        raise StateError(
            "The index holds no document yet.",
            why="No update of it was kept so far.",
            hint=f"Go on: {command}",
        )
    name = used_encoder(shelf.manifest, versions, {})
    if name is None:
        raise StateError(
            f"What embedded the index, {shelf.manifest.version[:16]}… of lora_delta, is not kept here.",
            why="A query has to be embedded as the documents were.",
            hint=f"Embed it anew: {command}",
        )
    return Searcher(shelf, open_encoder(name, shelf.manifest.tokens), digest)
