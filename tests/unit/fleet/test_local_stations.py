"""A worker's process as the coordinator sees it: one that gives no answer is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cryoflux.config import Settings
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.processes import find_owner
from cryoflux.fleet import local
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.gpus import VISIBLE, gpus_here
from cryoflux.fleet.local import LocalDispatcher, LocalStation
from cryoflux.state import StateFolder
from waiting import until

LAUNCH = local._LAUNCH.partition("from cryoflux")[0]
LOOP = (
    LAUNCH + "import sys\nsys.stdin.readline()\nfor line in sys.stdin:\n    {body}\n    sys.stdout.flush()\n"
)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalStation]:
    """A station whose process runs a program of a test."""
    begun, made = subprocess.Popen, []

    def start(body: str, patience_s: float = 60) -> LocalStation:
        program = LOOP.format(body=body)
        monkeypatch.setattr(
            local.subprocess, "Popen", lambda _, **how: begun([sys.executable, "-c", program], **how)
        )
        made.append(LocalStation("w1", tmp_path / "w1", tmp_path / "files", Settings(), patience_s))
        return made[-1]

    yield start
    for station in made:
        station.kill()


@pytest.mark.parametrize(
    "said", ["garbage", "[]", '{"document": 5}', '{"failed": "no"}', "\\xff\\xfe", '{"document": ["x"]}']
)
def test_what_is_no_answer_is_that_of_a_lost_worker(started, said: str) -> None:
    station = started(f"sys.stdout.buffer.write(b'{said}' + b'\\n')")
    with pytest.raises(FleetError, match="no answer that can be read"):
        station.settle("a1")


def test_an_error_of_a_worker_is_told_in_its_words_and_it_goes_on(started) -> None:
    answers = [
        '{"failed": true, "what": "The disk is full.", "hint": "Free some space."}',
        '{"document": "x"}',
    ]
    station = started(f"print({answers!r}.pop(0) if 'a1' in line else {answers[1]!r})")
    with pytest.raises(FleetError, match=r"w1: The disk is full\.") as told:
        station.settle("a1")
    assert "is lost" not in told.value.what
    assert station.settle("a2") == "x"


def test_one_that_ends_and_one_that_is_silent_are_lost(started) -> None:
    with pytest.raises(FleetError, match="its process has ended"):
        started("sys.exit(3)").settle("a1")
    silent = started("import time; time.sleep(10**6)", patience_s=0.2)
    with pytest.raises(FleetError, match="does not answer"):
        silent.settle("a1")
    assert silent.state() is None, "who asks how it goes does not wait for it"


def test_a_number_that_may_be_another_process_by_now_is_not_killed(
    started, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = started("sys.exit()")
    with pytest.raises(FleetError):
        station.settle("a1")
    killed: list[int] = []
    monkeypatch.setattr(local.os, "killpg", lambda pid, _: killed.append(pid))
    station.kill()
    assert killed == []


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [(None, ["GPU-a", "GPU-b"]), ("1, GPU-c,-1,0", ["1", "GPU-c"]), ("", []), ("-1", [])],
)
def test_the_gpus_of_a_machine_are_those_that_its_meter_reads_or_the_ones_that_were_chosen(
    visible: str | None, gpus: list[str]
) -> None:
    environ = {} if visible is None else {VISIBLE: visible}
    assert gpus_here(["rapl:package-0", "nvml:GPU-a", "nvml:GPU-b"], environ) == gpus


def test_each_worker_has_a_gpu_of_its_own_while_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = subprocess.Popen
    said = f"os.environ.get({VISIBLE!r}, '')"
    program = LOOP.format(body=f"print('{{\"document\": \"' + {said} + '\"}}')")
    monkeypatch.setattr(
        local.subprocess, "Popen", lambda _, **how: begun([sys.executable, "-c", program], **how)
    )
    for gpus, seen in ((["GPU-a", "GPU-b"], ["GPU-a", "GPU-b", "GPU-a"]), ([], [""] * 3)):
        names = ["w1", "w2", "w3"]
        dispatcher = LocalDispatcher(StateFolder(tmp_path / str(len(gpus))), names, Settings(), gpus=gpus)
        try:
            assert [station.settle("a1") for station in dispatcher.start()] == seen
            assert dispatcher.replace("w2").settle("a1") == seen[1]
        finally:
            dispatcher.close()


def test_the_frozen_worker_of_a_dead_run_is_ended_and_nobody_else(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    dispatcher = LocalDispatcher(state, [], Settings(), patience_s=0.1)
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        (state.workers / "w1").mkdir(parents=True)
        owner = find_owner(process.pid, SystemClock().boot_id)
        noted = state.workers / "w1" / "process.json"
        for other in ({"start_ticks": owner.start_ticks + 1}, {"boot_id": "another"}):
            noted.write_bytes(msgspec.json.encode({**msgspec.to_builtins(owner), **other}))
            assert not local._end_orphan(noted.parent)
        assert process.poll() is None
        local._note_process(noted.parent, process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        assert local._end_orphan(noted.parent)
        assert until(lambda: process.poll() is not None and process.returncode, "its end") == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
    with pytest.raises(FleetError, match="holds no account"):
        dispatcher.settle("w1", "a1")
