from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.tiles import Tile, TileTree, parse_tile_path, publish_tiles, remove_superseded

ENTRIES = [b"entry %d" % i for i in range(600)]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(1, 0, 3), "tile/1/000.p/3"),
        (Tile(None, 1000, 5), "tile/entries/x001/000.p/5"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/x000/001",
        "tile/00/000",
        "tile/0/000/x",
        "checkpoint",
    ],
)
def test_no_other_path_is_a_tile(path: str) -> None:
    assert parse_tile_path(path) is None


def test_tiles_hold_the_hashes_of_their_level() -> None:
    tree = TileTree(ENTRIES)
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    assert [tile.path for tile in tree.tiles()] == [
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
    ]
    assert tree.content(Tile(0, 1, 256)) == b"".join(leaves[256:512])
    assert tree.content(Tile(1, 0, 2)) == root_hash(leaves[:256]) + root_hash(leaves[256:512])
    assert tree.content(Tile(1, 0, 3)) is None
    assert tree.content(Tile(7, 0, 1)) is None
    bundle = tree.content(Tile(None, 2, 88))
    assert bundle is not None
    assert bundle[: 2 + len(ENTRIES[512])] == len(ENTRIES[512]).to_bytes(2, "big") + ENTRIES[512]
    assert tree.root() == root_hash(leaves)
    assert tree.root(300) == root_hash(leaves[:300])


def test_an_entry_too_long_for_a_bundle_has_no_tile() -> None:
    tree = TileTree([bytes(70_000)])
    assert tree.content(Tile(None, 0, 1)) is None
    assert tree.content(Tile(0, 0, 1)) is not None


def test_publishing_step_by_step_leaves_what_publishing_at_once_leaves(tmp_path: Path) -> None:
    tree, steps, once = TileTree(), tmp_path / "steps", tmp_path / "once"
    published = 0
    for size, entry in enumerate(ENTRIES):
        tree.append(entry)
        if size < 10 or size % 37 == 0 or size in (254, 255, 256, 510, 511, 512, 599):
            publish_tiles(steps, tree.contents(start=published))
            remove_superseded(steps, tree.tiles(start=published))
            published = size + 1
    publish_tiles(once, tree.contents())
    assert files_of(steps) == files_of(once)


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_publishing_mends_what_is_different(tmp_path: Path) -> None:
    tree = TileTree(ENTRIES[:300])
    publish_tiles(tmp_path, tree.contents())
    before = files_of(tmp_path)
    (tmp_path / "tile/0/000").write_bytes(b"wrong")
    (tmp_path / "tile/entries/001.p/44").unlink()
    (tmp_path / "tile/0/001.p/.44.abcd").write_bytes(b"cut short")
    (tmp_path / "tile/0/001.p/43").write_bytes(b"older")
    publish_tiles(tmp_path, tree.contents())
    remove_superseded(tmp_path, tree.tiles())
    assert files_of(tmp_path) == before
