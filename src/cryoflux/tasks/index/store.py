"""Embeddings that need not be computed twice, in the cache of a state: one file an encoder, appended to.

A record is the name of what was embedded, its vector, and a CRC-32 of both. What a crash leaves half written
at the end is cut off; a damaged record counts as missing. Vectors are read as memory, so that only the names
of the records take any.
"""

from __future__ import annotations

__all__ = ["EmbeddingStore"]

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryoflux.files import storage_errors

_NAME, _SUM = 32, 4
_AT_ONCE = 65_536
"""records that are looked through together"""
_Vectors = np.ndarray[Any, np.dtype[np.int8]]


class EmbeddingStore:
    """The embeddings of one encoder."""

    def __init__(self, path: Path, dimensions: int) -> None:
        """Open a file, or begin one.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        self._path, self._dimensions = path, dimensions
        self._size = _NAME + dimensions + _SUM
        self._rows: dict[bytes, int] = {}
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = path.stat().st_size // self._size if path.exists() else 0
            with path.open("ab") as stream:
                stream.truncate(whole * self._size)
        self._count = whole
        for start in range(0, whole, _AT_ONCE):
            some = self._records(start, min(whole, start + _AT_ONCE))
            names = np.ascontiguousarray(some[:, :_NAME]).tobytes()
            for at in range(len(some)):
                self._rows[names[at * _NAME : (at + 1) * _NAME]] = start + at

    def __len__(self) -> int:
        return len(self._rows)

    def _records(self, start: int, end: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.memmap(
            self._path,
            np.uint8,
            "r",
            offset=start * self._size,
            shape=(end - start, self._size),
        )

    def get(self, name: bytes) -> _Vectors | None:
        """The vector of a name, (dimensions); none where it is not there, or damaged."""
        row = self._rows.get(name)
        if row is None:
            return None
        with self._path.open("rb") as stream:
            stream.seek(row * self._size)
            content = stream.read(self._size)
        body, checksum = content[:-_SUM], content[-_SUM:]
        if body[:_NAME] != name or zlib.crc32(body).to_bytes(_SUM, "big") != checksum:
            del self._rows[name]
            return None
        return np.frombuffer(body, np.int8, offset=_NAME)

    def __contains__(self, name: bytes) -> bool:
        return name in self._rows

    def put(self, names: Sequence[bytes], vectors: _Vectors) -> None:
        """Append some; what is there already stays.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        content = bytearray()
        for name, vector in zip(names, vectors, strict=True):
            if name not in self._rows:
                body = name + vector.tobytes()
                content += body + zlib.crc32(body).to_bytes(_SUM, "big")
                self._rows[name] = self._count
                self._count += 1
        with storage_errors(self._path), self._path.open("ab") as stream:
            stream.write(content)

    def sync(self) -> None:
        """Bring what was put to the disk."""
        with storage_errors(self._path), self._path.open("rb") as stream:
            os.fsync(stream.fileno())
