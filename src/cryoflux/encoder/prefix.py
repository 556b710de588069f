"""Activations below the layers that learn: computed once, kept on the disk, read as memory.

What an encoder's lower layers make of a text depends on their weights and on the text alone. So it is
kept under a digest of just these: it stays valid while upper layers are merged, attempt after attempt.
Each text's activations carry a checksum, because a crash may leave half of them. The whole cache is
bounded; what was used longest ago goes first.

A file begins with one checksum a text, 8 bytes each and 0 where there is none; activations follow.
"""

from __future__ import annotations

__all__ = ["Prefix", "PrefixCache", "prefix_key"]

import mmap
import os
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from cryoflux.cache_files import cached_files, hold, remove_unused
from cryoflux.digests import TensorEntry, sha256_hex, tensors_digest
from cryoflux.encoder.layout import Layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.tokens import Tokens
from cryoflux.files import storage_errors

_SUFFIX = ".act"
_SUM = torch.int64
_IN_USE = 1_000_000_000
"""bytes that one process keeps at hand at least, with a name or without"""
_held: WeakValueDictionary[tuple[int, int], mmap.mmap] = WeakValueDictionary()
"""device and inode → what this process has mapped: a lock is not given to the same process twice"""


def prefix_key(
    layout: Layout, entries: Iterable[TensorEntry], depth: int, tokens: Tokens, backend: Backend
) -> str:
    """Names the activations of a set after ``depth`` layers: equal names, equal activations."""
    frozen = [f"{layout.layer.format(index)}." for index in range(depth)]
    below = (e for e in entries if e.name.startswith((f"{layout.embeddings}.", *frozen)))
    return sha256_hex(f"{tensors_digest(below)}\n{depth}\n{tokens.digest}\n{backend}".encode())


class Prefix:
    """The activations of one set at one depth; some texts may still be missing."""

    def __init__(self, path: Path, tokens: Tokens, hidden: int, dtype: torch.dtype) -> None:
        """Map the file, making room for the whole set; a file that another process uses is left to it."""
        self.path = path
        self._tokens = tokens
        total, count = int(tokens.starts[-1]), len(tokens)
        self.size = count * _SUM.itemsize + total * hidden * dtype.itemsize
        """bytes"""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.passing = not path.exists()
        """whether it is new, and was so far only passed on the way to a deeper one"""
        with storage_errors(path):
            mapped, self.named = _map(path, self.size)
        self._sums = torch.frombuffer(mapped, dtype=_SUM, count=count)
        start = count * _SUM.itemsize
        self._flat = torch.frombuffer(mapped, dtype=dtype, offset=start).view(total, hidden)
        self._trusted = torch.zeros(count, dtype=torch.bool)

    def unname(self) -> None:
        """Go on without a name: the disk gets the space back when nobody here uses it any more."""
        if self.named:
            self.path.unlink(missing_ok=True)
            self.named = False

    def touch(self, *, passing: bool = False) -> None:
        """Used now, so others are evicted before it; or ``passing``, and evicted before any that was used."""
        self.passing = self.passing and passing
        if self.named and (self.passing or not passing):
            with storage_errors(self.path), suppress(FileNotFoundError):
                os.utime(self.path, (0, 0) if self.passing else None)

    def absent(self, indices: Sequence[int]) -> int:
        """How many of some texts were never computed; what is damaged counts as there."""
        return int((self._sums[torch.as_tensor(indices, dtype=torch.int64)] == 0).sum())

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Those of some texts whose activations are not there, or damaged."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return [i for i in chosen[~self._trusted[chosen]].tolist() if not self._check(i)]

    def _check(self, index: int) -> bool:
        expected = int(self._sums[index])
        if expected and _checksum(self._part(index)) == expected:
            self._trusted[index] = True
        return bool(self._trusted[index])

    def _part(self, index: int) -> torch.Tensor:
        return self._flat[int(self._tokens.starts[index]) : int(self._tokens.starts[index + 1])]

    def put(self, indices: Sequence[int], activations: torch.Tensor) -> None:
        """Keep a batch: (batch, longest, hidden)."""
        for row, index in enumerate(indices):
            part = self._part(index)
            part.copy_(activations[row, : len(part)])
            self._sums[index] = _checksum(part)
            self._trusted[index] = True

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Activations (batch, longest, hidden) and mask (batch, longest) of texts that are there."""
        positions, mask = self._tokens.rows(indices)
        return self._flat[positions], mask


class PrefixCache:
    """Activations below ``state/cache/prefix/``.

    The files, and all that lies beside their folder, stay within a bound. What does not fit, and what another
    process uses, is kept in a file without a name: this process works as fast, the next computes it again.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._open: dict[str, Prefix] = {}
        """used longest ago first"""

    def open(
        self, key: str, tokens: Tokens, hidden: int, backend: Backend, *, passing: bool = False
    ) -> Prefix:
        """The activations of a name, known or not.

        Args:
            key: the name.
            tokens: of the set.
            hidden: width of the encoder.
            backend: whose numbers they are.
            passing: whether they are only passed on the way to deeper ones: nothing makes room for them.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if key not in self._open:
            size = int(tokens.starts[-1]) * hidden * backend.dtype.itemsize + len(tokens) * _SUM.itemsize
            fits = self._make_room(size, key, evict=not passing)
            self._open[key] = Prefix(self._path(key), tokens, hidden, backend.dtype)
            if not fits:
                self._open[key].unname()
        prefix = self._open[key]
        self.touch(key, passing=passing)
        return prefix

    def touch(self, key: str, *, passing: bool = False) -> None:
        """Remember that a name was used now, or passed on the way to a deeper one."""
        if (prefix := self._open.pop(key, None)) is not None:
            self._open[key] = prefix
            prefix.touch(passing=passing)

    def has(self, key: str) -> bool:
        """Whether anything was kept under a name."""
        return key in self._open or self._path(key).is_file()

    def drop(self, key: str) -> None:
        """Forget a name."""
        if (prefix := self._open.pop(key, None)) is not None:
            prefix.unname()
        elif self._path(key).is_file():
            remove_unused(self._path(key))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _make_room(self, size: int, key: str, *, evict: bool) -> bool:
        """Let go of what was used longest ago, if ``evict``; whether so many more bytes now fit."""
        while self._open and size + sum(p.size for p in self._open.values()) > max(_IN_USE, self._most_bytes):
            self._open.pop(next(iter(self._open)))  # a file with a name stays on the disk
        with storage_errors(self._folder):
            files = [one for one in cached_files(self._folder.parent) if one.path != self._path(key)]
            total = size + sum(one.size for one in files)
            passing = {prefix.path for prefix in self._open.values() if prefix.passing}
            files.sort(key=lambda one: one.path not in passing)  # writing them has touched them
            for one in files if evict else ():
                if total <= self._most_bytes:
                    break
                if one.path.parent == self._folder and self._evict(one.path):
                    total -= one.size
        return total <= self._most_bytes

    def _evict(self, path: Path) -> bool:
        ours = self._open.get(path.stem)
        if ours is None or ours.path != path or not ours.named:
            return remove_unused(path)
        ours.unname()
        return True


def _map(path: Path, size: int) -> tuple[mmap.mmap, bool]:
    """A file as memory, and whether it has a name; the map holds the lock until nobody uses it."""
    with path.open("ab+") as stream:
        status = os.fstat(stream.fileno())
        file = (status.st_dev, status.st_ino)
        if (ours := _held.get(file)) is not None and len(ours) == size == status.st_size:
            return ours, True
        if hold(stream.fileno()):
            if status.st_size != size:
                stream.truncate(size)
            _allocate(stream.fileno(), path, size)
            _held[file] = mapped = mmap.mmap(stream.fileno(), size)
            return mapped, True
    with tempfile.TemporaryFile(dir=path.parent) as stream:
        stream.truncate(size)
        _allocate(stream.fileno(), path, size)
        return mmap.mmap(stream.fileno(), size), False


def _allocate(file: int, path: Path, size: int) -> None:
    # what is written through memory into a hole of a full disk kills the process without a word
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file, 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _checksum(part: torch.Tensor) -> int:
    return zlib.crc32(part.contiguous().view(torch.uint8).numpy()) + 1
