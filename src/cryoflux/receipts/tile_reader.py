"""Hashes and entries of a published log, read from its tiles: a proof needs only a few of the files.

What the files hold is not trusted here. A proof made of wrong hashes does not lead to the signed root, and
whoever makes one checks that before handing it out.
"""

from __future__ import annotations

__all__ = ["TileReader"]

from pathlib import Path

from cryoflux.errors import StateTamperedError
from cryoflux.files import read_regular
from cryoflux.receipts.merkle import consistency_ranges, inclusion_ranges, node_hash, root_hash
from cryoflux.receipts.tiles import MOST_TILE_BYTES, TILE_WIDTH, Tile

_HASH_BYTES = 32
_LEVEL_BITS = 8


def _unreadable(tile: Tile, why: str) -> StateTamperedError:
    return StateTamperedError(
        f"log/{tile.path} {why}.",
        why="Without it nothing can be proven about the entries that it covers.",
        hint="The next cryoflux run derives tiles again; cryoflux verify names everything that is wrong.",
    )


class TileReader:
    """The first ``size`` entries of the log in a folder."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._cache: dict[Tile, bytes] = {}

    def _read(self, level: int | None, index: int) -> tuple[Tile, bytes]:
        bits = 0 if level is None else _LEVEL_BITS * level
        tile = Tile(level, index, min(TILE_WIDTH, (self._size >> bits) - index * TILE_WIDTH))
        if tile not in self._cache:
            self._cache[tile] = self._content(tile)
        return tile, self._cache[tile]

    def _content(self, tile: Tile) -> bytes:
        # A log that has grown meanwhile has replaced a partial tile by a wider one.
        for width in range(tile.width, TILE_WIDTH + 1):
            path = self._folder / Tile(tile.level, tile.index, width).path
            try:
                return read_regular(path, MOST_TILE_BYTES)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(tile, f"cannot be read: {error.strerror}") from error
        raise _unreadable(tile, "is missing")

    def _hashes(self, level: int, start: int, count: int) -> list[bytes]:
        index, offset = divmod(start, TILE_WIDTH)
        tile, content = self._read(level, index)
        first, last = offset * _HASH_BYTES, (offset + count) * _HASH_BYTES
        if len(content) < last:
            raise _unreadable(tile, "is too short")
        return [content[at : at + _HASH_BYTES] for at in range(first, last, _HASH_BYTES)]

    def _perfect(self, height: int, index: int) -> bytes:
        level, rest = divmod(height, _LEVEL_BITS)
        return root_hash(self._hashes(level, index << rest, 1 << rest))

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        """The root over the entries ``start`` to ``end``, as it is inside a larger tree."""
        end = self._size if end is None else end
        peaks = []
        while start < end:
            height = (end - start).bit_length() - 1
            if start:
                height = min(height, (start & -start).bit_length() - 1)
            peaks.append(self._perfect(height, start >> height))
            start += 1 << height
        if not peaks:
            return root_hash(())
        *rest, found = peaks
        for peak in reversed(rest):
            found = node_hash(peak, found)
        return found

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that entry ``index`` is in the tree."""
        return [self.root(*part) for part in inclusion_ranges(index, self._size)]

    def consistency(self, old_size: int) -> list[bytes]:
        """The proof that the first ``old_size`` entries were a tree before."""
        return [self.root(*part) for part in consistency_ranges(old_size, self._size)]

    def entry(self, index: int) -> bytes:
        """The exact bytes of an entry."""
        tile, content = self._read(None, index // TILE_WIDTH)
        at = 0
        for _ in range(index % TILE_WIDTH):
            at += 2 + int.from_bytes(content[at : at + 2], "big")
        length = int.from_bytes(content[at : at + 2], "big")
        found = content[at + 2 : at + 2 + length]
        if not found or len(found) < length:
            raise _unreadable(tile, "is too short")
        return found
