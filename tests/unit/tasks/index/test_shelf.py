"""Ranks that whoever has the files finds again, and updates that make the same index anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from cryoflux.errors import ModelError
from cryoflux.tasks.index import searching
from cryoflux.tasks.index.serving import Hit, Served, nearest
from cryoflux.tasks.index.shelf import Manifest, Shelf, exact_ranks, loss_of, save_empty
from cryoflux.tasks.index.store import EmbeddingStore
from cryoflux.tasks.index.updating import Adding, UpdateSaid, apply_update, write_update

WIDE = 24
QUERIES = 5


def name(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def vectors(count: int, seed: int = 0, most: int = 127) -> np.ndarray:
    return np.random.default_rng(seed).integers(-most, most + 1, (count, WIDE)).astype(np.int8)


def update(
    into: Path,
    base: Shelf,
    numbers: Sequence[int],
    those: np.ndarray,
    removed: Sequence[int] = (),
    *,
    fresh: bool = False,
    queries: np.ndarray | None = None,
) -> Path:
    into.mkdir()
    stay = 0 if fresh else base.manifest.documents - len(removed)
    said = UpdateSaid(
        base="",
        manifest=Manifest(
            encoder="e", dimensions=WIDE, documents=stay + len(numbers), queries={"holdout": QUERIES}
        ),
        fresh=fresh,
        removed=[name(n).hex() for n in removed],
    )
    with Adding(into) as adding:
        rows = [{"document": name(n).hex(), "place": f"{n}.md", "title": str(n)} for n in numbers]
        adding.put(rows, [one.tobytes() for one in those])
    write_update(into, said, queries)
    return into


def applied(base: Shelf, capsule: Path, into: Path) -> Shelf:
    into.mkdir()
    apply_update(base, capsule, into)
    return Shelf(into)


@pytest.fixture
def empty(tmp_path: Path) -> Shelf:
    (tmp_path / "empty").mkdir()
    save_empty(tmp_path / "empty")
    return Shelf(tmp_path / "empty")


@pytest.fixture
def some(tmp_path: Path, empty: Shelf) -> Shelf:
    capsule = update(tmp_path / "u1", empty, range(40), vectors(40), queries=vectors(QUERIES, 9))
    return applied(empty, capsule, tmp_path / "v1")


def same(one: Shelf, other: Shelf) -> bool:
    return all(
        (one.folder / file.name).read_bytes() == file.read_bytes() for file in sorted(other.folder.iterdir())
    )


def test_documents_stand_in_the_order_of_their_names_with_their_vectors(some: Shelf) -> None:
    assert list(some.names) == sorted(map(name, range(40)))
    for number in range(40):
        assert (some.vectors[some.names.place(name(number))] == vectors(40)[number]).all()


def test_adding_in_two_updates_gives_the_bytes_of_one(tmp_path: Path, empty: Shelf, some: Shelf) -> None:
    first = update(tmp_path / "a", empty, range(25), vectors(40)[:25], queries=vectors(QUERIES, 9))
    half = applied(empty, first, tmp_path / "half")
    rest = update(tmp_path / "b", half, range(25, 40), vectors(40)[25:])
    assert same(applied(half, rest, tmp_path / "whole"), some)


def test_what_is_gone_is_gone_from_every_file(tmp_path: Path, some: Shelf) -> None:
    left = applied(some, update(tmp_path / "u", some, [], vectors(0), removed=[3, 4]), tmp_path / "v2")
    assert list(left.names) == sorted({name(n) for n in range(40)} - {name(3), name(4)})
    assert not any(name(3).hex() in file.read_text("latin1") for file in left.folder.iterdir())
    again = applied(left, update(tmp_path / "w", left, [3, 4], vectors(40)[3:5]), tmp_path / "v3")
    assert same(again, some)


def test_embedding_anew_leaves_nothing_of_the_base(tmp_path: Path, some: Shelf) -> None:
    capsule = update(tmp_path / "u", some, range(5), vectors(5, 7), fresh=True, queries=vectors(QUERIES, 8))
    new = applied(some, capsule, tmp_path / "v2")
    assert new.manifest.documents == 5
    assert (new.queries("holdout") == vectors(QUERIES, 8)).all()


def test_an_update_whose_files_were_changed_is_refused(tmp_path: Path, some: Shelf) -> None:
    capsule = update(tmp_path / "u", some, [50], vectors(1))
    (capsule / "added.i8").write_bytes(bytes(WIDE))
    with pytest.raises(ModelError, match="not those that it names"):
        applied(some, capsule, tmp_path / "v2")


def test_an_update_of_another_base_is_refused(tmp_path: Path, empty: Shelf, some: Shelf) -> None:
    capsule = update(tmp_path / "u", some, [50], vectors(1))
    with pytest.raises(ModelError):
        applied(empty, capsule, tmp_path / "v2")


@pytest.mark.parametrize(("count", "most"), [(9000, 1), (9000, 127), (7, 1)])
def test_ranks_nearest_and_faiss_say_the_same(count: int, most: int, tmp_path: Path, empty: Shelf) -> None:
    # components of -1, 0 and 1 make many equal scores, far beyond what is asked for at once
    capsule = update(tmp_path / "u", empty, range(count), vectors(count, 1, most), queries=vectors(5, 2, 1))
    shelf = applied(empty, capsule, tmp_path / "v")
    asked, wanted = vectors(60, 3, most), [name(n) for n in range(60)]
    scores = asked.astype(int) @ shelf.vectors.astype(int).T
    order = np.lexsort((np.arange(count)[None, :].repeat(60, 0), -scores), axis=1)
    expected = [[Hit(int(r), int(scores[at, r])) for r in rows[:50]] for at, rows in enumerate(order)]
    assert Served(shelf).top(asked, 50) == expected
    assert [nearest(shelf, asked[at : at + 1], 50) for at in range(60)] == expected
    places = [shelf.names.place(one) for one in wanted]
    found = [0 if row < 0 else rows.tolist().index(row) + 1 for rows, row in zip(order, places, strict=True)]
    assert exact_ranks(shelf, asked, wanted) == found


def test_a_process_that_goes_on_asking_is_answered_by_faiss_and_alike(
    some: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Encoder:
        def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
            yield [0], vectors(1, int(texts[0]))

    built: list[Shelf] = []
    monkeypatch.setattr(searching, "Served", lambda shelf: built.append(shelf) or Served(shelf))
    searcher = searching.Searcher(some, Encoder(), "version")  # type: ignore[arg-type]
    first = [searcher.find(str(seed), 5) for seed in range(searching._FEW)]
    assert not built
    assert [searcher.find(str(seed), 5) for seed in range(searching._FEW)] == first
    assert built == [some]
    assert [found.place for found in first[0]] == [
        f"{some.rows_at([hit.row])[0]['title']}.md" for hit in nearest(some, vectors(1, 0), 5)
    ]


def test_a_loss_is_one_less_the_reciprocal_rank_and_one_beyond_the_tenth() -> None:
    assert [loss_of(rank) for rank in (1, 2, 3, 10, 11, 0)] == [
        0, 500_000_000, 666_666_667, 900_000_000, 10**9, 10**9,
    ]  # fmt: skip


def test_documents_that_stand_in_no_order_are_refused(some: Shelf) -> None:
    path = some.folder / "documents.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(ModelError, match="not 40 in their order"):
        exact_ranks(Shelf(some.folder), vectors(1), [name(1)])
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(ModelError, match="names 39 documents, not 40"):
        exact_ranks(Shelf(some.folder), vectors(1), [name(1)])


def test_a_file_that_is_too_short_is_refused(some: Shelf) -> None:
    (some.folder / "vectors.i8").write_bytes(b"short")
    with pytest.raises(ModelError, match="holds 5 bytes"):
        Shelf(some.folder)


@pytest.mark.parametrize(
    "said",
    ["[]", "{", json.dumps({"format": "index/v9"}), json.dumps({"documents": -1}), '{"pinned":{"a":-1}}'],
)
def test_a_manifest_that_is_none_is_refused(said: str, some: Shelf) -> None:
    (some.folder / "index.json").write_text(said)
    with pytest.raises(ModelError, match="holds no index"):
        Shelf(some.folder)


def test_the_store_survives_what_a_crash_left_half_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.bin"
    store = EmbeddingStore(path, WIDE)
    store.put([name(n) for n in range(10)], vectors(10))
    with path.open("ab") as stream:
        stream.write(b"half a record")
    again = EmbeddingStore(path, WIDE)
    assert len(again) == 10
    again.put([name(10), name(3)], vectors(2, 1))
    last = EmbeddingStore(path, WIDE)
    assert (last.get(name(10)) == vectors(2, 1)[0]).all()
    assert (last.get(name(3)) == vectors(10)[3]).all()
    assert last.get(name(99)) is None


def test_a_damaged_record_of_the_store_counts_as_missing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "store.bin", WIDE)
    store.put([name(n) for n in range(3)], vectors(3))
    content = bytearray((tmp_path / "store.bin").read_bytes())
    content[len(content) // 3 + 40] ^= 1
    (tmp_path / "store.bin").write_bytes(content)
    again = EmbeddingStore(tmp_path / "store.bin", WIDE)
    assert again.get(name(1)) is None
    assert (again.get(name(2)) == vectors(3)[2]).all()
