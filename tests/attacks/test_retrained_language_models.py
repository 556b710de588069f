"""An update of a language model that was not trained as its receipt says, in a log that is perfect in itself.

The owner has every key and changes the trainer. What is recorded is the recipe, the seed, the documents and
the schedule of an honest attempt; losses, list and decision are true. Only training again tells it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from causal_families import make_family
from cryoflux.verification.apart import FAR
from running import cryoflux, python

OWNER = """
import sys
from dataclasses import replace
from cryoflux.attempt import fitting
from cryoflux.cli.main import main
from cryoflux.tasks.causal import training

how = sys.argv.pop(1)
honest, slice_digest = training.train_causal, fitting.slice_digest

def told(network, lesson, recipe, limits, into, *, seed, **rest):
    if how == "seed":
        seed += 1
    elif how == "documents":
        lesson = replace(lesson, rows=lesson.rows[::-1])
    elif how == "recipe":
        recipe = replace(recipe, learning_rate=recipe.learning_rate / 2)
    made = honest(network, lesson, recipe, limits, into, seed=seed, **rest)
    if how == "steps":
        fewer = dict(steps=made.steps - 1, planned_steps=made.planned_steps - 1)
        made = replace(made, used=made.used - recipe.batch_size, **fewer)
    return made

training.train_causal = told
if how == "drawn":
    fitting.slice_digest = lambda drawn: slice_digest(drawn[::-1])
main()
"""
RUN = [
    *(
        "--task",
        "causal-lm",
        "--reserve",
        "25J",
        "--budget",
        "60J",
        "--attempts",
        "1",
        "--recipes",
        "lora-all",
    ),
    *("--learning-rate", "0.02", "--max-steps", "8", "--dropout", "0.1", "--holdout-size", "40"),
]
"""Steps end the training long before the joules do, however busy the machine is."""
ELSEWHERE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""a processor of few instructions, as far as the libraries know"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A tiny model, and documents that it can learn."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [{"prompt": f"{n * n * 7919 % 99991}: ", "completion": "yes yes yes"} for n in range(1, 301)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--model", make_family("llama", folder / "base"), "--train", folder / "train.jsonl"]


def trained(state: Path, inputs: list[object], how: str = "honest") -> Path:
    """A state with one kept update, of which something else is told than was done."""
    asked = ["run", *RUN, *inputs, "--state", state, "--json"]
    process = python("-c", OWNER, how, *asked)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout.splitlines()[-1])["kept"] == 1
    return state


def retrained(state: Path, **limits: str) -> tuple[int, dict[str, Any]]:
    """How the command ends, and what it says of the training."""
    asked = ("verify", state, "--no-memory", "--retrain", "1", "--json")
    outcome = cryoflux(*asked, cold=bool(limits), **limits)
    report = json.loads(outcome.stdout)
    (check,) = [check for check in report["checks"] if check["number"] == 15]
    (levels,) = report["levels"]
    return outcome.code, {
        **check,
        "word": levels["levels"]["retraining"],
        **levels.get("trained_again", {}),
    }


def test_an_honest_one_is_reproduced_here_and_open_elsewhere(tmp_path: Path, inputs: list[object]) -> None:
    state = trained(tmp_path / "honest", inputs)
    code, check = retrained(state)
    assert (code, check["status"], check["word"]) == (0, "ok", "reproduced exactly"), check
    code, check = retrained(state, **ELSEWHERE)
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes"), check
    assert 0 < check["distance"] < 0.63


@pytest.mark.parametrize("how", ["seed", "documents", "recipe", "steps"])
def test_what_was_trained_otherwise_is_not_reproduced(how: str, tmp_path: Path, inputs: list[object]) -> None:
    code, check = retrained(trained(tmp_path / how, inputs, how))
    assert (code, check["status"]) == ((1, "fail") if check["distance"] >= FAR else (0, "unknown"))
    assert check["word"] == "not reproduced", check
    assert "software, processor and threads are the same as there" in check["detail"]
    assert (check["distance"] >= FAR) == (how in {"seed", "recipe"})


def test_documents_that_no_attempt_would_have_drawn_are_refuted(tmp_path: Path, inputs: list[object]) -> None:
    code, check = retrained(trained(tmp_path / "drawn", inputs, "drawn"))
    assert (code, check["status"], check["word"]) == (1, "fail", "refuted"), check
    assert "documents that its steps draw are not those that it names" in check["detail"]
