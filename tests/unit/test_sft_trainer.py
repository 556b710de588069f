"""The comparison with SFTTrainer: what a loss costs between two runs, and what a run of ours is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

import sft_trainer
from sft_trainer import LEAN, OURS, cost_at, everything, read_ours, report, training


def cell(who: str, steps: int, loss: float, **more: Any) -> dict[str, Any]:
    """A run in which a step costs 2 CPU-s, and an evaluation 5."""
    made = {"who": who, "what": f"{steps} steps", "seed": 0, "steps": steps, "loss": loss, "audit": 0.0}
    return {**made, "setup": 10.0, "train": 2.0 * steps, "evaluate": 5.0, **more}


THEIRS = [cell(LEAN, 16, 2.7), cell(LEAN, 8, 2.9)]


def test_a_loss_between_two_runs_costs_what_lies_between_them() -> None:
    assert cost_at(THEIRS, 2.8, training) == pytest.approx(24)
    assert cost_at(THEIRS, 2.8, everything) == pytest.approx(10 + 24 + 5)
    assert cost_at(THEIRS, 2.7, training) == pytest.approx(32)


@pytest.mark.parametrize("goal", [3.0, 2.9, 2.69])
def test_what_no_two_runs_lie_around_is_not_guessed(goal: float) -> None:
    assert cost_at(THEIRS, goal, training) is None


def test_a_run_of_ours_is_told_apart_into_what_its_process_did() -> None:
    attempts = [
        {"event": "attempt", "cpu_seconds": 50.0, "steps": 8, "adapter_hash": "a", "accepted": True,
         "phases_cpu_seconds": {"train": 38.0, "evaluate": 10.0, "merge": 2.0}},
        {"event": "attempt", "cpu_seconds": 10.0, "steps": None, "adapter_hash": None, "accepted": None,
         "phases_cpu_seconds": {"train": 10.0}},
    ]  # fmt: skip
    summary = {
        "event": "summary", "joules": 180.0, "kept": 1, "audit_cpu_seconds": 20.0,
        "overhead": {"joules": 135.0}, "holdout": {"loss_before": 120.0, "loss_after": 100.0},
    }  # fmt: skip
    events = [{"event": "opened", "startup": {"joules": 30.0}}, *attempts, summary]
    lines = "\n".join(map(json.dumps, events))
    found = read_ours(lines, 110.0, count=40, targets=1600)
    assert found["joules_a_cpu_s"] == 3.0
    assert (found["base_loss"], found["loss"], found["steps"]) == (3.0, 2.5, 8)
    assert found["adapter"] == "a"
    bases = 135 / 3 - 30 / 3 - 20
    assert found["evaluate"] == pytest.approx(10 + bases)
    assert found["train"] == pytest.approx(60 - 10)
    assert sum(found[phase] for phase in sft_trainer.PHASES) == pytest.approx(110)


def test_the_report_says_where_ours_costs_more_and_where_nothing_can_be_said() -> None:
    own = cell(OURS, 10, 2.8, joules_a_cpu_s=3.0, train=40.0, evaluate=30.0, audit=20.0)
    *_, alone, but_audit, everything = report([*THEIRS, own])
    assert alone.endswith("training alone | 120 | 72 | 1.67 |")
    assert but_audit.endswith("all but the audit set | 240 | 117 | 2.05 |")
    assert everything.endswith("all | 300 | 117 | 2.56 |")
    assert list(report([THEIRS[0], own]))[-1].endswith("| 300 | not between two of its runs | |")


def test_tokens_that_are_not_the_same_are_refused() -> None:
    rows = [([5, 6, 7], 1)]
    sft_trainer._same_tokens(rows, [([5, 6, 7], [-100, 6, 7])])
    with pytest.raises(SystemExit, match="other tokens"):
        sft_trainer._same_tokens(rows, [([5, 6, 7], [-100, -100, 7])])
