"""Activations of texts in one file, read as memory; it takes on the disk what was put into it.

A file begins with one checksum a text, 8 bytes each and 0 where there is none; activations follow, of all
texts in their order. What was never put is a hole.
"""

from __future__ import annotations

__all__ = ["Rows"]

import mmap
import os
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary, finalize

import torch

from cryoflux.cache_files import hold
from cryoflux.encoder.tokens import Tokens
from cryoflux.files import storage_errors

_PAGE = 4096
"""bytes by which a disk gives room, on nearly all of them"""
_SUM = torch.int64
_BLOCK = 512
"""bytes in which the size on a disk is counted"""


class _Mapped:
    """An open file as memory."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = os.dup(descriptor)
        finalize(self, os.close, self.descriptor)
        self.memory = mmap.mmap(descriptor, size)


_held: WeakValueDictionary[tuple[int, int], _Mapped] = WeakValueDictionary()
"""device and inode → what this process has mapped: a lock is not given to the same process twice"""


class Rows:
    """The activations of the texts of a set."""

    def __init__(self, mapped: _Mapped, path: Path, tokens: Tokens, hidden: int, dtype: torch.dtype) -> None:
        self._mapped, self._path, self._tokens = mapped, path, tokens
        count, self._start = len(tokens), len(tokens) * _SUM.itemsize
        self._row = hidden * dtype.itemsize
        self.sums = torch.frombuffer(mapped.memory, dtype=_SUM, count=count)
        flat = torch.frombuffer(mapped.memory, dtype=dtype, offset=self._start)
        self.flat = flat.view(int(tokens.starts[-1]), hidden)
        """(tokens of all texts, hidden)"""
        self._trusted = torch.zeros(count, dtype=torch.bool)

    @classmethod
    def in_file(cls, path: Path, tokens: Tokens, hidden: int, dtype: torch.dtype) -> Self | None:
        """Those of a file with a name; none where another process uses it."""
        size, table = _sizes(tokens, hidden, dtype)
        with path.open("ab+") as stream:
            status = os.fstat(stream.fileno())
            file = (status.st_dev, status.st_ino)
            mapped = _held.get(file)
            if mapped is None or not len(mapped.memory) == size == status.st_size:
                if not hold(stream.fileno()):
                    return None
                if status.st_size != size:
                    stream.truncate(size)
                _allocate(stream.fileno(), path, 0, table)
                _held[file] = mapped = _Mapped(stream.fileno(), size)
        return cls(mapped, path, tokens, hidden, dtype)

    @classmethod
    def without_name(cls, folder: Path, tokens: Tokens, hidden: int, dtype: torch.dtype) -> Self:
        """Those of a file that is gone with this process."""
        size, table = _sizes(tokens, hidden, dtype)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.truncate(size)
            _allocate(stream.fileno(), None, 0, table)
            return cls(_Mapped(stream.fileno(), size), folder, tokens, hidden, dtype)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        status = os.fstat(self._mapped.descriptor)
        return getattr(status, "st_blocks", -(-status.st_size // _BLOCK)) * _BLOCK

    def most_for(self, indices: Sequence[int]) -> int:
        """Bytes that putting a batch may take on the disk at most."""
        chosen = torch.as_tensor(indices, dtype=torch.int64).sort().values
        begins, ends = (self._start + self._tokens.starts[at] * self._row for at in (chosen, chosen + 1))
        first, last = begins // _PAGE, (ends - 1).clamp(min=0) // _PAGE
        shared = int((first[1:] <= last[:-1]).sum())
        pages = int((last - first + 1).sum()) - shared
        return min(pages * _PAGE, max(0, len(self._mapped.memory) + _PAGE - self.size))

    @property
    def empty(self) -> bool:
        """Whether nothing was put."""
        return not self.sums.any()

    def has(self, indices: Sequence[int]) -> torch.Tensor:
        """Of which texts activations are there and were checked, one truth value each."""
        return self._trusted[torch.as_tensor(indices, dtype=torch.int64)]

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Those of some texts whose activations are not there, or damaged."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return [i for i in chosen[~self._trusted[chosen]].tolist() if not self._check(i)]

    def _check(self, index: int) -> bool:
        expected = int(self.sums[index])
        if expected and _checksum(self._part(index)) == expected:
            self._trusted[index] = True
        return bool(self._trusted[index])

    def _part(self, index: int) -> torch.Tensor:
        return self.flat[int(self._tokens.starts[index]) : int(self._tokens.starts[index + 1])]

    def put(self, indices: Sequence[int], activations: torch.Tensor) -> None:
        """Keep a batch: (batch, longest, hidden).

        Raises:
            StorageError: the disk is full.
        """
        for row, index in enumerate(indices):
            part, start = self._part(index), int(self._tokens.starts[index])
            if len(part):
                with storage_errors(self._path):
                    _allocate(
                        self._mapped.descriptor,
                        None,
                        self._start + start * self._row,
                        len(part) * self._row,
                    )
            part.copy_(activations[row, : len(part)])
            self.sums[index] = _checksum(part)
            self._trusted[index] = True


def _sizes(tokens: Tokens, hidden: int, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of a whole file, and of its checksums."""
    table = len(tokens) * _SUM.itemsize
    return table + int(tokens.starts[-1]) * hidden * dtype.itemsize, table


def _allocate(file: int, path: Path | None, start: int, size: int) -> None:
    # what is written through memory into a hole of a full disk kills the process without a word
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file, start, size)
    except OSError:
        if path is not None:
            path.unlink(missing_ok=True)
        raise


def _checksum(part: torch.Tensor) -> int:
    return zlib.crc32(part.contiguous().view(torch.uint8).numpy()) + 1
