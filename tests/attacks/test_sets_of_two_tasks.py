"""A second task gets the first one's holdout under another digest: to judge by it anew, or to learn it.

Two tasks may well share texts, such as other labels of the same ones. So it is asked about, and no lie.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.verification.result import Check, Report, Status
from synthetic_parts import COUNT, make_data
from synthetic_state import SyntheticState, open_state
from verifying import verify_target
from written_texts import written

TRAIN, HOLDOUT, AUDIT = (written(COUNT, seed) for seed in (1, 2, 3))
FRESH = [written(COUNT, seed) for seed in (11, 12, 13)]


def with_second_task(folder: Path, texts: list[list[str]] | None) -> SyntheticState:
    """A log of a task that looked three times, and one look of another; none for the same data set."""
    made = open_state(folder / "state", [*TRAIN, *HOLDOUT, *AUDIT])
    made.policy = "uniform/v1"
    for _ in range(3):
        made.attempt(0.0005)
    made.begin("lora_two")
    if texts is not None:
        made.data = make_data(made.path, [text for one in texts for text in one])
    made.attempt(0.05)
    made.finish()
    return made


def asked(report: Report, words: str) -> list[Check]:
    return [c for c in report.checks if c.status is Status.UNKNOWN and words in c.detail]


@pytest.mark.parametrize(
    "holdout",
    [HOLDOUT[::-1], [f"{text}\u200b" for text in HOLDOUT], [f"Well {text}" for text in HOLDOUT]],
    ids=["in another order", "with a mark that shows nothing", "with a word led in"],
)
def test_a_holdout_under_a_second_task_is_no_fresh_one(holdout: list[str], tmp_path: Path) -> None:
    made = with_second_task(tmp_path, [FRESH[0], holdout, FRESH[2]])
    report = verify_target(made.path)
    assert report.ok
    (question,) = asked(report, "64 of its 64 texts judge another task, too")
    assert "their looks are counted apart" in question.detail
    assert question.subject == f"data/{made.data.digest}/holdout.jsonl"
    assert any("judge another task, too" in said for said in report.exceptions)


@pytest.mark.parametrize(
    "learned", [HOLDOUT, [f"Well {text}" for text in HOLDOUT]], ids=["as it is", "led in"]
)
def test_a_second_task_that_trains_on_the_holdout_of_the_first_is_said(
    learned: list[str], tmp_path: Path
) -> None:
    report = verify_target(with_second_task(tmp_path, [learned, *FRESH[1:]]).path)
    assert report.ok
    (question,) = asked(report, "64 of its 64 texts are what another task trains on")
    assert "a model that goes on from one of that task has seen them" in question.detail


def test_a_second_task_that_is_judged_by_what_the_first_has_learned_is_said(tmp_path: Path) -> None:
    made = with_second_task(tmp_path, [FRESH[0], TRAIN, FRESH[2]])
    (question,) = asked(verify_target(made.path), "64 of its 64 texts are what another task trains on")
    assert question.subject == f"data/{made.data.digest}/holdout.jsonl"


def test_two_tasks_with_data_of_their_own_are_not_asked_about(tmp_path: Path) -> None:
    report = verify_target(with_second_task(tmp_path, FRESH).path)
    assert asked(report, "another task") == []
    assert report.ok


def test_two_tasks_on_one_data_set_are_told_so_in_step_8_alone(tmp_path: Path) -> None:
    report = verify_target(with_second_task(tmp_path, None).path)
    assert report.ok
    assert [c.number for c in asked(report, "looks are counted apart")] == [8]
    assert asked(report, "another task") == []


def test_a_few_texts_in_common_are_counted(tmp_path: Path) -> None:
    sets = [FRESH[0], [*HOLDOUT[:8], *FRESH[1][8:]], FRESH[2]]
    made = with_second_task(tmp_path, sets)
    assert asked(verify_target(made.path), "another task") == []


def test_other_classes_of_the_same_texts_are_no_lie(tmp_path: Path) -> None:
    """The rule draws the same texts for both; only the file of the labels differs."""
    made = open_state(tmp_path / "state", [*TRAIN, *HOLDOUT, *AUDIT])
    made.policy = "uniform/v1"
    made.attempt(0.05)
    made.begin("topics")
    made.data = make_data(made.path, [*TRAIN[::-1], *HOLDOUT[1:], HOLDOUT[0], *AUDIT])
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert report.ok
    assert len(asked(report, "judge another task, too")) == 2


def test_sets_are_read_once_however_many_judge(tmp_path: Path) -> None:
    """Each spare was searched in all before it, each time anew."""
    spares = 12
    texts = [text for seed in range(spares + 3) for text in written(COUNT, 100 + seed)]
    made = open_state(tmp_path / "state", texts, spares=spares)
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert asked(report, "no fresh one") == []
    folder = made.path / "data" / made.data.digest
    assert len(list(folder.glob("holdout-*.jsonl"))) == spares
    assert json.loads((folder / "labels.json").read_text()) == ["a", "b", "c"]
