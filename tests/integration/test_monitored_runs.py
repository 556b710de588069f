"""A head that fresh examples show to be worse is left by itself, and the log says why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.session import MonitorCheck
from running import QUICK, Outcome, cryoflux, python

TOPICS = sorted(tiny.TOPICS)
OTHER = dict(zip(TOPICS, [*TOPICS[1:], TOPICS[0]], strict=True))
"""what a topic is called after the world has changed"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A state whose head has learned something."""
    state = tmp_path_factory.mktemp("grown") / "state"
    options = ["--attempts", "2", "--monitor-size", "60"]
    run = cryoflux("run", *inputs, *QUICK, *options, "--budget", "48J", "--state", state, "--json")
    assert run.summary["kept"] >= 1
    assert run.of("monitored")[-1]["back_to"] is None, "its sealed slice speaks for the head"
    return state


@pytest.fixture
def state(grown: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(grown, tmp_path / "state", symlinks=True)


def fed(folder: Path, count: int = 200, *, changed: bool) -> Path:
    """Fresh examples: as those that were trained on, or after the world has changed."""
    rows = tiny.sentences(count, 7)
    return tiny.write_csv(folder / "fed.csv", [(t, OTHER[c]) if changed else (t, c) for t, c in rows])


def run(state: Path, *options: object) -> Outcome:
    return cryoflux("run", *QUICK, "--budget", "30J", "--attempts", "1", "--state", state, "--json", *options)


def looks(state: Path) -> list[MonitorCheck]:
    """What sessions say of the monitor, session by session."""
    return [check for entry in read_entries(state) if entry.session for check in entry.session.checks]


def verified(state: Path, *options: str) -> tuple[Outcome, dict[str, Any]]:
    outcome = cryoflux("verify", state, "--no-memory", "--json", *options)
    return outcome, json.loads(outcome.stdout)


def head(state: Path) -> str:
    return (state / "base_model").readlink().name


@pytest.mark.parametrize("wrong", ["missing", "half", "pipe"])
def test_a_file_that_cannot_be_read_is_refused_before_anything_is_spent(
    state: Path, tmp_path: Path, wrong: str
) -> None:
    file, entries = tmp_path / "fed.csv", len(looks(state))
    if wrong == "half":
        file.write_text(fed(tmp_path, changed=False).read_text() + '"half a ro')
    elif wrong == "pipe":
        os.mkfifo(file)
    refused = run(state, "--monitor", file)
    assert refused.code == 2, refused.stdout
    assert "fed.csv" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 3
    assert refused.of("opened") == []
    assert len(looks(state)) == entries


def test_too_little_that_counts_is_said(state: Path, inputs: list[str], tmp_path: Path) -> None:
    known = Path(inputs[inputs.index("--train") + 1]).read_text().splitlines()[:50]
    strange = [f"something new {n},of no class" for n in range(40)]
    file = tmp_path / "fed.csv"
    file.write_text("\n".join([*known, *strange, "one fresh row beside,animals"]) + "\n")
    (said,) = run(state, "--monitor", file).of("unmonitored")
    assert said["problem"].startswith("1 examples count, and 30 are needed")
    assert "49 are copies" in said["problem"]
    assert "40 of no class" in said["problem"]


def test_a_head_that_is_worse_is_left_by_itself_and_its_evidence_is_computed_again(
    state: Path, tmp_path: Path
) -> None:
    before = head(state)
    ended = run(state, "--monitor", fed(tmp_path, changed=True))
    assert ended.code == 0, ended.stderr
    (look,) = [one for one in ended.of("monitored") if one["back_to"]]
    assert look["evidence"] >= look["needed"]
    assert head(state) == look["back_to"] != before
    outcome, report = verified(state, "--recompute", "1")
    assert outcome.code == 0, outcome.stdout
    again = [c for c in report["checks"] if c["name"] == "losses of a rollback evaluated again"]
    assert [c["status"] for c in again] == ["ok"]
    assert "reproduced exactly" in again[0]["detail"]
    looked = [c for c in report["checks"] if c["name"] == "a look at the monitor evaluated again"]
    assert [c["status"] for c in looked] == ["ok"]
    assert "reproduced exactly" in looked[0]["detail"]
    asked = [c["detail"] for c in report["checks"] if c["status"] == "unknown" and c["number"] in {8, 9}]
    assert [detail for detail in asked if "it was held against before" not in detail] == []
    assert len(asked) == 1, "the sealed slice was taken for the same head"


def test_examples_that_agree_leave_the_head_where_it_is(state: Path, tmp_path: Path) -> None:
    before = head(state)
    ended = run(state, "--monitor", fed(tmp_path, changed=False), "--policy", "uniform/v1")
    assert ended.of("monitored")
    assert all(one["back_to"] is None for one in ended.of("monitored"))
    assert ended.summary["attempts"] == 1
    assert ended.summary["kept"] or head(state) == before
    assert verified(state)[0].code == 0


def test_what_a_look_cost_is_said_by_the_session_and_is_paid_once(state: Path, tmp_path: Path) -> None:
    file, known = fed(tmp_path, changed=False), len(looks(state))
    for _ in range(2):
        assert run(state, "--monitor", file, "--recipes", "prefix-1", "--error-budget", "1e-6").code == 0
    first, *later = looks(state)[known:]
    assert first.microjoules > 0
    same = [look for look in later if (look.head, look.sha256) == (first.head, first.sha256)]
    assert same
    assert all(look.microjoules < first.microjoules for look in same)


CRASH = """
import os, signal, sys
from cryoflux.cli.main import main
from cryoflux.registry.versions import Versions

link, moves = sys.argv[1], Versions.point_head

def dies(self, digest, task="lora_delta", lists=None):
    if os.readlink(link) != f"models/{digest}":
        os.kill(os.getpid(), signal.SIGKILL)
    moves(self, digest, task, lists)

Versions.point_head = dies
sys.argv = ["cryoflux", *sys.argv[2:]]
main()
"""
"""a run that dies when it would move the link"""


def test_a_run_that_dies_between_entry_and_link_has_gone_back_all_the_same(
    state: Path, tmp_path: Path
) -> None:
    before, file = head(state), fed(tmp_path, changed=True)
    driver = tmp_path / "dies.py"
    driver.write_text(CRASH)
    options = [*QUICK, "--budget", "30J", "--attempts", "1", "--state", state, "--json", "--monitor", file]
    process = python(driver, state / "base_model", "run", *options)
    process.communicate()
    assert process.returncode == -9
    assert head(state) == before, "the link had not followed yet"
    assert verified(state)[0].code == 0, "which is no damage"
    (gone_back,) = (entry.move for entry in read_entries(state) if entry.move)
    assert gone_back.base.digest == before != gone_back.result.digest
    # Its sealed slice may lead it back to where it was: wherever it is, the link follows.
    goes_on = run(state)
    assert goes_on.of("opened")[0]["base_model_hash"] == gone_back.result.digest
    assert goes_on.summary["base_model_hash"] == head(state)
    assert verified(state)[0].code == 0


def test_copies_and_strange_classes_count_for_nothing(state: Path, tmp_path: Path, inputs: list[str]) -> None:
    trained = Path(inputs[-1]).read_text().splitlines()[1:101]
    file = fed(tmp_path, changed=False)
    with file.open("a") as stream:
        stream.write("\n".join([*trained, "something entirely different,weather"]) + "\n")
    look = run(state, "--monitor", file).of("monitored")[0]
    assert look["examples"] <= 200
    assert look["examples_known"] >= 100
    assert look["examples_of_strange_classes"] == 1


def test_what_was_gone_back_from_gained_nothing(tmp_path: Path, inputs: list[str]) -> None:
    options = ["--budget", "48J", "--attempts", "2", "--monitor", fed(tmp_path, changed=True)]
    ended = cryoflux("run", *inputs, *QUICK, *options, "--state", tmp_path / "new", "--json")
    assert [one for one in ended.of("monitored") if one["back_to"]]
    assert ended.summary["kept"] >= 1
    assert ended.summary["delta"] == 0
    assert ended.summary["holdout"]["loss_after"] == ended.summary["holdout"]["loss_before"]
