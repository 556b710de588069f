"""A training set may grow, and nothing else: rewritten, shortened or with holdout texts it is found out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.digests import file_digest, write_checksums
from cryoflux.receipts.statement import Data
from cryoflux.verification.result import Status
from synthetic_parts import label_of
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def line(text: str) -> str:
    return json.dumps({"text": text, "label": label_of(text)}) + "\n"


def regrown(made: SyntheticState, change: Callable[[list[str]], list[str]]) -> Data:
    """The data set with another training file, in place of what was there."""
    old = made.path / "data" / made.data.digest
    train = old / "train.jsonl"
    lines = change(train.read_text().splitlines(keepends=True))
    draft = made.path / "data" / "draft"
    shutil.copytree(old, draft)
    (draft / "SHA256SUMS").unlink()
    (draft / "train.jsonl").write_text("".join(lines))
    digest = write_checksums(draft)
    draft.rename(made.path / "data" / digest)
    shutil.rmtree(old)
    train = made.path / "data" / digest / "train.jsonl"
    return made.data.but(digest=digest, train=file_digest(train), train_count=len(lines))


def grown(tmp_path: Path, change: Callable[[list[str]], list[str]], times: int = 1) -> SyntheticState:
    made = open_state(tmp_path / "state")
    made.attempt(-0.0005)
    for _ in range(times):
        made.data = regrown(made, change)
        made.attempt(0.02)
    return made


def failures(made: SyntheticState) -> set[int]:
    return {c.number for c in verify_target(made.finish()).checks if c.status is Status.FAIL}


def said(made: SyntheticState, number: int) -> str:
    return " ".join(
        f"{c.subject} {c.detail}" for c in verify_target(made.finish()).checks if c.number == number
    )


def added(count: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines, *(line(f"a later text {len(lines) + n} of its own") for n in range(count))]


@pytest.mark.parametrize("times", [1, 3])
def test_innocent_examples_that_joined_one_file_serves_all_digests(tmp_path: Path, times: int) -> None:
    made = grown(tmp_path, added(5), times)
    assert len(list((made.path / "data").iterdir())) == 1
    assert failures(made) == set()


def test_a_training_set_that_was_rewritten_instead_of_grown(tmp_path: Path) -> None:
    made = grown(tmp_path, lambda lines: [line("another text"), *lines[1:], line("one more")])
    assert failures(made) == {9}
    assert "rewritten, not added to" in said(made, 9)


def test_examples_that_were_put_in_front(tmp_path: Path) -> None:
    made = grown(tmp_path, lambda lines: [line("before all others"), *lines])
    assert failures(made) == {9}


@pytest.mark.parametrize("change", [lambda lines: lines[:-3], lambda lines: [*lines[:-1], line("instead")]])
def test_rows_that_were_removed_or_exchanged(
    tmp_path: Path, change: Callable[[list[str]], list[str]]
) -> None:
    assert 8 in failures(grown(tmp_path, change))


def test_holdout_rows_that_were_slipped_in(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(-0.0005)
    holdout = (made.path / "data" / made.data.digest / "holdout.jsonl").read_text().splitlines(keepends=True)
    made.data = regrown(made, lambda lines: [*lines, *holdout[:2]])
    made.attempt(0.02)
    assert failures(made) == {9}
    assert "shares 2 texts with train.jsonl" in said(made, 9)


def test_a_holdout_that_changes_as_the_training_set_grows(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(-0.0005)
    made.data = regrown(made, added(4)).but(audit="0" * 64)
    made.attempt(0.02)
    assert 8 in failures(made)


def test_a_count_that_grows_without_an_example(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(-0.0005)
    made.data = made.data.but(train_count=made.data.train_count + 9)
    made.attempt(0.02)
    assert 8 in failures(made)


def test_innocent_a_state_whose_data_are_not_here(tmp_path: Path) -> None:
    made = grown(tmp_path, added(5))
    shutil.rmtree(made.path / "data")
    assert failures(made) == set()
