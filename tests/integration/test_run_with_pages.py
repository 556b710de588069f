"""``cryoflux run --dashboard``: pages beside a run, and none of them of it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest

from cryoflux.energy.clock import SystemClock
from cryoflux.energy.processes import ProcessTimes, find_owner
from hearing import events_of
from running import QUICK, ended, stopped_at
from waiting import PLAINLY, until


def serves(url: str) -> bool:
    try:
        return httpx2.get(url, **PLAINLY).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def options(inputs: list[str], tmp_path: Path) -> list[object]:
    return [
        "run",
        *inputs,
        *QUICK,
        "--budget",
        "24J",
        "--attempts",
        "1",
        "--json",
        "--dashboard",
        "--state",
        tmp_path / "state",
    ]


def test_pages_follow_a_run_to_its_end_and_end_after_it(options: list[object]) -> None:
    run = stopped_at("train", "begin", *options)
    url = said_at(run)
    assert "attempting #1" in httpx2.get(url, **PLAINLY).text
    client = httpx2.Client(**PLAINLY)
    with client, client.stream("GET", f"{url}/events?since=0.0") as answer:
        events = events_of(answer.iter_lines())
        os.kill(run.pid, signal.SIGINT)
        os.kill(run.pid, signal.SIGCONT)
        kinds = [event for event in events if event["kind"] in {"log", "ended"}]
    assert ended(run).code == 130
    assert any(event["kind"] == "log" for event in kinds)
    assert kinds[-1]["kind"] == "ended"
    assert kinds[-1]["word"] == "interrupted"
    assert "cryoflux dashboard --state" in kinds[-1]["closing"]
    until(lambda: not serves(url), "the pages end after the run")


def test_pages_are_not_of_the_run_and_are_not_charged_to_it(options: list[object]) -> None:
    run = stopped_at("train", "begin", *options)
    url = said_at(run)
    assert serves(url)
    owner = find_owner(run.pid, SystemClock().boot_id)
    assert owner is not None
    times = ProcessTimes(owner)
    times.read_us()
    assert pages_of(options) not in times.pids
    os.kill(run.pid, signal.SIGINT)
    os.kill(run.pid, signal.SIGCONT)
    ended(run)


def test_pages_end_with_a_run_that_is_killed(options: list[object]) -> None:
    run = stopped_at("train", "begin", *options)
    url = said_at(run)
    assert serves(url)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    until(lambda: not serves(url), "the pages end with the run")


def test_pages_that_fail_leave_the_run_alone(options: list[object]) -> None:
    run = stopped_at("train", "begin", *options)
    url = said_at(run)
    assert serves(url)
    os.kill(pages_of(options), signal.SIGKILL)
    os.kill(run.pid, signal.SIGCONT)
    done = ended(run)
    assert done.code == 0
    assert "the pages had ended before the run did" in done.stderr


def said_at(run: subprocess.Popen[str]) -> str:
    assert run.stderr is not None
    line = next(line for line in run.stderr if line.startswith("dashboard on "))
    return line.split()[-1]


def pages_of(options: list[object]) -> int:
    """The process that shows the pages of a run."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    wanted = b"cryoflux.pages.with_run\0" + str(options[-1]).encode()
    (found,) = (pid for pid in numbers if wanted in words_of(pid))
    return found


def words_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
