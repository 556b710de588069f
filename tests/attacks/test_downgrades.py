"""A log that goes down to what says or asks for less says so in the verdict, and is accused of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.profiles import F32
from cryoflux.verification.result import Report, Status
from cryoflux.verification.topics import Topic
from lowering import OldReceiptLog
from synthetic_parts import RULE
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def questions(report: Report) -> list[tuple[int, str, str]]:
    return [(c.number, c.subject, c.detail) for c in report.checks if c.status is Status.UNKNOWN]


def under(made: SyntheticState, **changes: object) -> None:
    made.rule = RULE.but(**changes)
    made.attempt(0.02)


def test_a_weaker_rule_after_a_stronger_one_is_said_once(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    under(made, name="evidence/v1", alpha_ppm=0, screen="")
    under(made, name="whitepaper/v1", alpha_ppm=0, screen="")
    report = verify_target(made.finish())
    assert report.ok
    said = "goes down from the rule evidence/v2 to evidence/v1: it asks for less evidence"
    assert questions(report) == [(7, "entry 2 (intent a0002_2)", said)]
    (left_out,) = report.exceptions
    assert left_out.startswith("that one rule was kept to (entry 2 (intent a0002_2) goes down from the rule")
    # What the weaker rule gave follows from it all the same.
    assert Topic.DECISIONS in report.proven


def test_a_smaller_z_is_said(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    under(made, name="evidence/v1", alpha_ppm=0, screen="")
    under(made, name="evidence/v1", alpha_ppm=0, screen="", z_milli=100)
    report = verify_target(made.finish())
    assert report.ok
    assert [said[:27] for *_, said in questions(report)] == ["goes down from z > 3090/100"]


NO_WORSE = {"name": "no-worse/v1", "alpha_ppm": 0, "screen": ""}
BARE = {"name": "whitepaper/v1", "alpha_ppm": 0, "screen": ""}


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (BARE, NO_WORSE, "goes down from the rule whitepaper/v1 to no-worse/v1"),
        (
            {**NO_WORSE, "min_delta": 0},
            {**NO_WORSE, "min_delta": 10**9},
            "allows a larger loss under no-worse/v1",
        ),
        (
            {**NO_WORSE, "min_delta": 10**7},
            {**NO_WORSE, "min_delta": 10**8},
            "allows a larger loss under no-worse/v1",
        ),
        ({**NO_WORSE, "min_delta": 0}, {**NO_WORSE, "min_delta": 0, "z_milli": 0}, "asks for a smaller z"),
    ],
)
def test_a_loss_that_is_allowed_afterwards_is_said(
    tmp_path: Path, first: dict[str, object], then: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    under(made, **first)
    under(made, **then)
    report = verify_target(made.finish())
    assert report.ok
    assert any(words in said for *_, said in questions(report))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (NO_WORSE, NO_WORSE),
        ({**NO_WORSE, "min_delta": 10**8}, {**NO_WORSE, "min_delta": 0}),
        (NO_WORSE, BARE),
        (NO_WORSE, {}),
    ],
)
def test_a_rule_that_stays_or_asks_for_more_is_no_question(
    tmp_path: Path, first: dict[str, object], then: dict[str, object]
) -> None:
    made = open_state(tmp_path / "state")
    under(made, **first)
    under(made, **then)
    assert questions(verify_target(made.finish())) == []


def test_the_first_form_after_the_second_is_said(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.log.close()
    made.log = OldReceiptLog.open(made.path)
    new = made.rule, made.recipe, made.arms
    old = open_state(tmp_path / "old", old=True)
    made.rule, made.recipe, made.arms = old.rule, old.recipe, old.arms
    old.finish()
    made.attempt(0.02)
    made.log.close()
    made.log = ReceiptLog.open(made.path)
    made.rule, made.recipe, made.arms = new
    made.attempt(0.02)
    report = verify_target(made.finish())
    assert report.ok
    assert [entry.version for entry in made.entries] == [2, 2, 1, 1, 2, 2]
    told = [said for step, _, said in questions(report) if step == 7]
    assert "goes back to form 1 of statements after form 2: it says less" in told
    assert any("goes down from the rule evidence/v2 to evidence/v1" in said for said in told)
    assert {Topic.RULE, Topic.CHOICES} <= set(report.open)


def test_a_profile_with_a_wider_tolerance_is_said(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    assert Topic.ARITHMETIC in verify_target(made.path).proven
    found = made.attempt(0.02).receipt
    assert found is not None
    assert found.evaluation is not None
    made.attempt(0.02, evaluation=found.evaluation.but(profile=F32))
    ((step, subject, said),) = [
        line for line in questions(verify_target(made.finish())) if "goes down" in line[2]
    ]
    assert (step, subject) == (6, made.entries[-1].name)
    assert said.startswith("goes down from f64-nanonat/v1 to f32/v1")


def test_a_log_that_was_begun_under_a_weaker_rule_is_not_accused(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    under(made, name="evidence/v1", alpha_ppm=0, screen="")
    under(made, name="evidence/v2")
    report = verify_target(made.finish())
    assert report.ok
    assert questions(report) == []


def test_smaller_thresholds_and_no_screen_are_a_setting(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    under(made, min_delta=1_000_000)
    under(made, screen="")
    report = verify_target(made.finish())
    assert report.ok
    assert questions(report) == []


def raised(made: SyntheticState) -> list[str]:
    return [said for *_, said in questions(verify_target(made.finish())) if "raises the error budget" in said]


def test_a_larger_error_budget_is_said_once_and_again_when_it_changes(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for alpha_ppm in (50_000, 80_000, 80_000, 80_000, 90_000, 90_000):
        under(made, alpha_ppm=alpha_ppm)
    assert raised(made) == [
        "raises the error budget from 50000 to 80000 ppm after looking",
        "raises the error budget from 50000 to 90000 ppm after looking",
    ]


def test_a_smaller_error_budget_is_a_setting(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for alpha_ppm in (50_000, 20_000, 20_000):
        under(made, alpha_ppm=alpha_ppm)
    assert raised(made) == []


@pytest.mark.parametrize(
    ("stricter", "weaker", "words"),
    [
        ({"name": "evidence/v1"}, {"name": "evidence/v1", "z_milli": 10}, "goes down from z > 3090/1000"),
        ({"name": "whitepaper/v1"}, {"name": "whitepaper/v1", "min_delta": 0}, "lowers a threshold of"),
    ],
)
def test_behind_many_tasks_each_is_followed_all_the_same(
    tmp_path: Path, stricter: dict[str, object], weaker: dict[str, object], words: str
) -> None:
    made = open_state(tmp_path / "state")
    made.policy, made.rule = "uniform/v1", RULE.but(alpha_ppm=0, screen="", **stricter)
    for number in range(65):
        made.begin(f"task_{number}")
        made.abort(made.announce())
    under(made, alpha_ppm=0, screen="", **weaker)
    under(made, alpha_ppm=0, screen="", **weaker)
    (told,) = [said for *_, said in questions(verify_target(made.finish())) if words in said]
    assert told.startswith(words)
