"""The embedded data set exists on every Python, and is the same each time."""

import pytest

from cryoflux.data import stdlib_docs
from cryoflux.data.prepared import open_prepared, render, store
from cryoflux.data.split import split
from cryoflux.errors import StateTamperedError


def test_it_is_real_text_of_many_areas_and_survives_the_way_to_the_disk(tmp_path) -> None:
    examples = stdlib_docs.build()
    labels = {e.label for e in examples}
    assert len(examples) > 4000
    assert {"gui", "internet", "concurrency", "testing"} <= labels
    assert all(len(e.text.split()) >= 4 for e in examples)
    assert stdlib_docs.build() == examples

    files, digest = render(split(examples, None, None, holdout_size=100))
    prepared = open_prepared(store(files, digest, tmp_path), stdlib_docs.NAME)
    assert prepared.digest == digest
    assert set(prepared.labels) == labels
    assert sum(prepared.count(name) for name in prepared.sets) == len(examples)

    holdout = prepared.folder / "holdout.jsonl"
    holdout.write_bytes(holdout.read_bytes().replace(b"gui", b"gut", 1))
    with pytest.raises(StateTamperedError, match=r"holdout\.jsonl"):
        open_prepared(prepared.folder, stdlib_docs.NAME)
