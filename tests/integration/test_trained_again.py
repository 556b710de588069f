"""Kept updates of ``causal-lm``, all trained again, though every other base is kept as a list of updates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causal_families import make_family
from cryoflux.registry.kept_lists import is_whole
from running import Outcome, cryoflux

DOCUMENTS = [
    {"prompt": f"{a}{b}{c} word: ", "completion": "yes yes yes"}
    for a in "abcdefgh"
    for b in "ijklmnop"
    for c in "qrstu"
]
QUICK = [
    *("--task", "causal-lm", "--reserve", "25J", "--learning-rate", "0.002", "--max-steps", "8", "--json"),
    *("--holdout-size", "32", "--policy", "uniform/v1", "--budget", "200J"),
]
"""Steps end the training long before the joules do, and leave something to learn."""
MIXED = """
[recipe.whole]
precision = "f32"
targets = "all"

[recipe.rounded]
precision = "bf16"
targets = "all"
"""


@pytest.fixture
def inputs(tmp_path: Path) -> list[object]:
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    model = make_family("llama", tmp_path / "base")
    return ["--model", model, "--train", train, "--state", tmp_path / "state"]


def retrained(state: Path, kept: int) -> list[tuple[str, str]]:
    """What became of each training, newest first: its status, and what was said."""
    asked = ("verify", state, "--no-memory", "--retrain", str(kept), "--json")
    checks = json.loads(cryoflux(*asked).stdout)["checks"]
    return [(check["status"], check["detail"]) for check in checks if check["number"] == 15]


def exact(found: list[tuple[str, str]]) -> int:
    return sum(status == "ok" and "gives the same bytes" in said for status, said in found)


def test_an_update_whose_base_is_a_list_is_trained_again(tmp_path: Path, inputs: list[object]) -> None:
    run = cryoflux("run", *QUICK, *inputs, "--recipes", "lora-all", "--attempts", "3")
    assert run.summary["kept"] == 3
    lists = [path for path in (tmp_path / "state" / "models").iterdir() if not is_whole(path)]
    assert len(lists) == 2
    found = retrained(tmp_path / "state", 3)
    assert exact(found) == len(found) == 3, found


def recipes_kept(run: Outcome) -> set[str]:
    return {one["arm"] for one in run.of("attempt") if one["outcome"] == "kept"}


def test_recipes_that_round_otherwise_are_each_trained_again(
    tmp_path: Path, inputs: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cryoflux.toml").write_text(MIXED)
    run = cryoflux("run", *QUICK, *inputs, "--recipes", "whole,rounded", "--attempts", "4")
    assert recipes_kept(run) == {"whole", "rounded"}, run.of("attempt")
    found = retrained(tmp_path / "state", 4)
    assert exact(found) == len(found) == run.summary["kept"], found
