"""An update of an index: what was embedded anew, what is gone; and the index that it makes of another one.

``update.json`` says which index it is for and what it does; ``added.jsonl`` and ``added.i8`` have a row a
document, in the order of their names; ``queries.i8`` has the vectors of all query sets where what embeds is
another one, and is empty elsewhere. What is made of a base and an update is the same bytes on every machine.
"""

from __future__ import annotations

__all__ = [
    "FILES",
    "UPDATE",
    "Adding",
    "UpdateSaid",
    "added_names",
    "apply_update",
    "read_update",
    "write_update",
]

import heapq
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from msgspec import Struct, ValidationError, convert, to_builtins

from cryoflux.digests import file_digest
from cryoflux.errors import ModelError
from cryoflux.files import MOST_FILE_BYTES, open_regular, read_regular
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.shelf import (
    DOCUMENTS,
    QUERIES,
    VECTORS,
    Manifest,
    Shelf,
    Vectors,
    write_manifest,
)

UPDATE, ADDED, ADDED_VECTORS = "update.json", "added.jsonl", "added.i8"
FILES = (UPDATE, ADDED, ADDED_VECTORS, QUERIES)
_MOST_BYTES = 200_000_000


class UpdateSaid(Struct, frozen=True):
    """What an update says of itself."""

    base: str
    """digest of the index that it is for"""
    manifest: Manifest
    """of the index that it makes"""
    fresh: bool
    """whether nothing of the base stays: what embeds is another one"""
    removed: list[str]
    """documents that are gone"""
    files: dict[str, str] = {}
    """the other files of the update → their SHA-256"""


class Adding:
    """Writes the documents of an update as they are embedded; those of a later call have higher names."""

    def __init__(self, into: Path) -> None:
        self._lines = (into / ADDED).open("wb")
        self._vectors = (into / ADDED_VECTORS).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._vectors.close()

    def put(self, rows: Sequence[dict[str, str]], vectors: Sequence[bytes]) -> None:
        """Write some documents with their vectors, each as its bytes."""
        for at in sorted(range(len(rows)), key=lambda at: rows[at]["document"]):
            self._lines.write(_line(rows[at]))
            self._vectors.write(vectors[at])


def write_update(into: Path, said: UpdateSaid, queries: Vectors | None) -> None:
    """Complete an update whose documents are written.

    Args:
        into: the folder that they were written into.
        said: what it does.
        queries: the vectors of all query sets, where they are others than the base's.
    """
    (into / QUERIES).write_bytes(queries.tobytes() if queries is not None else b"")
    files = {name: file_digest(into / name) for name in FILES[1:]}
    document = {**to_builtins(said), "files": files}
    content = json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"
    (into / UPDATE).write_text(content, "utf-8")


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def read_update(capsule: Path) -> UpdateSaid:
    """What the update in a folder says of itself.

    Raises:
        ModelError: it is none, or its files are others than it says.
    """
    try:
        with open_regular(capsule / UPDATE) as stream:
            found = convert(json.loads(stream.read(_MOST_BYTES)), UpdateSaid)
        if found.files != {name: file_digest(capsule / name) for name in FILES[1:]}:
            raise ValueError("its files are not those that it names")
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise ModelError(
            f"{capsule} holds no update of an index: {error}.",
            why="What was judged has to follow from what is kept.",
            hint="`cryoflux verify` names what is damaged.",
        ) from error
    return found


def apply_update(base: Shelf, capsule: Path, into: Path) -> None:
    """Write the index that an update makes of a base; a few rows are in memory at a time.

    Raises:
        ModelError: the update is none, or not one of this base.
    """
    said = read_update(capsule)
    manifest = said.manifest
    gone = Names.of(map(bytes.fromhex, said.removed))
    count = (capsule / ADDED_VECTORS).stat().st_size // max(1, manifest.dimensions)
    vectors: Vectors = np.zeros((0, manifest.dimensions), np.int8)
    if count:
        vectors = np.memmap(capsule / ADDED_VECTORS, np.int8, "r", shape=(count, manifest.dimensions))
    with (into / DOCUMENTS).open("wb") as lines, (into / VECTORS).open("wb") as stream:
        here = iter(()) if said.fresh else _staying(base, gone)
        there = ((name, line, vectors[at]) for at, (name, line) in enumerate(_named(capsule / ADDED)))
        _merge(here, there, lines, stream)
    source = capsule if (capsule / QUERIES).stat().st_size else base.folder
    (into / QUERIES).write_bytes(read_regular(source / QUERIES, MOST_FILE_BYTES))
    write_manifest(into, manifest)
    _ = Shelf(into).names  # raises, where the update was made for another base


def added_names(capsule: Path) -> Iterator[bytes]:
    """Names of the documents that an update adds.

    Raises:
        ValueError, LookupError, OSError: they cannot be read.
    """
    return (name for name, _ in _named(capsule / ADDED))


def _named(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with open_regular(path) as stream:
        for line in stream:
            yield bytes.fromhex(json.loads(line)["document"]), line


def _staying(base: Shelf, gone: Names) -> Iterator[tuple[bytes, bytes, Vectors]]:
    stays = gone.places(base.names.digests) < 0
    for row, (name, line) in enumerate(_named(base.folder / DOCUMENTS)):
        if stays[row]:
            yield name, line, base.vectors[row]


def _merge(
    here: Iterator[tuple[bytes, bytes, Vectors]],
    there: Iterator[tuple[bytes, bytes, Vectors]],
    lines: BinaryIO,
    vectors: BinaryIO,
) -> None:
    last = b""
    for name, line, vector in heapq.merge(here, there, key=lambda item: item[0]):
        if name != last:
            lines.write(line)
            vectors.write(vector.tobytes())
        last = name
