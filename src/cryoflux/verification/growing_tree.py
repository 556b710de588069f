"""Step 4 of a long log: the tree, grown entry by entry, and each tile compared when it is complete.

Says the same as `cryoflux.verification.order.check_tree`, and holds no more than the right edge of the tree.
"""

from __future__ import annotations

__all__ = ["GrowingTree"]

from collections import defaultdict
from collections.abc import Iterator, Mapping

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Checkpoint
from cryoflux.receipts.store import Row
from cryoflux.receipts.tiles import TILE_WIDTH, Edge, Tile, bundle, parse_tile_path, tiles_of
from cryoflux.verification.material import Material
from cryoflux.verification.order import TREE, is_replaced, match_checkpoint, signed_checkpoint
from cryoflux.verification.result import Check, Finding, conclude, failed, unknown

_HASH_BYTES = 32


class GrowingTree:
    """The tree of a state's log, and what is wrong with what is stored of it."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._edge = Edge()
        self._recent: list[bytes] = []
        self._hashes: list[Finding] = []
        self._wrong: set[str] = set()
        self._tiles: Mapping[str, bytes] = material.tiles or {}
        self._places: dict[tuple[int | None, int], list[tuple[Tile, str]]] = defaultdict(list)
        for path in self._tiles:
            if (tile := parse_tile_path(path)) is None:
                self._wrong.add(path)
            else:
                self._places[tile.level, tile.index].append((tile, path))
        self._checkpoint: Checkpoint | VerificationError = self._signed()
        self._root_there = self._edge.root()
        self._note_root()

    @property
    def size(self) -> int:
        """Entries so far."""
        return self._edge.size

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self._edge.root()

    def _signed(self) -> Checkpoint | VerificationError:
        try:
            return signed_checkpoint(self._material)
        except VerificationError as error:
            return error

    def take(self, row: Row, leaf: bytes) -> None:
        """Add the next entry, whose leaf hash was computed here."""
        if row.leaf != leaf.hex():
            detail = "its bytes do not have the leaf hash that was stored with it"
            self._hashes.append(failed(f"entry {self.size}", detail))
        completed = self._edge.append(leaf)
        self._recent.append(row.envelope)
        if completed:
            self._compare_bundle(self.size // TILE_WIDTH - 1)
            for tile, content in completed:
                self._compare_hashes(tile, content)
        self._note_root()

    def _note_root(self) -> None:
        if isinstance(self._checkpoint, Checkpoint) and self._checkpoint.size == self.size:
            self._root_there = self._edge.root()

    def _compare_bundle(self, index: int) -> None:
        recent, self._recent = self._recent, []
        for tile, path in self._places.pop((None, index), []):
            part = recent[: tile.width]
            if len(part) < tile.width or bundle(index, part)[1] != self._tiles[path]:
                self._wrong.add(path)

    def _compare_hashes(self, tile: Tile, content: bytes) -> None:
        for found, path in self._places.pop((tile.level, tile.index), []):
            end = found.width * _HASH_BYTES
            if end > len(content) or content[:end] != self._tiles[path]:
                self._wrong.add(path)

    def _compare_rest(self) -> None:
        for tile, content in self._edge.partial():
            self._compare_hashes(tile, content)
        if self._recent:
            self._compare_bundle(self.size // TILE_WIDTH)
        self._wrong.update(path for found in self._places.values() for _, path in found)

    def conclude(self) -> list[Check]:
        """What the step says, after the last entry."""
        self._compare_rest()
        findings, size, summary = self._hashes, 0, ""
        try:
            if isinstance(self._checkpoint, VerificationError):
                raise self._checkpoint
            found = self._checkpoint
            match_checkpoint(found, self.size, self._root_there)
            size = found.size
            summary = f"root {found.root.hex()[:16]}… over {size} entries is the signed one"
            if size < self.size:
                detail = f"{self.size - size} newer entries are not covered yet"
                findings.append(unknown("log/checkpoint", detail))
        except VerificationError as error:
            findings.append(failed("log/checkpoint", error.what))
        return conclude(TREE, [*findings, *self._wrong_tiles(size)], summary)

    def _wrong_tiles(self, size: int) -> Iterator[Finding]:
        for tile in tiles_of(size):
            if tile.path not in self._tiles and not is_replaced(tile.path, self._tiles):
                yield failed(f"log/{tile.path}", "is missing")
        for path in self._tiles:
            if path in self._wrong:
                yield failed(f"log/{path}", "does not follow from the entries")
