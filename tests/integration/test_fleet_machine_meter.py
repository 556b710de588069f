"""Workers that the JouleAgent of their machine meters: its key signs, its account pays, and it may die."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from test_agent_daemon import Daemon, daemon

from cryoflux.agent.client import AgentClient
from cryoflux.agent.taken import TakeReply
from cryoflux.config import Settings
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import SystemClock
from cryoflux.errors import AgentError, BudgetError, MeterError
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.machine_meter import MachineMeter
from cryoflux.fleet.meter_note import read_note
from cryoflux.fleet.settling import settled
from cryoflux.fleet.worker_meter import started_meter
from cryoflux.quantities import MICRO, SO_FAR
from cryoflux.receipts.charged import MeteredPart
from cryoflux.receipts.statement import Cause
from cryoflux.state import StateFolder
from fleet_end import assert_settled, driven, entries, receipts
from running import Outcome, cryoflux, ended
from waiting import CEILING_S, until

SHORT = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "prefix-1", "--max-steps", "40"),
    *("--policy", "uniform/v1", "--worker-silence", "120", "--timeout", "600", "--budget", "2000J", "--json"),
]
STEP = "cryoflux.fleet.worker:Worker.trained:after:3"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path / "agent", "--credit", "grant", "--token", "secret") as running:
        yield running


def run(plan: dict[str, str], agent: Daemon, state: Path, *words: object) -> Outcome:
    where = ["--worker-agent", agent.url, "--token", "secret", "--state", state]
    return ended(driven(plan, *SHORT, *where, *words))


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
    process = driven({"w1": f"hold@{STEP}"}, *SHORT, *where, *inputs, "--workers", "1", "--attempts", "3")
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


def test_what_a_dead_coordinator_had_lent_is_settled_by_it_alone(
    tmp_path: Path, inputs: list[str], agent: Daemon
) -> None:
    state = tmp_path / "state"
    killed = {"": "kill@cryoflux.fleet.crew:Crew.begin:after"}
    assert run(killed, agent, state, *inputs, "--workers", "1").code == -signal.SIGKILL
    words = ["--state", state, "--attempts", "1", *inputs]
    for asked, why in (
        (["--agent", agent.url, "--token", "secret"], "what it had lent them is not repaid"),
        ([], "What w1 had spent when its run died is not known"),  # its token is not said
    ):
        refused = cryoflux("run", *SHORT, *words, *asked)
        assert refused.code == 2, refused.stderr
        assert why in refused.stderr
        assert [entry.receipt for entry in entries(state)] == [None], "nothing is closed at a guess"
    outcome = cryoflux("run", *SHORT, *words, CRYOFLUX_TOKEN="secret")
    assert outcome.code == 0, outcome.stderr
    assert_settled(state)
    crashed, _ = receipts(state)
    assert crashed.cause is Cause.CRASHED
    parts = of_workers(state)
    assert all(part.settlement for part in parts)
    assert charged_by(tmp_path / "agent") == (sum(part.microjoules for part in parts), 0)


@pytest.mark.parametrize("token", ["secret", "wrong"])
def test_one_that_does_not_answer_or_lets_nobody_in_is_told_before_anything_is_written(
    tmp_path: Path, inputs: list[str], agent: Daemon, token: str
) -> None:
    state = tmp_path / "state"
    url = "http://127.0.0.1:9" if token == "secret" else agent.url
    named = ["--workers", "1", "--worker-agent", url, "--token", token]
    outcome = cryoflux("run", *SHORT, "--state", state, *inputs, *named)
    assert outcome.code == 3, outcome.stderr
    assert f"JouleAgent at {url}" in outcome.stderr
    assert not state.exists()


# ---- What is lent, in a bucket that others have, too


@pytest.fixture
def settings(agent: Daemon) -> Settings:
    return Settings.model_validate({"agent": {"token": "secret", "timeout": 600}})


@pytest.fixture
def others(agent: Daemon) -> Iterator[AgentClient]:
    with closing(AgentClient(agent.url, "secret", CEILING_S)) as client:
        yield client


def metered(folder: Path, agent: Daemon, settings: Settings) -> MachineMeter:
    folder.mkdir(exist_ok=True)
    return MachineMeter(folder, agent.url, settings)


def test_joules_of_others_are_not_used_and_what_a_lease_leaves_is(
    tmp_path: Path, agent: Daemon, settings: Settings, others: AgentClient
) -> None:
    others.grant(50 * MICRO, request_id="theirs", note="")
    with closing(metered(tmp_path / "w1", agent, settings)) as meter:
        meter.settle(meter.take_lent(8 * MICRO, request_id="a1").id)
    charged_uj, _ = charged_by(tmp_path / "agent")
    assert others.bucket_uj() == 58 * MICRO - charged_uj
    with closing(metered(tmp_path / "w1", agent, settings)) as meter:  # another process, later on
        taken = meter.take_lent(8 * MICRO, request_id="a2")
        assert others.bucket_uj() == 50 * MICRO, "what the first lease left is used, and no more"
        meter.settle(taken.id)
        meter.settle(taken.id)  # nothing is told twice
    rest_uj = read_note(tmp_path / "w1").rest_microjoules
    assert others.bucket_uj() == 50 * MICRO + rest_uj
    others.take(others.bucket_uj(), request_id="greedy")  # this worker's rest, too
    with closing(metered(tmp_path / "w1", agent, settings)) as meter, pytest.raises(BudgetError):
        meter.take_lent(8 * MICRO, request_id="a3")


def test_what_a_lease_has_left_whose_worker_died_is_known_once_it_is_settled(
    tmp_path: Path, agent: Daemon, settings: Settings, others: AgentClient
) -> None:
    folder = tmp_path / "w1"
    for number in range(3):
        with closing(metered(folder, agent, settings)) as meter:
            meter.take_lent(8 * MICRO, request_id=f"a{number}")
        assert settled(folder, settings, f"a{number}")
        assert others.bucket_uj() == read_note(folder).rest_microjoules <= 8 * MICRO
    with closing(metered(folder, agent, settings)) as meter:
        meter.take = lambda *_, **__: os._exit(1)  # between the grant and the take
        worker = os.fork()
        if not worker:
            meter.take_lent(8 * MICRO, request_id="dies")
        os.waitpid(worker, 0)
    assert "dies" in read_note(folder).open
    assert settled(folder, settings, "dies") == ""
    note = read_note(folder)
    assert (note.open, note.rest_microjoules) == ({}, others.bucket_uj())


def test_where_others_have_overdrawn_it_a_lease_is_not_begun(
    tmp_path: Path, agent: Daemon, settings: Settings, others: AgentClient
) -> None:
    others.grant(MICRO, request_id="theirs", note="")
    spender = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        body = {"joules": 1, "request_id": "spent", "reservation": True, "pid": spender.pid}
        body["boot_id"] = SystemClock().boot_id
        taken = others._ask(TakeReply, "POST", "/v1/take", body)
        until(lambda: others.spent(taken.reservation).uj > 20 * MICRO, "it to be overdrawn")
        others.settle(taken.reservation)
    finally:
        spender.kill()
        spender.wait()
    assert others.bucket_uj() < -10 * MICRO
    short_uj = others.bucket_uj()
    for number in range(5):
        with (
            closing(metered(tmp_path / "w1", agent, settings)) as meter,
            pytest.raises(BudgetError, match="asked for"),
        ):
            meter.take_lent(3 * MICRO, request_id=f"a{number}")
    assert others.bucket_uj() == short_uj + 3 * MICRO, "nobody has decided to pay that"


def test_one_that_does_not_see_the_worker_is_refused(
    tmp_path: Path, agent: Daemon, settings: Settings
) -> None:
    with closing(metered(tmp_path / "w1", agent, settings)) as meter:
        meter._boot_id = "another machine's"
        with pytest.raises(MeterError, match="does not see the process"):
            meter.take_lent(3 * MICRO, request_id="a1")
        assert meter.find("a1") is None


def test_a_worker_that_never_had_a_meter_has_reserved_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"fleet": {"worker_agent": "http://127.0.0.1:9"}, "agent": {"timeout": 1}}
    )
    folder = tmp_path / "w1"
    folder.mkdir()
    with pytest.raises(AgentError):
        started_meter(folder, settings)
    assert settled(folder, settings, "a1") == ""
    with pytest.raises(FleetError, match="no account"):
        settled(tmp_path / "w2", settings, "a1")
