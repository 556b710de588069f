from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.errors import StateTamperedError
from cryoflux.receipts.merkle import consistency_proof
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.receipts.tiles import TILE_WIDTH, TileTree

ENTRIES = [f"entry {number}".encode() for number in range(70_000)]


def publish(folder: Path, tree: TileTree) -> None:
    for tile in tree.tiles():
        if tile.level is not None:
            path = folder / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tree.content(tile) or b"")


@pytest.mark.parametrize("size", [1, 2, 7, 255, 256, 257, 600])
def test_a_proof_from_tiles_is_the_one_from_all_leaves(tmp_path: Path, size: int) -> None:
    tree = TileTree(ENTRIES[:size])
    publish(tmp_path, tree)
    for old_size in range(size + 1):
        assert TileReader(tmp_path, size).consistency(old_size) == consistency_proof(old_size, tree.leaves)


def test_a_long_log_is_proven_from_its_upper_tiles(tmp_path: Path) -> None:
    tree = TileTree(ENTRIES)
    publish(tmp_path, tree)
    for old_size, size in [(1, 70_000), (65_536, 70_000), (65_537, 69_999), (256, 65_536), (12_345, 66_000)]:
        expected = consistency_proof(old_size, tree.leaves[:size])
        assert TileReader(tmp_path, size).consistency(old_size) == expected


def test_a_wider_tile_serves_an_older_size(tmp_path: Path) -> None:
    tree = TileTree(ENTRIES[: TILE_WIDTH - 1])
    publish(tmp_path, tree)
    assert TileReader(tmp_path, 100).consistency(5) == consistency_proof(5, tree.leaves[:100])


def test_a_missing_tile_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateTamperedError, match="missing"):
        TileReader(tmp_path, 7).consistency(3)
    with pytest.raises(ValueError, match="no prefix"):
        TileReader(tmp_path, 7).consistency(8)
