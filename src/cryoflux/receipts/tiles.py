"""The log as static files that any web server or memory stick can carry: C2SP tlog-tiles.

``tile/<level>/<index>`` holds 256 hashes of one level of the tree, ``tile/entries/<index>`` the 256 entries
themselves (each after its length, two bytes, big-endian); the last of a level is partial, under
``<index>.p/<width>``. All of it follows from the entries, so a file that is missing or different is
written again, and one that does not follow from the entries does not belong here.
"""

from __future__ import annotations

__all__ = [
    "MOST_TILE_BYTES",
    "TILE_WIDTH",
    "Edge",
    "Tile",
    "TileTree",
    "bundle",
    "is_bundle",
    "parse_tile_path",
    "publish_tiles",
    "remove_superseded",
    "tiles_of",
]

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.files import storage_errors, write_atomic
from cryoflux.receipts.merkle import CompactRange, fold_peaks, leaf_hash, root_hash

TILE_WIDTH = 256
MOST_TILE_BYTES = TILE_WIDTH * 65_537
"""that a tile or a bundle of entries has: each at most 65,535 bytes, and two of its length"""
ENTRIES = "entries"
_MAX_ITEM_BYTES = 0xFFFF
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(x[0-9]{3}/)*[0-9]{3})(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


def _encode_index(index: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))


@dataclass(frozen=True, slots=True)
class Tile:
    """One file of the log."""

    level: int | None
    """of the tree; none for a bundle of entries"""
    index: int
    width: int
    """hashes or entries in it, 1 to 256"""

    @property
    def path(self) -> str:
        """Where it lies under the log's folder."""
        level = ENTRIES if self.level is None else self.level
        partial = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{level}/{_encode_index(self.index)}{partial}"


def parse_tile_path(path: str) -> Tile | None:
    """The tile that lies at a path, or none where no tile has that path."""
    if (found := _PATH.fullmatch(path)) is None:
        return None
    level = None if found["level"] == ENTRIES else int(found["level"])
    index = int(re.sub("[x/]", "", found["index"]))
    tile = Tile(level, index, int(found["width"] or TILE_WIDTH))
    return tile if tile.path == path else None


class TileTree:
    """The entries of a log and what its tiles hold."""

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self.entries: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]
        self._range = CompactRange()
        for entry in entries:
            self.append(entry)

    @property
    def size(self) -> int:
        """Entries so far."""
        return len(self.entries)

    @property
    def leaves(self) -> list[bytes]:
        """Their leaf hashes."""
        return self._levels[0]

    def root(self, size: int | None = None) -> bytes:
        """The root over all entries, or over the first ``size``."""
        return self._range.root() if size in (None, self.size) else root_hash(self.leaves[:size])

    def append(self, entry: bytes) -> None:
        """Add one entry."""
        leaf = leaf_hash(entry)
        self.entries.append(entry)
        self._range.append(leaf)
        carry, level = leaf, 0
        while True:
            row = self._levels[level]
            row.append(carry)
            if len(row) % TILE_WIDTH:
                return
            carry, level = root_hash(row[-TILE_WIDTH:]), level + 1
            if level == len(self._levels):
                self._levels.append([])

    def content(self, tile: Tile) -> bytes | None:
        """What a tile holds, or none where this log has no such tile."""
        row = self.entries if tile.level is None else self._row(tile.level)
        part = row[tile.index * TILE_WIDTH : tile.index * TILE_WIDTH + tile.width]
        if len(part) < tile.width or any(len(item) > _MAX_ITEM_BYTES for item in part):
            return None
        if tile.level is None:
            return bundle(tile.index, part)[1]
        return b"".join(part)

    def contents(self, *, start: int = 0) -> Iterator[tuple[Tile, bytes]]:
        """The tiles that the first ``start`` entries do not have, with what they hold."""
        for tile in self.tiles(start=start):
            if (content := self.content(tile)) is not None:
                yield tile, content

    def _row(self, level: int) -> list[bytes]:
        return self._levels[level] if level < len(self._levels) else []

    def tiles(self, size: int | None = None, *, start: int = 0) -> Iterator[Tile]:
        """The tiles of the first ``size`` entries that the first ``start`` do not have."""
        yield from tiles_of(self.size if size is None else size, start=start)


def tiles_of(size: int, *, start: int = 0) -> Iterator[Tile]:
    """The tiles of a log of ``size`` entries that its first ``start`` do not have."""
    yield from _tiles_of_level(None, start, size)
    level = 0
    while size >> (8 * level):
        yield from _tiles_of_level(level, start >> (8 * level), size >> (8 * level))
        level += 1


def _tiles_of_level(level: int | None, start: int, size: int) -> Iterator[Tile]:
    if start == size:
        return
    for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
        yield Tile(level, index, min(TILE_WIDTH, size - index * TILE_WIDTH))


@dataclass(slots=True)
class Edge:
    """The right edge of a growing tree: all that an append needs, however long the log is."""

    rows: list[list[bytes]] = field(default_factory=lambda: [[]])
    """of each level, the hashes that fill no tile yet"""
    full: list[int] = field(default_factory=lambda: [0])
    """of each level, how many tiles are full"""

    @property
    def size(self) -> int:
        """Entries so far."""
        return TILE_WIDTH * self.full[0] + len(self.rows[0])

    def root(self) -> bytes:
        """The root over all entries so far."""
        # A perfect subtree that is wider lies further left: a level's hashes stand before those below it.
        peaks = [peak for row in reversed(self.rows) for peak in CompactRange(row).peaks]
        return fold_peaks(peaks)

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add a leaf hash; the tiles that this has completed, with what they hold."""
        self.rows[0].append(leaf)
        if len(self.rows[0]) < TILE_WIDTH:
            return []
        completed: list[tuple[Tile, bytes]] = []
        level = 0
        while len(row := self.rows[level]) == TILE_WIDTH:
            completed.append((Tile(level, self.full[level], TILE_WIDTH), b"".join(row)))
            self.rows[level] = []
            self.full[level] += 1
            level += 1
            if level == len(self.rows):
                self.rows.append([])
                self.full.append(0)
            self.rows[level].append(root_hash(row))
        return completed

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are not full yet, with what they hold."""
        return [
            (Tile(level, self.full[level], len(row)), b"".join(row))
            for level, row in enumerate(self.rows)
            if row
        ]


def bundle(index: int, entries: Sequence[bytes]) -> tuple[Tile, bytes]:
    """The bundle of up to 256 entries at a position, with what it holds."""
    parts = [part for entry in entries for part in (_length(entry), entry)]
    return Tile(None, index, len(entries)), b"".join(parts)


def is_bundle(content: bytes, entries: Sequence[bytes]) -> bool:
    """Whether some bytes are the bundle of these entries; it is not made once more to be compared."""
    at = 0
    for entry in entries:
        if content[at : at + 2] != _length(entry) or not content.startswith(entry, at + 2):
            return False
        at += 2 + len(entry)
    return at == len(content)


def _length(entry: bytes) -> bytes:
    return len(entry).to_bytes(2, "big")


def publish_tiles(folder: Path, contents: Iterable[tuple[Tile, bytes]]) -> None:
    """Write the tiles that are missing or different, in ``folder``.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    for tile, content in contents:
        path = folder / tile.path
        with storage_errors(path):
            same = path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
        if not same:
            write_atomic(path, content)


def remove_superseded(folder: Path, tiles: Iterable[Tile]) -> None:
    """Remove the partial forms that these tiles have replaced, and unfinished files beside them."""
    for tile in tiles:
        current = folder / tile.path
        place = folder / tile.path.partition(".p/")[0]
        for path in sorted(place.with_name(f"{place.name}.p").glob("*")):
            if path != current:
                with storage_errors(path):
                    path.unlink(missing_ok=True)
