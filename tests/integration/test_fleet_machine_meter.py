"""Workers that the JouleAgent of their machine meters: its key signs, its account pays, and it may die."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from test_agent_daemon import Daemon, daemon

from cryoflux.energy.account.settlement import read_settlement
from cryoflux.quantities import SO_FAR
from cryoflux.receipts.charged import MeteredPart
from cryoflux.receipts.statement import Cause
from cryoflux.state import StateFolder
from fleet_end import assert_settled, driven, entries, receipts
from running import Outcome, cryoflux, ended
from waiting import until

LONG = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--max-steps", "400"),
    *("--policy", "uniform/v1", "--worker-silence", "20", "--budget", "2000J", "--json"),
]
STEP = "cryoflux.fleet.worker:Worker.trained:after:3"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path / "agent", "--credit", "grant", "--token", "secret") as running:
        yield running


def run(plan: dict[str, str], agent: Daemon, state: Path, *words: object) -> Outcome:
    where = ["--worker-agent", agent.url, "--token", "secret", "--state", state]
    return ended(driven(plan, *LONG, *where, *words))


def of_workers(state: Path) -> list[MeteredPart]:
    figures = [
        said.energy for entry in entries(state) if (said := entry.receipt or entry.session) is not None
    ]
    return [part for figure in figures for part in figure.parts if part.worker]


def charged_by(agent: Path) -> tuple[int, int]:
    """What the account of a JouleAgent charged, µJ, and how many reservations are open in it."""
    with closing(sqlite3.connect(f"file:{agent / 'account.db'}?mode=ro", uri=True)) as db:
        (uj,) = db.execute("SELECT -sum(balance_change_uj) FROM entries WHERE kind = 'settle'").fetchone()
        (still_open,) = db.execute("SELECT count(*) FROM reservations WHERE state = 'open'").fetchone()
    return uj, still_open


def test_one_meters_two_workers_and_the_one_that_takes_the_place_of_one_that_died(
    tmp_path: Path, inputs: list[str], agent: Daemon
) -> None:
    state = tmp_path / "state"
    outcome = run({"w2": f"kill@{STEP}"}, agent, state, *inputs, "--workers", "2", "--attempts", "4")
    assert outcome.summary["attempts"] == 4
    assert_settled(state)
    parts = of_workers(state)
    assert {part.worker for part in parts} == {"w1", "w2", "w2.2"}
    assert len({read_settlement(part.settlement).meter_key for part in parts}) == 1, "each is signed by it"
    assert charged_by(tmp_path / "agent") == (sum(part.microjoules for part in parts), 0)
    (died,) = [one for one in receipts(state) if one.cause is Cause.LOST]
    assert died.energy.parts[1].microjoules > 0
    assert not [*StateFolder(state).workers.glob("*/account.db")], "none has an account beside it"
    keys = [
        word for folder in (state, tmp_path / "agent") for word in ("--meter-key", folder / "keys/meter.pub")
    ]
    checked = cryoflux("verify", state, *keys, "--json")
    assert checked.code == 0, checked.stdout
    assert "under keys that you named" in checked.stdout
    workers = json.loads(cryoflux("fleet", "status", "--state", state, "--json").stdout)["workers"]
    assert {one["worker"] for one in workers} == {"w1", "w2", "w2.2"}
    assert len({one["meter_key"] for one in workers}) == 1


def test_the_last_word_of_one_that_dies_is_charged_and_the_run_says_why_it_ends(
    tmp_path: Path, inputs: list[str], agent: Daemon
) -> None:
    state = tmp_path / "state"
    where = ["--worker-agent", agent.url, "--token", "secret", "--state", state]
    process = driven({"w1": f"hold@{STEP}"}, *LONG, *where, *inputs, "--workers", "1", "--attempts", "3")
    words = StateFolder(state).words
    until(
        lambda: sum("word" in path.read_text() for path in words.glob("*.json")) >= 2,
        "its word on the attempt",
    )
    agent.end(signal.SIGKILL)
    outcome = ended(process)
    assert outcome.code == 1, outcome.stderr
    assert "JouleAgent" in outcome.stderr
    assert_settled(state)
    (lost,) = receipts(state)
    assert lost.cause is Cause.LOST
    assert SO_FAR in lost.energy.parts[1].flags


def test_what_a_dead_coordinator_had_lent_is_settled_by_it(
    tmp_path: Path, inputs: list[str], agent: Daemon
) -> None:
    state = tmp_path / "state"
    killed = {"": "kill@cryoflux.fleet.crew:Crew.begin:after"}
    assert run(killed, agent, state, *inputs, "--workers", "1").code == -signal.SIGKILL
    outcome = cryoflux("run", *LONG, "--state", state, "--attempts", "1", *inputs, CRYOFLUX_TOKEN="secret")
    assert outcome.code == 0, outcome.stderr
    assert_settled(state)
    crashed, _ = receipts(state)
    assert crashed.cause is Cause.CRASHED
    parts = of_workers(state)
    assert all(part.settlement for part in parts)
    assert charged_by(tmp_path / "agent") == (sum(part.microjoules for part in parts), 0)


def test_one_that_does_not_answer_is_told_before_anything_is_announced(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "state"
    outcome = cryoflux(
        "run", *LONG, "--state", state, *inputs, "--workers", "1", "--worker-agent", "http://127.0.0.1:9"
    )
    assert outcome.code == 1
    assert "JouleAgent at http://127.0.0.1:9" in outcome.stderr
    assert receipts(state) == []
    assert_settled(state)
