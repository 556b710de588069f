"""Activations below the layers that learn: computed once, kept on the disk, read as memory.

What an encoder's lower layers make of a text depends on their weights and on the text alone. So it is
kept under a digest of just these: it stays valid while upper layers are merged, attempt after attempt.
Each text's activations carry a checksum, because a crash may leave half of them. The whole cache is
bounded; what was used longest ago goes first.
"""

from __future__ import annotations

__all__ = ["Prefix", "PrefixCache", "prefix_key"]

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from cryoflux.digests import TensorEntry, sha256_hex, tensors_digest
from cryoflux.encoder.layout import Layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.tokens import Tokens
from cryoflux.files import storage_errors


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
        """Map the file, making room for the whole set."""
        self.path = path
        self._tokens = tokens
        total = int(tokens.starts[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        with storage_errors(path):
            self._flat = _mapped(path, total * hidden, dtype).view(total, hidden)
            self._sums = _mapped(path.with_suffix(".crc"), len(tokens), torch.int64)
        self._trusted = torch.zeros(len(tokens), dtype=torch.bool)

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
    """Activations below ``state/cache/prefix/``."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._open: dict[str, Prefix] = {}

    def open(self, key: str, tokens: Tokens, hidden: int, backend: Backend) -> Prefix:
        """The activations of a name, known or not.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if key not in self._open:
            size = int(tokens.starts[-1]) * hidden * backend.dtype.itemsize
            self._evict(size, spare=key)
            self._open[key] = Prefix(self._folder / f"{key}.bin", tokens, hidden, backend.dtype)
        with storage_errors(self._open[key].path):
            self._open[key].path.touch()  # used now, so others are evicted before it
        return self._open[key]

    def has(self, key: str) -> bool:
        """Whether anything was kept under a name."""
        return (self._folder / f"{key}.bin").is_file()

    def drop(self, key: str) -> None:
        """Forget a name."""
        self._open.pop(key, None)
        for suffix in (".bin", ".crc"):
            (self._folder / f"{key}{suffix}").unlink(missing_ok=True)

    def _evict(self, needed: int, spare: str) -> None:
        files = sorted(self._folder.glob("*.bin"), key=lambda path: path.stat().st_mtime_ns)
        total = needed + sum(path.stat().st_size for path in files if path.stem != spare)
        for path in files:
            if total <= self._most_bytes:
                break
            if path.stem != spare:
                total -= path.stat().st_size
                self.drop(path.stem)


def _mapped(path: Path, count: int, dtype: torch.dtype) -> torch.Tensor:
    size = count * dtype.itemsize
    with path.open("ab") as stream:
        if stream.tell() != size:
            stream.truncate(size)
        if hasattr(os, "posix_fallocate"):
            _allocate(stream.fileno(), path, size)
    return torch.from_file(str(path), shared=True, size=count, dtype=dtype)


def _allocate(file: int, path: Path, size: int) -> None:
    # what is written through memory into a hole of a full disk kills the process without a word
    try:
        os.posix_fallocate(file, 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _checksum(part: torch.Tensor) -> int:
    return zlib.crc32(part.contiguous().view(torch.uint8).numpy()) + 1
