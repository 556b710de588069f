"""A run that watches a folder: what arrives joins, is trained on and verified; however the run ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tiny
from browser import dashboard
from cryoflux.agent.client import AgentClient
from cryoflux.digests import write_checksums
from cryoflux.queries.activity import read_activity
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Intent
from cryoflux.state import StateFolder
from running import cryoflux, start
from waiting import until

ROWS = tiny.sentences(640, 1)
RUN = ["--reserve", "6J", "--recipes", "prefix-1", "--policy", "uniform/v1", "--seed", "0"]


class Watched:
    """A state, a folder, and the processes that watch it."""

    def __init__(self, place: Path, inputs: list[str]) -> None:
        self.state, self.folder, self.log = place / "state", place / "in", place / "events.jsonl"
        self.folder.mkdir()
        self._place, self._inputs = place, inputs
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: object) -> None:
        where = ["--state", self.state, "--watch", self.folder, "--log", self.log]
        self.process = start(
            "run", *self._inputs, *RUN, *where, *options, cwd=self._place, cold=True, CRYOFLUX_TDP_W="4"
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in found if event["event"] == kind]

    def until(self, done: Callable[[], bool], what: str) -> None:
        def reached() -> bool:
            assert self.process is not None
            assert done() or self.process.poll() is None, self.process.communicate()
            return done()

        until(reached, what)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.done()

    def done(self) -> int:
        """How the process ends by itself."""
        assert self.process is not None
        self.process.communicate()
        return self.process.returncode

    def arrive(self, name: str, rows: list[tuple[str, str]]) -> None:
        draft = tiny.write_csv(self._place / "draft.csv", rows)
        past = time.time() - 5
        os.utime(draft, (past, past))
        draft.rename(self.folder / name)

    def intents(self) -> list[Intent]:
        log = ReceiptLog.open(self.state)
        try:
            return [entry.intent for entry in log.entries() if entry.intent is not None]
        finally:
            log.close()

    def failures(self) -> list[dict[str, Any]]:
        outcome = cryoflux("verify", self.state, "--no-memory", "--json")
        return [check for check in json.loads(outcome.stdout)["checks"] if check["status"] == "fail"]


@pytest.fixture
def watched(tmp_path: Path, inputs: list[str]) -> Iterator[Watched]:
    made = Watched(tmp_path, inputs)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop(signal.SIGKILL)


def test_data_arrive_and_are_trained_on_and_a_restart_joins_nothing_twice(watched: Watched) -> None:
    watched.start("--budget", "2kJ")
    watched.until(lambda: bool(watched.events("attempt")), "no attempt")
    holdout = next((watched.state / "data").iterdir()) / "holdout.jsonl"
    judged = [json.loads(line) for line in holdout.read_text().splitlines()][:3]
    slipped = [(row["text"].upper(), row["label"]) for row in judged]
    (watched.folder / "broken.csv").write_text("text,label\nonly one column\n")
    past = time.time() - 5
    os.utime(watched.folder / "broken.csv", (past, past))
    strange = [("of no class", "nobody knows it"), ("of no label", "")]
    watched.arrive("more.csv", [*ROWS[500:560], *slipped, *strange])
    watched.until(lambda: len(watched.events("joined")) >= 2, "nothing joined")
    said = {event["file"]: event for event in watched.events("joined")}
    assert said["more.csv"]["refused"]["judged"] >= 3
    assert said["more.csv"]["refused"]["class"] == 1
    assert said["more.csv"]["lines"]["class"] == [65]
    assert said["more.csv"]["refused"]["lacking"] == 1
    assert said["more.csv"]["lines"]["lacking"] == [66]
    assert "line 2" in said["broken.csv"]["problem"]
    joined = said["more.csv"]["joined"]
    count = len(watched.events("attempt"))
    watched.until(lambda: len(watched.events("attempt")) > count + 1, "no attempt on the grown set")
    assert watched.stop(signal.SIGKILL) != 0

    watched.log.unlink()
    watched.start("--budget", "300J")
    watched.until(lambda: len(watched.events("attempt")) > 1, "no attempt after the restart")
    again = {event["file"]: event for event in watched.events("joined")}
    assert again["more.csv"]["joined"] == 0
    assert watched.stop() == 0

    counts = [intent.data.train_count for intent in watched.intents()]
    assert sorted(set(counts)) == [counts[0], counts[0] + joined]
    assert counts == sorted(counts)
    assert watched.events("summary")[-1]["event"] == "summary"
    assert len(list((watched.state / "data").iterdir())) == 1
    assert watched.failures() == []


def test_a_log_file_that_was_moved_away_is_opened_anew(watched: Watched) -> None:
    watched.start("--budget", "1kJ")
    watched.until(lambda: bool(watched.events("attempt")), "no attempt")
    watched.log.rename(watched.log.with_suffix(".1"))
    watched.until(lambda: bool(watched.events("attempt")), "no event after the rotation")
    watched.process.send_signal(signal.SIGHUP)  # asks for the same, and stops nothing
    count = len(watched.events("attempt"))
    watched.until(lambda: len(watched.events("attempt")) > count, "SIGHUP has stopped it")
    assert watched.stop(signal.SIGINT) == 0
    assert all(event["at"].endswith("Z") for event in watched.events("attempt"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Waiting:
    """What pages know of a run and of its daemon."""

    def __init__(self, state: Path) -> None:
        self._state = StateFolder(state)

    @property
    def for_the_agent(self) -> bool:
        found = read_activity(self._state)
        return found is not None and found.waiting_for == "agent"

    @property
    def seconds(self) -> float:
        found = read_activity(self._state)
        return found.silent_s or 0.0 if found is not None else 0.0

    @property
    def by_daemon(self) -> bool:
        found = read_activity(self._state)
        return found is not None and found.meter is not None and found.meter.daemon


def test_a_run_outlasts_its_daemon_and_an_empty_bucket(watched: Watched, tmp_path: Path) -> None:
    port = free_port()
    url, account = f"http://127.0.0.1:{port}", tmp_path / "agent"
    words = ["agent", "--port", port, "--state", account, "--credit", "grant"]
    daemon = start(*words)
    try:
        assert daemon.stdout is not None
        assert url in daemon.stdout.readline()
        watched.start("--agent", url)
        watched.until(lambda: bool(watched.events("waiting")), "it waits for no energy")
        assert [event["reason"] for event in watched.events("waiting")] == ["budget"]
        with closing(AgentClient(url)) as client:
            client.grant(400_000_000, request_id="first", note="a test")
        watched.until(lambda: bool(watched.events("attempt")), "no attempt")
        daemon.send_signal(signal.SIGKILL)
        daemon.communicate()
        watched.until(lambda: len(watched.events("waiting")) > 1, "nothing of the daemon's end was said")
        assert watched.events("waiting")[-1]["reason"] == "agent"
        count = len(watched.events("attempt"))
        silent = Waiting(watched.state)
        watched.until(lambda: silent.for_the_agent, "the pages do not know that the daemon is away")
        with dashboard(watched.state) as running:
            watched.until(lambda: silent.seconds > 5, "its silence is no news")
            page = running.get("/").text
        assert "for the JouleAgent, which does not answer" in page
        assert "The JouleAgent has been silent for" in page
        daemon = start(*words)
        watched.until(lambda: not silent.for_the_agent, "it is still waited for, though it is back")
        assert silent.by_daemon
        watched.until(lambda: len(watched.events("attempt")) > count, "no attempt with the next daemon")
        assert watched.stop() == 0
        with closing(AgentClient(url)) as client:
            spent_uj = 400_000_000 - client.bucket_uj()
        all_in = watched.events("summary")[-1]["all_in_joules"]
        assert round(all_in * 1_000_000) == spent_uj, "account and receipts agree"
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate()
    assert watched.failures() == []


def test_what_a_crash_leaves_of_a_grown_set_is_thrown_away_and_joins_again(watched: Watched) -> None:
    watched.start("--budget", "1kJ", "--attempts", "1")
    assert watched.done() == 0
    folder = next((watched.state / "data").iterdir())
    left = shutil.copytree(folder, folder.with_name("left"))
    with (left / "train.jsonl").open("a") as stream:
        stream.write('{"label":"a","text":"never named by any intent"}\n')
    (left / "SHA256SUMS").unlink()
    left.rename(folder.with_name(write_checksums(left)))
    watched.arrive("more.csv", ROWS[500:560])
    watched.start("--budget", "1kJ", "--attempts", "2")
    assert watched.done() == 0
    assert watched.events("joined")[-1]["joined"] > 0
    assert len(list((watched.state / "data").iterdir())) == 1
    assert watched.failures() == []
