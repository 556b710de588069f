"""A data set comes back from the disk as it went there, spare holdouts included, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.data.examples import Example
from cryoflux.data.prepared import load_examples, open_prepared, render, store
from cryoflux.data.split import Splits, split
from cryoflux.digests import file_digest
from cryoflux.errors import DataError, StateTamperedError


def numbered(count: int) -> list[Example]:
    return [Example(f"line {i} of text", "ab"[i % 2]) for i in range(count)]


def splits(spares: int) -> Splits:
    examples = [Example(f"line\u2028{i} of «text»", "ab"[i % 2]) for i in range(1500)]
    return split(examples, None, None, holdout_size=30, spare_holdouts=spares)


def test_every_set_is_read_back_in_its_order_and_named_by_its_file(tmp_path: Path) -> None:
    made = splits(spares=12)
    files, digest = render(made)
    data = open_prepared(store(files, digest, tmp_path), "mine")
    assert data.holdouts == ("holdout", *(f"holdout-{n}" for n in range(2, 14)))
    parts = {"train": made.train, "holdout": made.holdout, "audit": made.audit}
    parts |= {f"holdout-{n}": spare for n, spare in enumerate(made.spares, 2)}
    assert data.file_digests.keys() == parts.keys()
    for name, examples in parts.items():
        path = data.folder / f"{name}.jsonl"
        assert data.examples(name) == load_examples(path) == examples
        assert data.file_digests[name] == file_digest(path)
    assert (data.labels, data.digest) == (("a", "b"), digest)


def test_what_a_leak_guard_left_out_lies_beside_the_sets_and_is_none(tmp_path: Path) -> None:
    made = split(numbered(900), None, None, holdout_size=30, monitor_size=30).without(
        {3: "audit", 5: "monitor"}
    )
    assert (made.similar_to, len(made.similar)) == ({"audit": 1, "monitor": 1}, 2)
    files, digest = render(made)
    data = open_prepared(store(files, digest, tmp_path), "mine")
    assert data.sets.keys() == {"train", "holdout", "audit", "monitor"}
    assert load_examples(data.folder / "similar.jsonl") == made.similar
    assert not {*made.similar} & {*data.examples("train")}
    (data.folder / "similar.jsonl").unlink()
    with pytest.raises(StateTamperedError):
        open_prepared(data.folder, "mine")


def test_a_class_that_a_leak_guard_leaves_nothing_of_is_an_error() -> None:
    made = split(numbered(900), None, None, holdout_size=30)
    near = {place: "holdout" for place, example in enumerate(made.train) if example.label == "b"}
    with pytest.raises(DataError, match="Every training example of the class 'b' is like a text that judges"):
        made.without(near)


def test_storing_the_same_set_again_keeps_what_is_there(tmp_path: Path) -> None:
    files, digest = render(splits(spares=1))
    folder = store(files, digest, tmp_path)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert store(files, digest, tmp_path) == folder
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    assert render(splits(spares=2))[1] != digest


@pytest.mark.parametrize("name", ["train.jsonl", "holdout-2.jsonl", "labels.json", "SHA256SUMS"])
def test_a_changed_missing_or_additional_file_is_refused(tmp_path: Path, name: str) -> None:
    files, digest = render(splits(spares=1))
    folder = store(files, digest, tmp_path)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(StateTamperedError):
        open_prepared(folder, "mine")
    (folder / name).unlink()
    with pytest.raises(StateTamperedError):
        open_prepared(folder, "mine")
    (folder / name).write_bytes(content)
    (folder / "holdout-9.jsonl").write_bytes(b"")
    with pytest.raises(StateTamperedError, match="holdout-9"):
        open_prepared(folder, "mine")
