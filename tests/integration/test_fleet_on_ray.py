"""Workers as actors of a Ray cluster, where Ray is installed: one is killed, or the whole cluster is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from cryoflux.fleet.cluster import LocalCluster
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Cause
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from running import Outcome, cryoflux, ended, environment, python
from verifying import verify_target

pytestmark = [pytest.mark.process, pytest.mark.slow]
NEEDS_RAY = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("grpc") is None, reason="ray is not installed"
)
RECIPE = ["--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--policy", "uniform/v1"]
PORT = "9871"
"""below those that Ray gives to its own processes"""


class OnRay:
    """A state, and a cluster of this machine with room for two workers."""

    def __init__(self, folder: Path, inputs: list[str]) -> None:
        self.state, self.inputs, self.home = folder / "state", inputs, folder / "home"

    def said(self, *words: object, code: int = 0) -> Outcome:
        found = cryoflux(*words, "--state", self.state, cold=True)
        assert found.code == code, found.stdout + found.stderr
        return found

    def up(self) -> LocalCluster:
        self.said("fleet", "up", "--workers", "2", "--port", PORT)
        found = LocalCluster.of(StateFolder(self.state))
        assert found is not None
        return found

    def run(self, *words: object) -> subprocess.Popen[str]:
        return python(
            *("-m", "cryoflux", "run", "--json", "--state", self.state, *self.inputs, *RECIPE, *words),
            env=environment(CRYOFLUX_FLEET_HOME=str(self.home)),
            cold=True,
        )

    def run_on(self, cluster: LocalCluster, attempts: int) -> subprocess.Popen[str]:
        return self.run(
            *("--fleet", cluster.address, "--workers", 2, "--attempts", attempts, "--max-steps", 4000),
            *("--budget", "2kJ", "--worker-silence", "10"),
        )

    def failures(self) -> list[str]:
        checks = verify_target(self.state).checks
        return [f"{check.subject}: {check.detail}" for check in checks if check.status is Status.FAIL]


@pytest.fixture
def on_ray(tmp_path: Path, inputs: list[str]) -> Iterator[OnRay]:
    made = OnRay(tmp_path, inputs)
    yield made
    if (running := LocalCluster.of(StateFolder(made.state))) is not None:
        running.end(StateFolder(made.state))


def actors(running: subprocess.Popen[str]) -> list[int]:
    """The processes of a run's workers, once they have started."""
    for line in running.stdout or ():
        event = json.loads(line)
        if event["event"] == "workers":
            return [worker["pid"] for worker in event["workers"]]
    raise AssertionError("no worker started")


@NEEDS_RAY
def test_a_worker_that_is_killed_loses_its_attempt_and_nothing_else(on_ray: OnRay) -> None:
    running = on_ray.run_on(on_ray.up(), attempts=3)
    first, _ = actors(running)
    for line in running.stdout or ():
        event = json.loads(line)
        if event["event"] == "step" and (event["step"], event["moment"]) == ("reserve", "end"):
            os.kill(first, signal.SIGKILL)
            break
    found = ended(running)
    assert found.code == 0, found.stderr
    receipts = [entry.receipt for entry in read_entries(on_ray.state) if entry.receipt is not None]
    assert len(receipts) == 3
    assert [receipt.cause for receipt in receipts].count(Cause.LOST) == 1
    assert on_ray.failures() == []
    assert "w1.2" in on_ray.said("fleet", "status").stdout
    on_ray.said("fleet", "down")
    assert LocalCluster.of(StateFolder(on_ray.state)) is None


@NEEDS_RAY
def test_a_cluster_that_is_gone_is_told_and_the_next_run_closes_what_it_left(on_ray: OnRay) -> None:
    cluster = on_ray.up()
    running = on_ray.run_on(cluster, attempts=4)
    actors(running)
    for line in running.stdout or ():
        event = json.loads(line)
        if event["event"] == "step" and (event["step"], event["moment"]) == ("reserve", "end"):
            cluster.end(StateFolder(on_ray.state))
            break
    found = ended(running)
    assert found.code == 1, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    assert on_ray.failures() == []
    alone = on_ray.run("--attempts", 1, "--budget", "400J", "--max-steps", 60)
    assert ended(alone).code == 0
    assert on_ray.failures() == []
    entries = read_entries(on_ray.state)
    intents = sum(entry.intent is not None for entry in entries)
    assert intents == sum(entry.receipt is not None for entry in entries)


def test_a_cluster_that_anybody_could_use_is_refused_before_anything_is_written(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as open_to_all:
        address = f"ray://127.0.0.1:{open_to_all.getsockname()[1]}"
        fleet = ["--workers", 2, "--fleet", address, "--budget", "1kJ"]
        found = cryoflux("run", "--state", state, *inputs, *fleet)
    assert found.code == 2
    assert "not known to ask for a token" in found.stderr
    assert not state.exists()
