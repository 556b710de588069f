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
