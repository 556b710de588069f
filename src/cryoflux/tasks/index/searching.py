"""Searching the index of a state."""

from __future__ import annotations

__all__ = ["FoundDocument", "Searcher", "open_searcher"]

from dataclasses import dataclass
from typing import Any

from cryoflux.errors import StateError
from cryoflux.registry.versions import Versions
from cryoflux.state import StateFolder
from cryoflux.tasks.index.encoding import SCALE, TextEncoder, open_encoder
from cryoflux.tasks.index.inputs import used_encoder
from cryoflux.tasks.index.serving import Served, require_faiss
from cryoflux.tasks.index.shelf import Shelf
from cryoflux.tasks.lora.libraries import quieten, require_training
from cryoflux.tasks.registry import INDEX


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
        self._encoder, self._served = encoder, Served(shelf)
        self._rows: list[dict[str, Any]] = list(shelf.rows())

    def find(self, query: str, most: int) -> list[FoundDocument]:
        """The documents that are nearest to a query, nearest first."""
        _, vectors = next(self._encoder.embed([query]))
        hits = self._served.top(vectors, most)[0]
        return [
            FoundDocument(
                rank,
                str(self._rows[hit.row]["place"]),
                str(self._rows[hit.row]["title"]),
                str(self._rows[hit.row]["document"]),
                hit.score / SCALE**2,
            )
            for rank, hit in enumerate(hits, 1)
        ]


def open_searcher(state: StateFolder) -> Searcher:
    """The index that a state keeps.

    Raises:
        StateError: it keeps none, or what embedded it is gone.
        UsageError: FAISS or the training libraries are not installed.
    """
    require_training()
    require_faiss()
    quieten()
    versions = Versions(state.path)
    digest = versions.head_digest(INDEX)
    if digest is None:
        raise StateError(
            f"{state.path} keeps no index.",
            why="An index is kept by the task index_refresh.",
            hint="Make one: cryoflux run --task index_refresh --index DIR --budget 300J.",
        )
    shelf = Shelf(versions.open(digest).folder)
    if not shelf.names:
        raise StateError(
            "The index holds no document yet.",
            why="No update of it was kept so far.",
            hint="Go on: cryoflux run --task index_refresh --index DIR --budget 300J.",
        )
    name = used_encoder(shelf.manifest, versions, {})
    if name is None:
        raise StateError(
            f"What embedded the index, {shelf.manifest.version[:16]}… of lora_delta, is not kept here.",
            why="A query has to be embedded as the documents were.",
            hint="Embed it anew: cryoflux run --task index_refresh --index DIR --budget 300J.",
        )
    return Searcher(shelf, open_encoder(name, shelf.manifest.tokens), digest)
