"""The tasks in `examples/tasks` run as a stranger would type them, improve, and verify."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path(__file__).resolve().parents[2] / "examples" / "tasks"
NEEDS = {
    "hf_trainer:Bytes": "transformers",
    "lightgbm_trees:Trees": "lightgbm",
    "sklearn_digits:Digits": "sklearn",
    "torch_loop:Curve": "torch",
}

pytestmark = [pytest.mark.slow, pytest.mark.process]


def typed(folder, *words):
    environment = os.environ | {"XDG_STATE_HOME": str(folder / "home"), "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(TASKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "cryoflux", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_run_here_and_says_what_to_type():
    assert {path.stem for path in TASKS.glob("*.py")} == {name.partition(":")[0] for name in NEEDS}
    for name in NEEDS:
        text = (TASKS / f"{name.partition(':')[0]}.py").read_text("utf-8")
        assert re.search(rf"PYTHONPATH=examples/tasks cryoflux run --task {name} --budget \d+J", text)


@pytest.mark.parametrize("task", NEEDS)
def test_a_task_of_ones_own_improves_and_verifies(tmp_path, task):
    if importlib.util.find_spec(NEEDS[task]) is None:
        pytest.skip(f"{NEEDS[task]} is not installed")
    out = typed(
        tmp_path, "run", "--task", task, "--budget", "600J", "--attempts", "2", "--state", "mine", "--json"
    )
    events = [json.loads(line) for line in out.splitlines()]
    attempts = [one for one in events if one["event"] == "attempt"]
    assert [one["number"] for one in attempts] == [1, 2]
    assert attempts[0]["accepted"], attempts[0]
    assert attempts[0]["delta"] > 0
    assert attempts[1]["delta"] is not None, "both were judged"
    typed(tmp_path, "verify", "mine")
