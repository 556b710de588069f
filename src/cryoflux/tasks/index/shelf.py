"""A version of an index as it lies on the disk, and the ranks that follow from it.

``index.json`` says what it is; ``documents.jsonl`` and ``vectors.i8`` have a row a document, in the order of
the documents' names; ``queries.i8`` has the vectors of all query sets. Everything is data: integers, and
names of texts. Nothing is run, and no index file of a library is read.

A rank is the number of documents that are found before the one that is asked for, plus one: by a larger
score, or by the same and a lower name. It is exact, so whoever has the files finds the same. A query whose
document is gone keeps the rank that it had when the document was last there, in all later versions: what the
owner takes away is neither a merit nor a fault of an update.
"""

from __future__ import annotations

__all__ = [
    "FIRST",
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "Shelf",
    "exact_ranks",
    "loss_of",
    "read_manifest",
    "save_empty",
    "scores_by_block",
    "with_pinned",
    "write_manifest",
]

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, ValidationError, convert

from cryoflux.errors import ModelError
from cryoflux.files import MOST_DOCUMENT_BYTES, open_regular, read_regular
from cryoflux.quantities import NANO
from cryoflux.tasks.index.names import Names, as_digests

FORMAT = "index/v1"
MANIFEST, DOCUMENTS, VECTORS = "index.json", "documents.jsonl", "vectors.i8"
QUERIES = "queries.i8"
FIRST = 10
"""a document that is found later than so is not found: MRR@10, recall@10"""
_BLOCK = 4096
"""documents whose scores are in memory together"""
_LONGEST_LINE = 100_000

Vectors = np.ndarray[Any, np.dtype[np.int8]]
BlockScores = np.ndarray[Any, np.dtype[np.float32]]
"""whole numbers, below 2²⁴"""


class Manifest(Struct, frozen=True):
    """What an index says of itself."""

    encoder: str = ""
    """what embedded it (`encoding.encoder_digest`); empty before anything was"""
    model: str = ""
    """name of that model, for people"""
    version: str = ""
    """digest of the version of ``lora_delta`` that it is of; empty where it is none"""
    tokens: int = 0
    """of a text that were read"""
    dimensions: int = 0
    documents: int = 0
    pinned: dict[str, int] = {}
    """``set/place`` of a query whose document is gone → the rank that it keeps; 0 where it was never found"""
    queries: dict[str, int] = {}
    """set → its queries, in the order of their vectors"""
    format: str = FORMAT


def read_manifest(folder: Path) -> Manifest:
    """What the index in a folder says of itself.

    Raises:
        ModelError: it is none that is known here.
    """
    try:
        found = convert(json.loads(read_regular(folder / MANIFEST, MOST_DOCUMENT_BYTES)), Manifest)
        if found.format != FORMAT:
            raise ValueError(f"its format {found.format!r} is not known here")
        if min(found.documents, found.dimensions, *found.queries.values(), *found.pinned.values()) < 0:
            raise ValueError("it counts less than nothing")
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise ModelError(
            f"{folder} holds no index: {error}.",
            why="An index is read as it was written, or not at all.",
            hint="`cryoflux verify` names what is damaged.",
        ) from error
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what an index says of itself."""
    said = {name: getattr(manifest, name) for name in sorted(manifest.__struct_fields__)}
    (folder / MANIFEST).write_text(json.dumps(said, sort_keys=True, separators=(",", ":")) + "\n", "utf-8")


def save_empty(folder: Path) -> None:
    """Version 0: an index without documents."""
    for name in (DOCUMENTS, VECTORS, QUERIES):
        (folder / name).write_bytes(b"")
    write_manifest(folder, Manifest())


class Shelf:
    """One version, read as memory."""

    def __init__(self, folder: Path) -> None:
        """Open a version's folder.

        Raises:
            ModelError: its files do not belong together.
        """
        self.folder, self.manifest = folder, read_manifest(folder)
        known = self.manifest
        self.vectors = self._matrix(VECTORS, known.documents)
        self._queries = self._matrix(QUERIES, sum(known.queries.values()))

    def _matrix(self, name: str, rows: int) -> Vectors:
        path, wide = self.folder / name, self.manifest.dimensions
        with open_regular(path) as stream:
            size = stream.seek(0, 2)
        if size != rows * wide:
            raise ModelError(
                f"{path} holds {size} bytes, not {rows} rows of {wide}.",
                why="Its vectors would be those of other documents.",
                hint="`cryoflux verify` names what is damaged.",
            )
        if not size:
            return np.zeros((0, wide), np.int8)
        return np.memmap(path, np.int8, "r", shape=(rows, wide))

    def rows(self) -> Iterator[dict[str, Any]]:
        """What is known of each document, in the order of their vectors."""
        with open_regular(self.folder / DOCUMENTS) as stream:
            while line := stream.readline(_LONGEST_LINE):
                yield json.loads(line)

    def rows_at(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """What is known of some documents, in the order of the places that are asked for."""
        found: dict[int, dict[str, Any]] = {}
        wanted, last = set(places), max(places, default=-1)
        with open_regular(self.folder / DOCUMENTS) as stream:
            for at in range(last + 1):
                line = stream.readline(_LONGEST_LINE)
                if at in wanted:
                    found[at] = json.loads(line)
        return [found[at] for at in places]

    @cached_property
    def names(self) -> Names:
        """The documents' names, in order.

        Raises:
            ModelError: they are in no order, or others than there are vectors.
        """
        content = bytearray()
        for row in self.rows():
            content += bytes.fromhex(row["document"])
        found = as_digests(content)
        if len(found) != self.manifest.documents or not bool((found[:-1] < found[1:]).all()):
            raise ModelError(
                f"{self.folder} names {len(found)} documents, not {self.manifest.documents} in their order.",
                why="A vector would be taken for that of another document.",
                hint="`cryoflux verify` names what is damaged.",
            )
        return Names(found)

    def queries(self, part: str) -> Vectors:
        """The vectors of a query set."""
        start = 0
        for name, count in self.manifest.queries.items():
            if name == part:
                return self._queries[start : start + count]
            start += count
        return self._queries[:0]


def exact_ranks(shelf: Shelf, queries: Vectors, wanted: Sequence[bytes]) -> list[int]:
    """The rank of each query's document among all; 0 where it is not there.

    Args:
        shelf: the index.
        queries: (queries, dimensions).
        wanted: the documents' names.
    """
    places = shelf.names.places(as_digests(b"".join(wanted)))
    here = np.flatnonzero(places >= 0)
    ranks = np.zeros(len(wanted), np.int64)
    if not len(here):
        return ranks.tolist()
    own, asked = places[here][:, None], queries[here].astype(np.float32)
    score = (asked * shelf.vectors[places[here]].astype(np.float32)).sum(1)[:, None]
    before = np.zeros(len(here), np.int64)
    for start, scores in scores_by_block(shelf, asked):
        before += np.count_nonzero(scores > score, axis=1)
        if (same := scores == score).any():
            rows = np.arange(start, start + scores.shape[1])
            before += np.count_nonzero(same & (rows < own), axis=1)
    ranks[here] = before + 1
    return ranks.tolist()


def scores_by_block(shelf: Shelf, asked: BlockScores) -> Iterator[tuple[int, BlockScores]]:
    """The scores of some documents at a time, (queries, documents), with the row of the first of them."""
    for start in range(0, len(shelf.vectors), _BLOCK):
        yield start, asked @ shelf.vectors[start : start + _BLOCK].astype(np.float32).T


def with_pinned(shelf: Shelf, part: str, indices: Sequence[int], ranks: Sequence[int]) -> list[int]:
    """Ranks of some queries of a set, those of documents that are gone as they were."""
    pinned = shelf.manifest.pinned
    return [pinned.get(f"{part}/{index}", rank) for index, rank in zip(indices, ranks, strict=True)]


def loss_of(rank: int) -> int:
    """1 − 1/rank in billionths; 1 where the document is not among the first `FIRST`."""
    return NANO - NANO // rank if 0 < rank <= FIRST else NANO
