"""Accidents of a real process: killed, interrupted, full disk, two runs at once. Nothing is lost."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from cryoflux.attempt.context import Step
from running import SURE, Outcome, cryoflux, ended, python, stopped_at


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A state with one finished attempt."""
    state = tmp_path_factory.mktemp("begun") / "state"
    outcome = cryoflux(
        "run", *inputs, *SURE, "--budget", "120J", "--attempts", "1", "--state", state, "--json"
    )
    assert outcome.code == 0, outcome.stderr
    return state


def ledger(state: Path) -> dict:
    return json.loads(cryoflux("energy", "ledger", "--state", state, "--json").stdout)


def assert_whole(state: Path) -> None:
    verified = cryoflux("verify", state)
    assert verified.code == 0, verified.stdout


MOMENTS = [(step, moment) for step in Step for moment in ("begin", "end")]


@pytest.mark.parametrize(("step", "moment"), MOMENTS, ids=str)
def test_a_kill_at_any_step_loses_no_receipt_and_no_joule(
    begun: Path, tmp_path: Path, step: Step, moment: str
) -> None:
    from transformers import AutoModelForSequenceClassification

    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    listed = json.loads(cryoflux("receipts", "list", "--state", state, "--json").stdout)["entries"]
    killed = cryoflux(
        "run", *SURE, "--budget", "200J", "--attempts", "1", "--state", state, "--json",
        kill_at=f"{step.value}:{moment}",
    )  # fmt: skip
    assert killed.code == -signal.SIGKILL, killed.stderr
    assert_whole(state)
    AutoModelForSequenceClassification.from_pretrained(state / "base_model")

    again = cryoflux("run", *SURE, "--attempts", "1", "--state", state, "--json")
    assert again.code == 0, again.stdout + again.stderr
    assert_whole(state)
    after = json.loads(cryoflux("receipts", "list", "--state", state, "--json").stdout)["entries"]
    assert after[: len(listed)] == listed
    was_announced = list(Step).index(step) > list(Step).index(Step.ANNOUNCE) or (step, moment) == (
        Step.ANNOUNCE,
        "end",
    )
    was_recorded = (step, moment) == (Step.RECORD, "end")
    closed = again.of("recovered")
    assert len(closed) == (was_announced and not was_recorded)
    assert len(after) == len(listed) + was_announced + 1
    had_trained = list(Step).index(step) > list(Step).index(Step.TRAIN)
    if closed and had_trained:
        # Spending is noted once a second: what came after the last note is inside the interval.
        assert closed[0]["joules_spent"] <= closed[0]["joules_hi"]
        assert closed[0]["joules_hi"] > 0, "what was spent is charged, or said to be unknown"
    everything = json.loads(cryoflux("receipts", "list", "--intents", "--state", state, "--json").stdout)[
        "entries"
    ]
    sessions = [entry for entry in everything if entry["kind"] == "session"]
    assert [session["outcome"] for session in sessions][1:] == ["crashed", "attempts"]
    charged = sum(receipt["joules_spent"] for receipt in after)
    charged += sum(session["joules_beside"] for session in sessions)
    granted = 120 + 200
    assert again.summary["remaining_joules"] == pytest.approx(granted - charged, abs=1e-6)
    assert not [p for p in (state / "models").iterdir() if p.name.startswith(".")]


LONG = ["--learning-rate", "0.01", "--reserve", "400J", "--budget", "800J", "--json"]


def interrupted(state: Path, inputs: list[str], presses: int, *, cold: bool = False) -> Outcome:
    process = stopped_at("train", "begin", "run", *inputs, *LONG, "--state", state, cold=cold)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    heard = ""
    if presses > 1:
        # the second press must be a second one, also for the interpreter
        while "stopping" not in (line := process.stderr.readline()):
            assert line, "the first Ctrl-C was not heard"
            heard += line
        process.send_signal(signal.SIGINT)
    rest = ended(process)
    return Outcome(rest.code, rest.stdout, heard + rest.stderr)


def test_one_ctrl_c_records_the_attempt_as_aborted_and_charges_it(tmp_path: Path, inputs: list[str]) -> None:
    outcome = interrupted(tmp_path / "s", inputs, presses=1, cold=True)
    assert outcome.code == 130
    (attempt,) = outcome.of("attempt")
    assert attempt["decision"] == "aborted"
    assert "interrupted" in attempt["reason"]
    assert attempt["joules_spent"] > 0
    assert outcome.events[-1]["event"] == "summary"
    assert outcome.events[-1]["ended"] == "interrupted"
    assert_whole(tmp_path / "s")


def test_a_second_ctrl_c_stops_at_once_and_the_next_run_records_it(tmp_path: Path, inputs: list[str]) -> None:
    outcome = interrupted(tmp_path / "s", inputs, presses=2)
    assert outcome.code == 130
    assert "Traceback" not in outcome.stderr
    assert_whole(tmp_path / "s")
    again = cryoflux("run", *SURE, "--attempts", "1", "--state", tmp_path / "s", "--json")
    assert len(again.of("recovered")) + len(outcome.of("attempt")) == 1
    assert_whole(tmp_path / "s")


def test_a_second_run_on_a_live_state_is_refused_and_a_dead_ones_lock_is_not(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "s"
    live = stopped_at("train", "begin", "run", *inputs, *LONG, "--state", state)
    refused = cryoflux("run", *inputs, *SURE, "--budget", "200J", "--state", state)
    assert refused.code == 2
    assert "in use by cryoflux run" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 3
    live.kill()
    live.communicate()
    assert cryoflux("run", *SURE, "--attempts", "1", "--state", state).code == 0


def test_a_full_disk_is_named_and_nothing_is_half_written(begun: Path, tmp_path: Path) -> None:
    state = shutil.copytree(begun, tmp_path / "state", symlinks=True)
    before = cryoflux("receipts", "list", "--state", state, "--json").stdout
    # No file may grow beyond 100 kB: the merged model does not fit, as on a disk that is nearly full.
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from cryoflux.cli.main import main; main()"
    )
    result = ended(python("-c", program, "run", *SURE, "--budget", "200J", "--state", state))
    assert result.code == 5, result.stderr
    assert str(state) in result.stderr
    assert "Traceback" not in result.stderr
    assert_whole(state)
    again = cryoflux("run", *SURE, "--attempts", "1", "--state", state, "--json")
    assert again.code == 0, again.stderr
    assert len(again.of("recovered")) == 1
    assert_whole(state)
    assert cryoflux("receipts", "list", "--state", state, "--json").stdout.startswith(before[:200])


def test_a_state_that_cannot_be_made_is_named(inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    outcome = cryoflux("run", *inputs, *SURE, "--budget", "200J", "--state", tmp_path / "file" / "s")
    assert outcome.code == 5
    assert "--state DIR" in outcome.stderr
