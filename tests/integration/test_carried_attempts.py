"""Chains of attempts of a real run: what survives a dead run, a lost file and another recipe."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Intent
from running import Outcome, cryoflux

TABLE = "[recipe.carry-1]\nfixed_steps = 1000000\n"
"""no rung comes, and so no plateau: joules end each attempt, or a look"""
RUN = [
    *("--learning-rate", "0.001", "--reserve", "6J", "--budget", "300J"),
    *("--recipes", "carry-1", "--policy", "uniform/v1"),
]
WATTS = str(8 * len(os.sched_getaffinity(0)))  # so that the joules of an attempt are soon spent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chains")
    (folder / "cryoflux.toml").write_text(TABLE)
    return folder


@pytest.fixture(scope="module")
def begun(place: Path, inputs: list[str]) -> Path:
    """A state whose chain goes on: three attempts, one at least carried."""
    outcome = learned(place, *inputs, "--attempts", "4", "--state", place / "begun")
    assert outcome.code == 0, outcome.stderr
    assert list((place / "begun" / "working").iterdir())
    return place / "begun"


def intents(state: Path) -> list[Intent]:
    log = ReceiptLog.open(state)
    try:
        return [entry.intent for entry in log.entries() if entry.intent is not None]
    finally:
        log.close()


def learned(place: Path, *words: object, kill_at: str = "") -> Outcome:
    return cryoflux("run", *RUN, *words, cwd=place, kill_at=kill_at, CRYOFLUX_TDP_W=WATTS)


def went_on(state: Path, place: Path, inputs: list[str], *options: object, kill_at: str = "") -> Outcome:
    return learned(place, *inputs, "--attempts", "1", "--state", state, *options, kill_at=kill_at)


def verified(state: Path, *options: str) -> dict[str, Any]:
    outcome = cryoflux("verify", state, "--no-memory", "--json", *options)
    assert outcome.code == 0, outcome.stdout
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def test_a_chain_is_trained_again_to_the_byte_without_its_working_file(begun: Path, tmp_path: Path) -> None:
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    shutil.rmtree(state / "working")
    report = verified(state, "--retrain", "1", "--recompute", "1")
    (words,) = [check["detail"] for check in report["checks"] if check["number"] == 15]
    assert words.count("reproduced exactly") == 1, words


def test_weighed_classes_stand_in_the_intent_and_are_weighed_again(
    place: Path, inputs: list[str], tmp_path: Path
) -> None:
    state, rows = tmp_path / "state", tiny.sentences(1500, 1)
    rare = rows[0][1]
    uneven = [row for at, row in enumerate(rows) if row[1] != rare or at % 4 == 0]
    inputs = [*inputs, "--train", str(tiny.write_csv(tmp_path / "uneven.csv", uneven))]
    outcome = learned(place, *inputs, "--attempts", "3", "--class-weights", "balanced", "--state", state)
    assert outcome.code == 0, outcome.stderr
    assert {intent.recipe["class_weights"] for intent in intents(state)} == {"balanced"}
    report = verified(state, "--retrain", "1", "--recompute", "1")
    (said,) = [check["detail"] for check in report["checks"] if check["number"] == 15]
    assert said.count("reproduced exactly") == 1, said
    assert went_on(state, place, inputs).code == 0  # without weights it is another recipe
    assert "class_weights" not in intents(state)[-1].recipe


@pytest.mark.parametrize("moment", ["train:end", "evaluate:begin", "record:begin"])
def test_a_run_that_was_killed_goes_on_with_the_chain(
    begun: Path, place: Path, inputs: list[str], tmp_path: Path, moment: str
) -> None:
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    killed = went_on(state, place, inputs, "--json", kill_at=moment)
    assert killed.code == -9, killed.stderr
    assert went_on(state, place, inputs).code == 0
    died, after = intents(state)[-2:]
    assert died.chain is not None
    assert after.chain == died.chain
    assert after.seed == died.seed
    verified(state)


def said_of(state: Path) -> str:
    """All that `verify` says of a state that it takes."""
    return " ".join(check["detail"] for check in verified(state)["checks"])


def test_a_lost_working_file_is_given_up_and_named(
    begun: Path, place: Path, inputs: list[str], tmp_path: Path
) -> None:
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    shutil.rmtree(state / "working")
    assert went_on(state, place, inputs).code == 0
    link = intents(state)[-1].chain
    assert link is not None
    assert (link.working, bool(link.left_by)) == ("", True)
    assert "its working update is gone" in said_of(state)


def test_another_rank_begins_a_chain_anew_and_says_so(
    begun: Path, place: Path, inputs: list[str], tmp_path: Path
) -> None:
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    outcome = went_on(state, place, inputs, "--rank", "4")
    assert outcome.code == 0, outcome.stderr
    assert "its recipe is another one" in said_of(state)


def test_a_folder_that_a_link_leads_to_keeps_its_files(
    begun: Path, place: Path, inputs: list[str], tmp_path: Path
) -> None:
    """A state that somebody sent: its folder of working updates is a link to one of ours."""
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    theirs = shutil.move(state / "working", tmp_path / "theirs")
    (theirs / "thesis.tex").write_text("precious")
    before = {path.name for path in theirs.iterdir()}
    (state / "working").symlink_to(theirs)
    assert went_on(state, place, inputs).code == 0
    assert before <= {path.name for path in theirs.iterdir()}
