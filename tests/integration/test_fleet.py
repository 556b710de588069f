"""Runs with workers, as somebody types them: what they train, see and cost, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from cryoflux.digests import file_digest
from cryoflux.receipts.charged import WORKER_LOST
from cryoflux.receipts.session import SessionEnd
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.state import StateFolder
from fleet_end import assert_settled, begun, driven, entries, processes_of, receipts
from running import Outcome as Ended
from running import cryoflux, ended
from waiting import until

RECIPE = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--max-steps", "400"),
    *("--policy", "uniform/v1", "--json"),
]


@pytest.fixture(scope="module")
def crewed(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> tuple[Path, Ended]:
    """A finished run of two workers."""
    state = tmp_path_factory.mktemp("crewed") / "state"
    words = ["--state", state, "--workers", "2", "--attempts", "5", "--budget", "900J"]
    return state, cryoflux("run", *inputs, *RECIPE, *words)


def test_workers_make_as_many_attempts_as_were_asked_for_and_all_is_accounted_for(crewed) -> None:
    state, outcome = crewed
    assert outcome.summary["attempts"] == 5, "which is no multiple of the workers"
    assert outcome.summary["kept"] >= 1
    assert_settled(state)
    assert sum(begun(state).values()) == 5
    found = receipts(state)
    assert {part.worker for one in found for part in one.energy.parts} == {"", "w1", "w2"}
    keys = {event["meter_key_id"] for one in outcome.of("attempt") for event in one["parts"]}
    assert len(keys) == 3, "each has a meter of its own"
    (session,) = [entry.session for entry in entries(state) if entry.session is not None]
    assert [part.worker for part in session.energy.parts] == ["", "w1", "w2"]
    assert all(part.microjoules > 0 for part in session.energy.parts), "starting up is paid for, too"
    charged = sum(one.energy.microjoules for one in found) + session.energy.microjoules
    summary = outcome.summary
    assert summary["joules"] + summary["overhead"]["joules"] == pytest.approx(charged / 1e6)
    open_at_once, most = 0, 0
    for entry in entries(state):
        open_at_once += (entry.intent is not None) - (entry.receipt is not None)
        most = max(most, open_at_once)
    assert most == 2


def test_what_workers_trained_comes_out_again_to_the_byte(crewed) -> None:
    state, _ = crewed
    outcome = cryoflux("verify", state, "--recompute", "2", "--retrain", "5", "--json")
    assert outcome.code == 0, outcome.stdout
    again = [one for one in json.loads(outcome.stdout)["checks"] if one["number"] == 15]
    assert again
    assert all(one["status"] == "ok" and "the same bytes" in one["detail"] for one in again), again
    moved = [
        one for one in receipts(state) if one.outcome is not Outcome.ABORTED and one.base != _first(state)
    ]
    assert moved, "some were judged against a head that was not there when they were announced, or after it"


def _first(state: Path):
    return next(entry.intent.base for entry in entries(state) if entry.intent is not None)


def test_no_worker_sees_an_example_that_judges(crewed) -> None:
    state, _ = crewed
    folder = StateFolder(state)
    (data,) = folder.data("_").parent.iterdir()
    sets = {path.name: path for path in data.iterdir()}
    judging = {name: path for name, path in sets.items() if name not in {"train.jsonl", "labels.json"}}
    assert {"holdout.jsonl", "audit.jsonl"} <= judging.keys()
    lines = {line for path in judging.values() for line in path.read_bytes().splitlines() if len(line) > 20}
    assert len(lines) >= 150
    digests = {file_digest(path) for path in judging.values()}
    seen = [path for path in folder.fleet.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.name for path in seen} >= {"train.jsonl", "labels.json", "account.db"}
    for path in seen:
        assert file_digest(path) not in digests, path
        content = path.read_bytes()
        assert not any(line in content for line in lines), path


def test_the_keys_of_all_meters_are_kept_and_can_be_named(crewed, tmp_path: Path) -> None:
    state, _ = crewed
    folder = StateFolder(state).meters
    assert {path.name.partition("-")[0] for path in folder.iterdir()} == {"coordinator", "w1", "w2"}
    assert "under other keys" not in cryoflux("verify", state).stdout, "the state knows its workers"
    spaced = tmp_path / "my state"
    spaced.symlink_to(state)
    shown = cryoflux("fleet", "status", "--state", spaced).stdout
    (said,) = re.findall(r"^next +cryoflux (.*)", shown, re.MULTILINE)
    assert shlex.split(said) == ["verify", str(spaced), "--meter-key", str(StateFolder(spaced).meters)]
    named = cryoflux(*shlex.split(said))
    assert named.code == 0, named.stdout
    assert "metered under keys that you named" in named.stdout
    one = cryoflux("verify", state, "--meter-key", state / "keys" / "meter.pub")
    assert one.code == 1
    assert one.stdout.count("if you trust it, name its key too") == 2, "once for each of the workers' keys"
    status = cryoflux("fleet", "status", "--state", state, COLUMNS="80").stdout
    assert max(map(len, status.splitlines())) <= 80
    assert {path.stem.partition("-")[2] for path in folder.glob("w*")} <= set(
        re.findall("[0-9a-f]{16}", status)
    )


def test_ctrl_c_ends_workers_too_and_what_they_were_at_is_told(crewed) -> None:
    state, _ = crewed
    before = sum(begun(state).values())
    held = dict.fromkeys(("w1", "w2"), "hold@cryoflux.fleet.worker:Worker.trained:after:3")
    process = driven(held, *RECIPE, "--state", state, "--workers", "2")
    until(lambda: sum(begun(state).values()) == before + 2 or process.poll() is not None, "both to begin")
    assert processes_of(state)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130, outcome.stderr
    assert_settled(state)
    assert [one.cause for one in receipts(state)[-2:]] == [Cause.INTERRUPTED] * 2
    assert [entry.session.ended for entry in entries(state) if entry.session][-1] is SessionEnd.INTERRUPTED


def test_a_worker_that_would_have_nothing_to_do_is_not_started(tmp_path: Path, inputs: list[str]) -> None:
    state = tmp_path / "state"
    words = ["--recipes", "carry-1", "--reserve", "40J", "--max-steps", "10", "--budget", "900J"]
    ways = ["--workers", "2", "--attempts", "1", "--state", state]
    outcome = cryoflux("run", *inputs, *words, *ways)
    assert outcome.code == 0, outcome.stderr
    assert "1 of 2 started: a chain has work for one" in outcome.stdout + outcome.stderr
    assert [path.name for path in StateFolder(state).workers.iterdir()] == ["w1"]
    assert {entry.intent.slots for entry in entries(state) if entry.intent} == {1}
    assert_settled(state)


def test_a_worker_with_the_key_of_the_coordinators_meter_is_refused_and_spoils_no_log(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    words = [*RECIPE, "--state", state, "--attempts", "1", "--budget", "900J"]
    assert cryoflux("run", *inputs, *words).code == 0
    shutil.copytree(state / "keys", StateFolder(state).workers / "w1" / "keys")
    outcome = cryoflux("run", *words, "--workers", "1")
    assert outcome.code == 1, outcome.stderr
    assert "meters by the key of the coordinator's meter" in outcome.stderr
    assert_settled(state)
    (part,) = [part for entry in entries(state) if entry.session for part in entry.session.energy.parts[1:]]
    assert part.flags == [WORKER_LOST]


def test_when_the_time_is_up_what_is_open_is_finished_and_nothing_else_begun(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    late = {"": "wait@cryoflux.fleet.crew:Crew.begin:after:2"}
    words = ["--state", state, "--workers", "2", "--budget", "900J", "--for", "30m", "--max-steps", "20"]
    outcome = ended(driven(late, *inputs, *RECIPE, *words))
    assert (outcome.code, outcome.summary["ended"]) == (0, "time"), outcome.stderr
    assert_settled(state)
    assert [one.cause for one in receipts(state)] == [Cause.NONE] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2", "--agent", "http://127.0.0.1:9"], "by a daemon"),
        (["--workers", "2", "--watch", "."], "does not watch"),
        (["--workers", "2", "--task", "causal-lm"], "not trained by workers"),
        (["--workers", "-1"], "workers"),
        (["--workers", "64"], "workers"),
        (["--workers", "2", "--fleet", "nowhere"], "nowhere"),
        (["--worker-agent", "http://127.0.0.1:9"], "No worker is asked for"),
    ],
)
def test_what_workers_cannot_do_is_refused_before_anything_is_written(
    tmp_path: Path, inputs: list[str], words: list[str], said: str
) -> None:
    state = tmp_path / "state"
    outcome = cryoflux("run", *inputs, "--budget", "900J", "--state", state, *words)
    assert outcome.code == 2, outcome.stderr
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not state.exists()


def test_a_dry_run_starts_no_worker(tmp_path: Path, inputs: list[str]) -> None:
    state = tmp_path / "state"
    outcome = cryoflux(
        "run", *inputs, *RECIPE, "--workers", "2", "--budget", "900J", "--dry-run", "--state", state
    )
    assert outcome.code == 0, outcome.stderr
    assert not state.exists()
