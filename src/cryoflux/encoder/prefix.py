"""Activations below the layers that learn: computed once, kept on the disk, read as memory.

What an encoder's lower layers make of a text depends on their weights and on the text alone. So it is
kept under a digest of just these: it stays valid while upper layers are merged, attempt after attempt.
Each text's activations carry a checksum, because a crash may leave half of them. A file has room for the
whole set and takes on the disk what was computed of it. All files together are bounded; what was used
longest ago goes first, those of holdouts last.
"""

from __future__ import annotations

__all__ = ["Prefix", "PrefixCache", "prefix_key"]

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

import torch

from cryoflux.cache_files import cached_files, remove_unused
from cryoflux.digests import TensorEntry, sha256_hex, tensors_digest
from cryoflux.encoder.layout import Layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.rows import Rows
from cryoflux.encoder.tokens import Tokens
from cryoflux.files import storage_errors

_SUFFIX, _LASTING_SUFFIX = ".act", ".held.act"
_IN_USE = 1_000_000_000
"""bytes without a name that one process keeps at hand at most, or as many as the bound where that is more"""


def prefix_key(
    layout: Layout, entries: Iterable[TensorEntry], depth: int, tokens: Tokens, backend: Backend
) -> str:
    """Names the activations of a set after ``depth`` layers: equal names, equal activations."""
    frozen = [f"{layout.layer.format(index)}." for index in range(depth)]
    below = (e for e in entries if e.name.startswith((f"{layout.embeddings}.", *frozen)))
    return sha256_hex(f"{tensors_digest(below)}\n{depth}\n{tokens.digest}\n{backend}".encode())


class _Room:
    """What the files of one cache may take."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._left = 0
        """bytes that files with a name may still grow by before they are counted again"""
        self.users: WeakSet[Prefix] = WeakSet()
        """all that somebody in this process still uses"""

    def named(self, prefix: Prefix, size: int) -> bool:
        """Whether a file may grow by so many bytes; room is made for what is used, and not only passed."""
        if self._left < size:
            with storage_errors(self._folder):
                self._left = self._counted(prefix, size)
        if self._left < size:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes were not needed after all."""
        self._left += size

    def unnamed(self, prefix: Prefix, size: int) -> None:
        """Make room for what has no name: that of others goes first."""
        most = max(_IN_USE, self._most_bytes)
        for other in sorted(self.users, key=lambda one: one is prefix):
            if size + sum(one.unnamed_bytes for one in self.users) > most:
                other.spill()

    def _counted(self, prefix: Prefix, size: int) -> int:
        """Bytes that are left of the bound, after what was used longest ago was let go of."""
        files = cached_files(self._folder.parent)
        left = self._most_bytes - sum(one.size for one in files)
        held = prefix.path.name.endswith(_LASTING_SUFFIX)
        passing = {one.path for one in self.users if one.passing}
        others = [one for one in files if one.path.parent == self._folder and one.path != prefix.path]
        # writing them has touched them
        others.sort(key=lambda one: (one.path.name.endswith(_LASTING_SUFFIX), one.path not in passing))
        for one in others if not prefix.passing else ():
            if left >= size:
                break
            if (held or not one.path.name.endswith(_LASTING_SUFFIX)) and self._evict(one.path):
                left += one.size
        return left

    def _evict(self, path: Path) -> bool:
        ours = [one for one in self.users if one.path == path and one.named]
        for one in ours:
            one.unname()
        return bool(ours) or remove_unused(path)


class Prefix:
    """The activations of one set at one depth; some texts may still be missing."""

    def __init__(
        self,
        path: Path,
        tokens: Tokens,
        hidden: int,
        dtype: torch.dtype,
        room: _Room,
    ) -> None:
        """Map the file; one that another process uses is left to it.

        Args:
            path: of the file.
            tokens: of the set.
            hidden: width of the encoder.
            dtype: of the activations.
            room: asked for room before anything is written.
        """
        self.path = path
        self._tokens, self._shape, self._room = tokens, (hidden, dtype), room
        self.passing = not path.exists()
        """whether it is new, and was so far only passed on the way to a deeper one"""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._kept = Rows.in_file(path, tokens, hidden, dtype)
        """with a name; none where another process uses it, or it had to go"""
        self._spilt: Rows | None = None
        """without a name: what found no room beside the others"""
        room.users.add(self)

    @property
    def named(self) -> bool:
        """Whether there is a file that the next process finds."""
        return self._kept is not None

    @property
    def unnamed_bytes(self) -> int:
        """What it takes on the disk without a name."""
        return self._spilt.size if self._spilt is not None else 0

    def unname(self) -> None:
        """Go on without the file: the disk gets its space back when nobody here uses it any more."""
        if self._kept is not None:
            self.path.unlink(missing_ok=True)
            self._spilt = self._spilt or self._kept
            self._kept = None

    def spill(self) -> None:
        """Forget what has no name."""
        self._spilt = None

    def touch(self, *, passing: bool = False) -> None:
        """Used now, so others are evicted before it; or ``passing``, and evicted before any that was used."""
        self.passing = self.passing and passing
        if self.named and (self.passing or not passing):
            with storage_errors(self.path), suppress(FileNotFoundError):
                os.utime(self.path, (0, 0) if self.passing else None)

    def absent(self, indices: Sequence[int]) -> int:
        """How many of some texts were never computed; what is damaged counts as there."""
        left = torch.as_tensor(indices, dtype=torch.int64)
        for rows in self._all():
            left = left[rows.sums[left] == 0]
        return len(left)

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Those of some texts whose activations are not there, or damaged."""
        left = list(indices)
        for rows in self._all():
            left = rows.missing(left)
        return left

    def _all(self) -> list[Rows]:
        return [rows for rows in (self._kept, self._spilt) if rows is not None]

    def put(self, indices: Sequence[int], activations: torch.Tensor) -> None:
        """Keep a batch: (batch, longest, hidden)."""
        if self._kept is not None:
            before, most = self._kept.size, self._kept.most_for(indices)
            if self._room.named(self, most):
                self._kept.put(indices, activations)
                self._room.give_back(most - (self._kept.size - before))
                return
            if self._kept.empty:
                self.unname()
        self._room.unnamed(self, self._spilt.most_for(indices) if self._spilt is not None else 0)
        if self._spilt is None:
            with storage_errors(self.path):
                self._spilt = Rows.without_name(self.path.parent, self._tokens, *self._shape)
        self._spilt.put(indices, activations)

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Activations (batch, longest, hidden) and mask (batch, longest) of texts that are there."""
        positions, mask = self._tokens.rows(indices)
        first, *others = self._all()
        found = first.flat[positions]
        for rows in others:
            own = rows.has(indices) & ~first.has(indices)
            if own.any():
                found[own] = rows.flat[positions[own]]
        return found, mask


class PrefixCache:
    """Activations below ``state/cache/prefix/``.

    The files, and all that lies beside their folder, stay within a bound. What finds no room there, and what
    another process uses, is kept in files without a name, within another bound: this process works as fast as
    long as they hold what it needs, the next computes it again.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._room = _Room(folder, most_bytes)
        self._open: dict[str, Prefix] = {}
        """used longest ago first"""
        self._lasting: set[str] = set()

    def open(
        self,
        key: str,
        tokens: Tokens,
        hidden: int,
        backend: Backend,
        *,
        passing: bool = False,
        lasting: bool = False,
    ) -> Prefix:
        """The activations of a name, known or not.

        Args:
            key: the name.
            tokens: of the set.
            hidden: width of the encoder.
            backend: whose numbers they are.
            passing: whether they are only passed on the way to deeper ones: nothing makes room for them.
            lasting: whether they are of a holdout, and go after all others.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if lasting:
            self._lasting.add(key)
        if key not in self._open:
            with storage_errors(self._path(key)):
                self._open[key] = Prefix(self._path(key), tokens, hidden, backend.dtype, self._room)
        self.touch(key, passing=passing)
        return self._open[key]

    def touch(self, key: str, *, passing: bool = False) -> None:
        """Remember that a name was used now, or passed on the way to a deeper one."""
        if (prefix := self._open.pop(key, None)) is not None:
            self._open[key] = prefix
            prefix.touch(passing=passing)

    def has(self, key: str) -> bool:
        """Whether anything was kept under a name."""
        return key in self._open or any(path.is_file() for path in self._paths(key))

    def drop(self, key: str) -> None:
        """Forget a name."""
        if (prefix := self._open.pop(key, None)) is not None:
            prefix.unname()
            prefix.spill()
        else:
            for path in self._paths(key):
                remove_unused(path)

    def _paths(self, key: str) -> list[Path]:
        return [self._folder / f"{key}{suffix}" for suffix in (_SUFFIX, _LASTING_SUFFIX)]

    def _path(self, key: str) -> Path:
        return self._paths(key)[key in self._lasting]
