"""Files of a node: believed by their digests, kept while somebody needs them, freed by no wall clock."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from cryoflux.energy.clock import BILLION
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.store import FileStore
from cryoflux.tasks.elsewhere import Inputs

CONTENT = b"weights of a model"
DIGEST = sha256(CONTENT).hexdigest()
HOUR_NS = 3600 * BILLION


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


def test_what_was_sent_is_there_and_other_bytes_are_kept_under_no_name(
    store: FileStore, tmp_path: Path
) -> None:
    assert store.lacks([DIGEST, DIGEST]) == [DIGEST]
    with pytest.raises(FleetError, match="has other bytes"):
        store.add(DIGEST, [b"weights of ", b"another"])
    assert [*(tmp_path / "files").iterdir()] == []
    store.add(DIGEST, [CONTENT[:5], CONTENT[5:]])
    assert store.lacks([DIGEST]) == []
    assert b"".join(store.read(DIGEST)) == CONTENT


def test_workers_share_one_copy_where_a_task_looks_for_it(store: FileStore, tmp_path: Path) -> None:
    store.add(DIGEST, [CONTENT])
    for worker in ("w1", "w2"):
        for _ in range(2):  # also a second time
            store.place(Inputs(files={"models/a/b.bin": DIGEST}, data_name=""), tmp_path / worker)
        assert (tmp_path / worker / "models" / "a" / "b.bin").read_bytes() == CONTENT
    assert store.path(DIGEST).stat().st_nlink == 3


@pytest.mark.parametrize("name", ["../out", "/etc/motd", "models/../../out"])
def test_an_order_places_nothing_outside_of_its_worker(store: FileStore, tmp_path: Path, name: str) -> None:
    store.add(DIGEST, [CONTENT])
    with pytest.raises(FleetError, match="outside of the state"):
        store.place(Inputs(files={name: DIGEST}, data_name=""), tmp_path / "w1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("label_s", [0, 10**6, 4 * 10**9])
def test_a_file_without_a_use_goes_after_an_hour_whatever_its_label_says(
    tmp_path: Path, label_s: int
) -> None:
    now = [5]
    store = FileStore(tmp_path / "files", monotonic_ns=lambda: now[0])
    store.add(DIGEST, [CONTENT])
    os.utime(store.path(DIGEST), (label_s, label_s))
    store.prune()
    now[0] += HOUR_NS
    store.prune()
    assert store.lacks([]) == []
    assert store.path(DIGEST).exists(), "an hour is not over"
    now[0] += 1
    store.prune()
    assert not store.path(DIGEST).exists()


def test_a_file_that_was_just_asked_for_stays_for_whoever_places_it(tmp_path: Path) -> None:
    now = [5]
    mine = FileStore(tmp_path / "files", monotonic_ns=lambda: now[0])
    mine.add(DIGEST, [CONTENT])
    os.utime(mine.path(DIGEST), (1, 1))
    mine.prune()
    now[0] += 2 * HOUR_NS
    assert FileStore(tmp_path / "files").lacks([DIGEST]) == [], (
        "another worker has it already, and is not sent it"
    )
    mine.prune()
    assert mine.path(DIGEST).exists()
    mine.place(Inputs(files={"train.jsonl": DIGEST}, data_name=""), tmp_path / "w1")
    now[0] += 2 * HOUR_NS
    mine.prune()
    assert mine.path(DIGEST).exists(), "it is in use"
