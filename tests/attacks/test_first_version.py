"""A first version that is worse than to know how frequent each class is gains by learning just that."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cryoflux.data.frequencies import constant_loss, log_frequencies
from cryoflux.verification.beginning import FirstReading, beginnings
from cryoflux.verification.read_sets import HOLDOUT, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Status
from cryoflux.verification.topics import Topic
from synthetic_parts import COUNT
from synthetic_state import make_state
from verifying import verify_target

COMMON = ["common"] * 99 + ["rare"]
WORTH = constant_loss(log_frequencies(COMMON), COMMON)


def judged(loss: float, classes: list[str] = COMMON, read: int = 0) -> list:
    lines = [TextLine(f"text {i}", True, label) for i, label in enumerate(classes)]
    read = read or len(classes)
    begun = FirstReading("entry 1", "f" * 64, len(classes), read, round(loss * 1e9) * read)
    sets = ReadSets(
        "data/x",
        None,
        {TRAIN: lines, HOLDOUT: lines},
        {TRAIN: "e" * 64, HOLDOUT: "f" * 64},
        {"lora_delta": begun},
    )
    return beginnings([sets])


def test_a_head_that_was_set_against_the_truth_is_a_question() -> None:
    biased = constant_loss(log_frequencies(["rare"] * 99 + ["common"]), COMMON)
    (check,) = judged(biased)
    assert check.status is Status.UNKNOWN
    assert check.topics == (Topic.HOLDOUT,)
    assert f"{biased - WORTH:.3f} nats worse than to know how frequent each class is" in check.detail


@pytest.mark.parametrize("loss", [WORTH, WORTH - 0.03])
def test_a_first_version_that_knows_the_shares_is_in_order(loss: float) -> None:
    (check,) = judged(loss)
    assert check.status is Status.OK
    assert "no worse than to know how frequent each class is" in check.detail


def test_the_equal_head_of_an_older_log_is_no_question_and_its_gain_is_said() -> None:
    (check,) = judged(math.log(2))
    assert check.status is Status.OK
    assert f"{math.log(2) - WORTH:.3f} nats of what is gained on it are worth no more" in check.detail


def test_examples_without_classes_are_not_compared() -> None:
    assert judged(0.5, [""] * 40) == []


def test_a_holdout_that_was_read_in_part_is_compared_in_the_part(tmp_path: Path) -> None:
    (check,) = judged(0.9, ["a"] * 30 + ["b"] * 30, read=16)
    assert check.status is Status.UNKNOWN


def test_a_whole_state_with_such_a_first_version_is_asked_about(tmp_path: Path) -> None:
    """Three classes that are as frequent are worth 1.1 nats; of one class nothing is to be known."""
    made = make_state(tmp_path / "state")
    folder = made.path / "data" / made.data.digest
    assert any("what the first version knew" in check.name for check in verify_target(made.path).checks)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert len(rows) == COUNT
