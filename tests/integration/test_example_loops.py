"""The loops in `examples/loops` run as a stranger would type them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOOPS = Path(__file__).resolve().parents[2] / "examples" / "loops"
NEEDS = {
    "plain_pytorch.py": "torch",
    "with_accelerate.py": "accelerate",
    "with_lightning.py": "lightning",
    "with_trainer.py": "transformers",
}
FIGURE = re.compile(r"-?[0-9.]+ J \[-?[0-9.]+, -?[0-9.]+\] \([a-z -]+(, [a-z0-9 %-]+)?\) in [0-9.]+ s")

pytestmark = [pytest.mark.slow, pytest.mark.process]


def run(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    environment = os.environ | {"XDG_STATE_HOME": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(LOOPS / name), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done


def test_every_loop_is_run_here():
    assert {path.name for path in LOOPS.glob("*.py")} == set(NEEDS)


def test_a_plain_loop_says_what_each_epoch_has_cost(tmp_path):
    lines = run("plain_pytorch.py", tmp_path).stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3", "all of it"]
    assert all(FIGURE.search(line) for line in lines)


@pytest.mark.parametrize("name", ["with_accelerate.py", "with_lightning.py"])
def test_a_loop_under_a_library_says_what_it_has_cost(tmp_path, name):
    assert FIGURE.search(run(name, tmp_path).stdout)


def test_a_trainer_script_with_one_line_added_leaves_its_record(tmp_path):
    done = run("with_trainer.py", tmp_path, "trained")
    told = json.loads((tmp_path / "trained" / "cryoflux-energy.json").read_text())
    assert told["complete"], told
    assert [loss["name"] for loss in told["losses"]] == ["eval_loss"]
    assert FIGURE.search(done.stderr)
