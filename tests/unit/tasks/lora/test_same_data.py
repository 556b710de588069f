"""What a state's data set is made from, and made from again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.config import load_settings
from cryoflux.data.prepared import render
from cryoflux.errors import StateError
from cryoflux.tasks.interface import Origin
from cryoflux.tasks.lora.inputs import check_same, read_splits


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A file in which every text stands twice, once with a character that nobody sees."""
    texts = [f"the text that has number {i}{end}" for end in ("", "\u200b") for i in range(400)]
    rows = [json.dumps({"text": text, "label": "xy"[len(text) % 2]}) + "\n" for text in texts]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(rows), "utf-8")
    return path


def test_an_older_state_is_the_same_by_the_rules_that_it_was_begun_by(train: Path, tmp_path: Path) -> None:
    sourced = load_settings({"train": str(train), "state": str(tmp_path / "state")})
    rules = [
        {},
        {"holdout": "lowest-hash/v1", "audit": "lowest-hash/v1", "copies": "fold/v1"},
        {"holdout": "lowest-hash/v2", "audit": "lowest-hash/v2", "copies": "fold/v1"},
    ]
    digests = [render(read_splits(sourced.settings, rules=said)[1])[1] for said in rules]
    assert len(set(digests)) == 3
    assert render(read_splits(sourced.settings)[1])[1] == digests[2]
    for digest, said in zip(digests, rules, strict=True):
        check_same(sourced, Origin("mine.jsonl", digest, "a model", "none", "0" * 64, rules=said))
    with pytest.raises(StateError, match="belongs to the data set"):
        check_same(sourced, Origin("mine.jsonl", digests[0], "a model", "none", "0" * 64, rules=rules[1]))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Columns that are called otherwise, and one row without a text."""
    rows = "".join(f"{i};a review of number {i};{'xy'[i % 2]}\n" for i in range(400))
    path = tmp_path / "reviews.csv"
    path.write_bytes(f"id;review;sentiment\n{rows}400;;x\n".encode("utf-16"))
    return path


def test_what_was_found_is_said_where_a_file_is_not_exactly_text_label(reviews: Path, train: Path) -> None:
    said = list[str]()
    _, splits = read_splits(load_settings({"train": str(reviews)}).settings, said=said.append)
    assert said == [
        "train: CSV, semicolons between columns, utf-16",
        "train: text is review, label is sentiment (by name)",
        "train: 1 of 401 rows without a text left out: line 402",
    ]
    assert splits.labels == ("x", "y")
    said.clear()
    read_splits(load_settings({"train": str(train)}).settings, said=said.append)
    assert said == []


def test_other_columns_of_the_same_file_are_another_data_set(reviews: Path, tmp_path: Path) -> None:
    flags = {"train": str(reviews), "state": str(tmp_path / "state")}
    digest = render(read_splits(load_settings(flags).settings)[1])[1]
    origin = Origin("reviews.csv", digest, "a model", "none", "0" * 64)
    origin.rules.update({"holdout": "lowest-hash/v2", "audit": "lowest-hash/v2", "copies": "fold/v1"})
    check_same(load_settings(flags), origin)
    check_same(load_settings({**flags, "text_column": "review", "label_column": "sentiment"}), origin)
    with pytest.raises(StateError, match="belongs to the data set"):
        check_same(load_settings({**flags, "text_column": "id,review"}), origin)


def test_balance_is_of_the_training_file_alone_and_is_said(tmp_path: Path) -> None:
    rows = "".join(f"a text of number {i},{'seldom' if i % 20 == 0 else 'often'}\n" for i in range(2000))
    (tmp_path / "mine.csv").write_text("text,label\n" + rows)
    said = list[str]()
    settings = load_settings({"train": str(tmp_path / "mine.csv"), "balance": 3}).settings
    _, splits = read_splits(settings, said=said.append)
    assert said == ["train: 1600 examples of frequent classes left out (--balance)"]
    assert sum(len(examples) for examples in (splits.train, *splits.judging.values())) == 400
