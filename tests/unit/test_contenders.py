"""The comparison beside what a user would run: which class a rating is, and when a goal is met."""

from __future__ import annotations

from typing import Any

import pytest

from contenders.corpora import rated, sentiment
from contenders.goal_tables import goal_tables
from contenders.goals import Goal, cost_of, judge, lowest_within, setters_of, their_end


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        (-4.0, "negative"),
        (-0.55, "negative"),
        (-0.5, "neutral"),
        (0.0, "neutral"),
        (0.5, "neutral"),
        (0.55, "positive"),
        (4.0, "positive"),
    ],
)
def test_a_rating_is_its_sign_if_more_than_half_a_point_from_zero(rating: float, expected: str) -> None:
    assert sentiment(rating) == expected


def test_a_line_of_ratings_is_a_number_a_rating_and_a_text() -> None:
    lines = ["1_1\t-0.9\ttroubleshooting, no picture.", "", "1_2\t0.25\ta tab\tin the text "]
    assert rated(lines) == [
        ("troubleshooting, no picture.", "negative"),
        ("a tab\tin the text", "neutral"),
    ]


def cell(*curve: tuple[float, float, float], setup: float = 10.0) -> dict[str, Any]:
    """A cell from (training CPU-s, holdout loss, audit loss); each look at the holdout costs 1 CPU-s."""
    keys = ("train_cpu_s", "holdout_loss", "audit_loss")
    points = [
        dict(zip(keys, row, strict=True)) | {"holdout_cpu_s": float(number), "kept": True}
        for number, row in enumerate(curve, 1)
    ]
    return {"phases": {"setup": setup}, "curve": points, **points[-1]}


def test_a_last_point_is_charged_with_one_evaluation_and_a_best_point_with_all_up_to_it() -> None:
    theirs = cell((100, 0.9, 0.95), (200, 0.7, 0.8), (300, 0.8, 0.7))
    last, best = Goal("last", "hf", 0.1), Goal("best", "hf", 0.1, best=True)
    assert their_end(theirs, last)[1] == 10 + 300 + 1
    point, cost = their_end(theirs, best)
    assert (point["holdout_loss"], cost) == (0.7, 10 + 200 + 2)


def test_the_cost_of_a_loss_is_that_of_the_first_point_as_low_on_that_set() -> None:
    ours = cell((5, 0.9, 1.0), (9, 0.7, 0.85))
    assert cost_of(ours, 0.9, "holdout") == 10 + 5 + 1
    assert cost_of(ours, 0.9, "audit") == 10 + 9 + 2
    assert cost_of(ours, 0.6, "holdout") is None


def test_a_goal_is_met_by_the_seeds_that_were_as_low_for_their_share() -> None:
    goal = Goal("theirs", "hf", 0.10)
    setters = {0: cell((189, 0.8, 0.8)), 1: cell((189, 0.8, 0.8), setup=110.0)}
    ours = {0: cell((5, 0.75, 0.9)), 1: cell((5, 0.75, 0.7)), 2: cell((19, 0.75, 0.7))}
    holdout = judge(goal, "holdout", ours, setters)
    assert holdout.their_cpu_s == (200, 300, 200)  # seed 2 is judged by their seed 0
    assert holdout.our_cpu_s == (16, 16, 30)
    assert holdout.ratios == pytest.approx((0.08, 16 / 300, 0.15))
    assert holdout.met == 2
    audit = judge(goal, "audit", ours, setters)
    assert audit.our_cpu_s == (None, 16, 30)
    assert audit.met == 1


def test_of_early_stopping_at_two_rates_the_one_with_the_better_point_sets_the_goal() -> None:
    goal = Goal("early", "hf-early", 0.06, best=True)
    high, low = cell((50, 0.8, 0.7), (90, 0.9, 0.9)), cell((70, 0.9, 0.9), (140, 0.6, 0.65))
    groups = {"hf-early": {0: high, 1: high}, "hf-early-0.002": {0: low}, "ours-2kJ": {0: low}}
    assert setters_of(goal, groups) == {0: low, 1: high}
    assert setters_of(Goal("last", "hf-200", 0.1), groups) == {}


def test_before_anything_was_kept_there_is_no_loss_at_a_cost() -> None:
    ours = cell((5, 0.9, 1.0), (9, 0.7, 0.85))
    assert lowest_within(ours, 15.9, "audit") is None
    assert lowest_within(ours, 16, "audit") == 1.0
    assert lowest_within(ours, 100, "audit") == 0.85


def test_what_was_not_run_or_not_reached_is_said() -> None:
    groups = {"hf-200": {0: cell((189, 0.8, 0.6))}, "ours-2kJ": {0: cell((5, 0.75, 0.7))}}
    text = "\n".join(goal_tables(groups))
    assert "| HF, 200 steps | 1 | holdout | 0.8000 | 200 | 16 | 0.080 | not run |  | ≤ 0.10 | yes |" in text
    assert "| HF, 200 steps | 1 | audit | 0.6000 | 200 | not reached | – |" in text
    assert "Not run on this data, so not judged: HF, 200 steps, tuned; HF, early stopping" in text
    assert goal_tables({"hf-200": groups["hf-200"]}) == []
