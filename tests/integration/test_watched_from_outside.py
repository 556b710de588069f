"""A real run, watched by another process: alive, dead after a kill, and over two runs one series."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from cryoflux.attempt.watch import Step
from cryoflux.queries.activity import read_activity
from cryoflux.queries.power import power_since
from cryoflux.state import StateFolder
from running import SURE, cryoflux, ended, stopped_at


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A state with one finished attempt."""
    state = tmp_path_factory.mktemp("begun") / "state"
    outcome = cryoflux(
        "run", *inputs, *SURE, "--budget", "120J", "--attempts", "1", "--state", state, "--json"
    )
    assert outcome.code == 0, outcome.stderr
    return state


def test_a_run_that_is_killed_is_told_as_dead_and_the_next_one_goes_on(begun: Path, tmp_path: Path) -> None:
    state = StateFolder(shutil.copytree(begun, tmp_path / "state", symlinks=True))
    before = read_activity(state)
    assert before is not None
    assert (before.alive, before.died, before.end.word) == (False, False, "attempts")
    arguments = ["run", *SURE, "--budget", "200J", "--attempts", "1", "--state", state.path, "--json"]
    process = stopped_at("train", "begin", *arguments)
    found = read_activity(state)
    assert (found.alive, found.pid, found.phase) == (True, process.pid, "attempting")
    assert (found.attempt.number, found.attempt.task, found.attempt.arm) == (2, "lora_delta", "lean")
    now = [mark.step for mark in found.attempt.steps if mark.state == "now"]
    assert now == [Step.TRAIN]
    assert 0 < found.budget.spent_uj < found.budget.spendable_uj
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    found = read_activity(state)
    assert (found.alive, found.died, found.phase, found.silent_s) == (False, True, "attempting", None)

    newest = power_since(state, 0).newest
    again = cryoflux("run", *SURE, "--attempts", "1", "--state", state.path, "--json")
    found = read_activity(state)
    assert (found.died, found.end.word, found.end.sentence) == (False, "attempts", again.summary["reason"])
    assert found.attempt.number == 3, "the killed one has its receipt by now"
    assert power_since(state, 0).newest >= newest
    assert cryoflux("verify", state.path).code == 0


def test_what_was_left_is_shown_as_a_part_of_a_state_and_no_fork_takes_it(
    begun: Path, tmp_path: Path
) -> None:
    state = StateFolder(shutil.copytree(begun, tmp_path / "state", symlinks=True))
    size = json.loads(cryoflux("state", "size", "--state", state.path, "--json").stdout)
    (part,) = [part for part in size["places"] if part["name"] == "activity"]
    assert part["files"] == len(list(state.activity.iterdir())) > 0
    assert cryoflux("fork", state.path, tmp_path / "fork").code == 0
    assert not StateFolder(tmp_path / "fork").activity.exists()
    assert cryoflux("state", "clean", "--yes", "--state", state.path).code == 0
    shutil.rmtree(state.activity)
    assert read_activity(state) is None
    assert cryoflux("verify", state.path).code == 0
