"""A run with a leak guard: what it leaves out is counted, signed and looked for again; so is what joins."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import tiny
from cryoflux.receipts.log import ReceiptLog
from guarded import LEAST
from running import SURE, Outcome, cryoflux
from unalike import rearranged, unalike

TEXTS = unalike(420, 1)
ROWS = [(text, "ab"[at % 2]) for at, text in enumerate(TEXTS[:360])]
HELD = [(text, "ab"[at % 2]) for at, text in enumerate(TEXTS[360:400])]
LEAKED = [(rearranged(text), label) for text, label in HELD[:5]]
GUARD = ["--leak-guard", str(LEAST / 1000)]


@pytest.fixture(scope="module")
def files(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name texts that are unalike, five copies of holdout texts among those to train on."""
    folder = tmp_path_factory.mktemp("unalike")
    train = tiny.write_csv(folder / "train.csv", [*ROWS[:100], *LEAKED, *ROWS[100:]])
    holdout = tiny.write_csv(folder / "holdout.csv", HELD)
    return [*inputs[:2], "--train", str(train), "--holdout", str(holdout)]


@pytest.fixture(scope="module")
def begun(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A state after one guarded attempt, and what the run said."""
    state = tmp_path_factory.mktemp("guarded") / "state"
    return state, run(*files, "--state", state, *GUARD)


@pytest.fixture
def options(begun: tuple[Path, Outcome], files: list[str], tmp_path: Path) -> list[str]:
    """Options of a run on a copy of it."""
    state = shutil.copytree(begun[0], tmp_path / "state", symlinks=True)
    return [*files, "--state", str(state)]


def run(*arguments: object) -> Outcome:
    return cryoflux("run", *arguments, *SURE, "--budget", "300J", "--attempts", "1", "--json")


def recomputed(state: Path) -> list[dict[str, Any]]:
    """What is found where nothing fails."""
    said = cryoflux("verify", state, "--no-memory", "--json", "--recompute", "1").stdout
    checks: list[dict[str, Any]] = json.loads(said)["checks"]
    assert [check for check in checks if check["status"] == "fail"] == []
    return checks


def test_what_is_left_out_is_counted_signed_and_looked_for_again(
    begun: tuple[Path, Outcome], files: list[str], tmp_path: Path
) -> None:
    state, outcome = begun
    (plan,) = cryoflux("run", *files, *GUARD, "--state", tmp_path / "none", "--dry-run", "--json").events
    (opened,) = outcome.of("opened")
    counts = {"leak_guard": LEAST / 1000, "similar_dropped": {"holdout": 5}}
    for said in (plan, opened):
        assert {name: said[name] for name in counts} == counts
        assert said["examples"]["train"] == 360 - said["examples"]["audit"]
    log = ReceiptLog.open(state)
    (intent,) = [entry.intent for entry in log.entries() if entry.intent is not None]
    log.close()
    assert intent.data.rules is not None
    similar = intent.data.rules.similar
    assert similar is not None
    assert (similar.rule, similar.least_milli, similar.dropped) == ("cosine/v1", LEAST, 5)
    (check,) = [check for check in recomputed(state) if check["name"] == "leak guard applied again"]
    assert (check["status"], check["knowledge"]) == ("ok", "recomputed")
    (leaks,) = cryoflux("leaks", "--state", state, "--json", "--threshold", str(LEAST / 1000)).events
    assert {name: leaks[name] for name in counts} == counts
    assert [one["near"] for one in leaks["sets"]] == [0] * len(leaks["sets"])


def test_a_state_keeps_its_guard_and_the_same_files_are_its_data(options: list[str]) -> None:
    (plan,) = cryoflux("run", *options, "--dry-run", "--json").events
    assert (plan["leak_guard"], plan["attempts"]) == (LEAST / 1000, 1)
    (again,) = cryoflux("run", *options, *GUARD, "--dry-run", "--json").events
    assert again["head"] == plan["head"]
    for other, words in (("0.9", "a leak guard of 0.9"), ("0", "no leak guard")):
        refused = cryoflux("run", *options, "--leak-guard", other, "--dry-run")
        assert refused.code != 0
        assert f"has a leak guard of 0.82, not {words}." in refused.stderr


def test_what_arrives_is_held_to_the_guard(options: list[str], tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    fresh = [(text, "ab"[at % 2]) for at, text in enumerate(TEXTS[400:])]
    path = tiny.write_csv(folder / "more.csv", [*fresh, (rearranged(HELD[9][0]), "a")])
    os.utime(path, (time.time() - 5, time.time() - 5))
    outcome = cryoflux(
        "run", *options, *SURE, "--watch", folder, "--budget", "300J", "--attempts", "1", "--json"
    )
    (joined,) = outcome.of("joined")
    assert (joined["joined"], joined["refused"]) == (len(fresh), {"similar": 1})
    assert joined["lines"] == {"similar": [len(fresh) + 2]}
    recomputed(tmp_path / "state")
