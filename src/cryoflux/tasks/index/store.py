"""Embeddings that need not be computed twice, in the cache of a state: one file an encoder, appended to.

A record is the name of what was embedded, its vector, and a CRC-32 of both. What a crash leaves half written
at the end is cut off; a damaged record counts as missing. Only the names of the records are in memory, in
their order: 40 bytes each.
"""

from __future__ import annotations

__all__ = ["EmbeddingStore"]

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cryoflux.files import storage_errors
from cryoflux.tasks.index.names import NAME_BYTES, Names, Places, as_digests
from cryoflux.tasks.index.shelf import Vectors

_SUM = 4
_AT_ONCE = 65_536
"""records that are looked through together"""
_MOST_RECENT = 4096
"""names that wait to be put in order"""


class EmbeddingStore:
    """The embeddings of one encoder."""

    def __init__(self, path: Path, dimensions: int) -> None:
        """Open a file, or begin one.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        self._path, self._dimensions = path, dimensions
        self._size = NAME_BYTES + dimensions + _SUM
        self._names, self._at = Names.of(), np.zeros(0, np.int64)
        self._recent: dict[bytes, int] = {}
        """name → its record, until they are many"""
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._count = path.stat().st_size // self._size if path.exists() else 0
            with path.open("ab") as stream:
                stream.truncate(self._count * self._size)
        self._take(b"".join(self._stored_names()), np.arange(self._count))

    def __len__(self) -> int:
        return int(np.count_nonzero(self._at >= 0)) + len(self._recent)

    def _stored_names(self) -> Iterator[bytes]:
        if self._count:
            records = np.memmap(self._path, np.uint8, "r", shape=(self._count, self._size))
            for start in range(0, self._count, _AT_ONCE):
                yield np.ascontiguousarray(records[start : start + _AT_ONCE, :NAME_BYTES]).tobytes()

    def _take(self, names: bytes, records: Places) -> None:
        """Put some names in order with the others; of two records of a name the later one counts."""
        found = np.concatenate([self._names.digests, as_digests(names)])
        at = np.concatenate([self._at, records])
        order = np.argsort(found, kind="stable")
        found, at = found[order], at[order]
        last = np.append(found[1:] != found[:-1], True) if len(found) else np.zeros(0, bool)
        self._names, self._at = Names(found[last]), at[last]

    def _record(self, name: bytes) -> int:
        if (record := self._recent.get(name)) is not None:
            return record
        place = self._names.place(name)
        return int(self._at[place]) if place >= 0 else -1

    def get(self, name: bytes) -> Vectors | None:
        """The vector of a name, (dimensions); none where it is not there, or damaged."""
        if (record := self._record(name)) < 0:
            return None
        with self._path.open("rb") as stream:
            stream.seek(record * self._size)
            content = stream.read(self._size)
        body, checksum = content[:-_SUM], content[-_SUM:]
        if body[:NAME_BYTES] != name or zlib.crc32(body).to_bytes(_SUM, "big") != checksum:
            self._forget(name)
            return None
        return np.frombuffer(body, np.int8, offset=NAME_BYTES)

    def _forget(self, name: bytes) -> None:
        if self._recent.pop(name, None) is None:
            self._at[self._names.place(name)] = -1

    def __contains__(self, name: bytes) -> bool:
        return self._record(name) >= 0

    def put(self, names: Sequence[bytes], vectors: Vectors) -> None:
        """Append some; what is there already stays.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        content = bytearray()
        for name, vector in zip(names, vectors, strict=True):
            if name not in self:
                body = name + vector.tobytes()
                content += body + zlib.crc32(body).to_bytes(_SUM, "big")
                self._recent[name] = self._count
                self._count += 1
        with storage_errors(self._path), self._path.open("ab") as stream:
            stream.write(content)
        if len(self._recent) > _MOST_RECENT:
            self._take(b"".join(self._recent), np.fromiter(self._recent.values(), np.int64))
            self._recent.clear()

    def sync(self) -> None:
        """Bring what was put to the disk."""
        with storage_errors(self._path), self._path.open("rb") as stream:
            os.fsync(stream.fileno())
