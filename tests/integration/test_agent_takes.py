"""A take without ceremony: charged at once, asked for with plain curl, explained when it gives nothing."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from test_agent_daemon import daemon, families

from cryoflux.energy.account.audit import open_audited
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.local_agent import MOST_VIEWS

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "run-the-daemon.md"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with daemon(tmp_path_factory.mktemp("takes"), "--credit", "grant") as running:
        yield running


def left_uj(agent):
    return json.loads(agent.get("/v1/sample"))["bucket_uj"]


def state_of(agent, taken):
    return json.loads(agent.get(f"/v1/reservations/{taken['reservation']}"))["state"]


def test_an_anonymous_take_is_charged_as_it_is_and_nobody_signs_it_as_measured(shared):
    shared.post("/v1/grant", {"joules": 200, "request_id": "anonymous"})
    before_uj = left_uj(shared)
    taken = shared.post("/v1/take", {"joules": 120})
    assert (taken["ok"], taken["state"], taken["reason"]) == (True, "settled", None)
    assert left_uj(shared) == before_uj - 120_000_000
    assert state_of(shared, taken) == "settled"
    settled = shared.post("/v1/settle", {"reservation": taken["reservation"]})
    assert (settled["energy"]["uj"], settled["reserved_uj"]) == (120_000_000, 120_000_000)
    assert settled["energy"]["flags"] == ["face-value"]
    assert settled["statement"] == ""
    assert shared.status("/v1/release", {"reservation": taken["reservation"]}) == 409
    assert left_uj(shared) == before_uj - 120_000_000


def test_what_the_account_has_lent_a_daemon_neither_meters_nor_gives_out_again(tmp_path):
    with closing(Bucket(tmp_path / "account.db", SystemClock())) as bucket:
        bucket.grant(100_000_000, request_id="g")
        lent = {"reservation": bucket.lend(40_000_000, request_id="a/lent/w1").id}
    with daemon(tmp_path, "--credit", "grant") as running:
        assert left_uj(running) == 60_000_000
        (listed,) = json.loads(running.get("/v1/reservations"))["reservations"]
        spent = {name: listed["spent"][name] for name in ("lo_uj", "uj", "hi_uj", "flags")}
        assert spent == {"lo_uj": 0, "uj": 0, "hi_uj": 40_000_000, "flags": ["lent"]}
        assert running.status("/v1/settle", lent) == 409
        for name in ("a/lent/w1", "b/lent/w1"):
            assert running.status("/v1/take", {"joules": 40, "request_id": name}) == 422
        assert left_uj(running) == 60_000_000
        running.post("/v1/release", lent)
        assert left_uj(running) == 100_000_000


RESERVED = [
    {"reservation": True},
    {"request_id": "r"},
    {"pid": 1, "boot_id": "another machine"},
    {"log": "cryoflux.dev/log/ours"},
]
WITHDRAWN = [{"reservation": False}, {"request_id": "w", "reservation": False}, {"boot_id": "b"}, {"log": ""}]


@pytest.mark.parametrize("said", RESERVED, ids=str)
def test_who_asks_for_a_reservation_or_says_who_he_is_gets_one(shared, said):
    shared.post("/v1/grant", {"joules": 1, "request_id": f"for-{said}"})
    taken = shared.post("/v1/take", {"joules": 1} | said)
    assert (taken["state"], state_of(shared, taken)) == ("open", "open")
    before_uj = left_uj(shared)
    shared.post("/v1/release", {"reservation": taken["reservation"]})
    assert left_uj(shared) == before_uj + 1_000_000


@pytest.mark.parametrize("said", WITHDRAWN, ids=str)
def test_who_does_not_withdraws_once(shared, said):
    shared.post("/v1/grant", {"joules": 3, "request_id": f"for-{said}"})
    before_uj = left_uj(shared)
    taken = [shared.post("/v1/take", {"joules": 1} | said) for _ in range(2)]
    assert {one["state"] for one in taken} == {"settled"}
    times = 1 if "request_id" in said else 2
    assert left_uj(shared) == before_uj - times * 1_000_000
    assert len({one["reservation"] for one in taken}) == times


def typed(agent, command):
    """What is printed by a command of the docs, on this daemon."""
    words = shlex.split(command.replace("http://127.0.0.1:8787", agent.url))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
def test_the_first_calls_of_the_how_to_work_as_they_stand(tmp_path):
    text = HOW_TO.read_text("utf-8")
    part = text[text.index("## From any language") :].partition("\n## ")[0]
    commands = re.findall(r"^(curl .+)$", part, re.MULTILINE)
    assert "Content-Type" not in part
    with daemon(tmp_path) as agent:
        sample, granted, taken, reserved = (typed(agent, command) for command in commands[:4])
        assert "bucket_j" in sample
        assert granted["remaining_j"] >= 240
        assert (taken["ok"], taken["state"]) == (True, "settled")
        assert (reserved["ok"], reserved["state"]) == (True, "open")
        settled = typed(agent, commands[4].replace("…", reserved["reservation"]))
        assert settled["reserved_uj"] == 100_000_000


@needs_curl
@pytest.mark.parametrize("credit", ["grant", "net"])
def test_a_take_that_gives_nothing_says_why_and_what_it_says_to_type_helps(tmp_path, credit):
    with daemon(tmp_path, "--credit", credit) as agent:
        agent.post("/v1/grant", {"joules": 100, "request_id": "g"})
        agent.post("/v1/take", {"joules": 40, "reservation": True})
        refused = agent.post("/v1/take", {"joules": 120})
        reason = refused["reason"]
        assert (refused["ok"], refused["reservation"], refused["state"]) == (False, None, None)
        assert refused["remaining_uj"] == reason["available_uj"] == reason["balance_uj"] - 40_000_000
        assert (reason["asked_uj"], reason["reserved_uj"]) == (120_000_000, 40_000_000)
        assert reason["reservations_open"] == 1
        for words in ("120 J were asked for", "1 open reservation holds 40 J"):
            assert words in reason["what"]
        if credit == "grant":
            assert (reason["credit_w"], reason["enough_in_s"]) == (0, None)
            assert "granted joules alone" in reason["why"]
        else:
            known = reason["enough_in_s"] is not None
            assert ("W that are credited now it would be enough in" in reason["why"]) is known
            assert ("Nothing is credited now" in reason["why"]) is not known
        command = re.search(r"curl .+? -d '[^']+'", reason["hint"])[0]
        typed(agent, command)
        assert agent.post("/v1/take", {"joules": 120})["ok"] is True


def test_what_is_no_json_is_refused_with_an_example(shared):
    assert shared.status("/v1/take", b"joules=120") == 422


def test_many_takes_cost_no_scrape_anything_and_open_ones_are_listed_page_by_page(tmp_path):
    number = MOST_VIEWS + 5
    with daemon(tmp_path, "--credit", "grant") as agent:
        agent.post("/v1/grant", {"joules": 1000, "request_id": "g"})
        taken = {
            agent.post("/v1/take", {"joules": 1, "reservation": True})["reservation"] for _ in range(number)
        }
        for _ in range(5):
            agent.post("/v1/take", {"joules": 2})
        said = families(agent.get("/metrics"))
        assert said["cryoflux_reservations_open"][1] == {(): number}
        assert said["cryoflux_reserved_joules"][1] == {(): number}
        assert said["cryoflux_bucket_joules"][1] == {(): 1000 - number - 10}
        first = json.loads(agent.get("/v1/reservations"))
        second = json.loads(agent.get(f"/v1/reservations?after={first['next']}"))
        assert (len(first["reservations"]), len(second["reservations"])) == (MOST_VIEWS, 5)
        assert second["next"] is None
        listed = [one["reservation"] for one in first["reservations"] + second["reservations"]]
        assert set(listed) == taken
        agent.end(signal.SIGKILL)
    with daemon(tmp_path, "--credit", "grant") as agent:
        assert families(agent.get("/metrics"))["cryoflux_reservations_open"][1] == {(): number}
        one = taken.pop()
        spent = json.loads(agent.get(f"/v1/reservations/{one}"))["spent"]
        assert {"metered-across-restart", "unmetered", "unattributed"} <= set(spent["flags"])
        agent.post("/v1/release", {"reservation": one})
        said = families(agent.get("/metrics"))
        assert said["cryoflux_reservations_open"][1] == {(): number - 1}
        assert agent.end() == (0, "")
    with open_audited(tmp_path / "account.db") as account:
        paid = [held.uj for held in account.unexplained()]
    assert sorted(paid, key=str) == [2_000_000] * 5 + [None] * (number - 1)
