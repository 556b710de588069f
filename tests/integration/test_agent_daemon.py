"""The daemon as a process: a whitepaper client works unchanged, and nothing is minted or lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryoflux import __version__
from cryoflux.agent.client import AgentClient
from cryoflux.agent.prometheus import METRICS
from cryoflux.energy.account.settlement import SettlementStatement, read_settlement
from cryoflux.errors import BudgetError
from cryoflux.quantities import SO_FAR, Tier
from waiting import CEILING_S, until

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CRYOFLUX_")},
    "CRYOFLUX_POWERCAP_ROOT": "/nowhere",
    "CRYOFLUX_HWMON_ROOT": "/nowhere",
    "CRYOFLUX_NVML": "false",
}


class Daemon:
    def __init__(self, state, *options, files=None):
        command = [sys.executable, "-W", "error", "-m", "cryoflux", "agent", "--json", "--port", "0"]
        if files:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            [*command, "--state", str(state), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.hello = json.loads(line)
        self.url = self.hello["url"]

    def get(self, path, **headers):
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=CEILING_S) as reply:
            return reply.read().decode()

    def post(self, path, body):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=CEILING_S) as reply:
            return json.load(reply)

    def status(self, path, body):
        try:
            self.post(path, body)
        except urllib.error.HTTPError as refusal:
            with refusal:
                said = json.load(refusal)["error"]
            assert {"what", "why", "hint"} == set(said)
            return refusal.code
        return 200

    def end(self, sign=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sign)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


@contextmanager
def daemon(state, *options, files=None):
    running = Daemon(state, *options, files=files)
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with daemon(tmp_path_factory.mktemp("agent"), "--credit", "grant") as running:
        yield running


def test_a_client_written_for_the_whitepaper_works_unchanged(tmp_path):
    with daemon(tmp_path) as agent:
        agent.post("/v1/grant", {"joules": 130, "request_id": "g"})
        sample = json.loads(agent.get("/v1/sample"))
        assert sample["bucket_j"] >= 120
        taken = agent.post("/v1/take", {"joules": 120})
        assert taken["ok"] is True
        assert taken["remaining_j"] < sample["bucket_j"]
        refused = agent.post("/v1/take", {"joules": 1e9})
        assert refused["ok"] is False
        assert agent.end()[0] == 0


def test_net_energy_is_credited_by_default(tmp_path):
    with daemon(tmp_path) as agent:
        begun = json.loads(agent.get("/v1/sample"))["bucket_uj"]

        def credited():
            sample = json.loads(agent.get("/v1/sample"))
            return sample if sample["bucket_uj"] > begun else None

        sample = until(credited, "joules that are credited")
        assert 0 < sample["bucket_uj"] <= sample["net"]["uj"]


def test_a_sample_has_the_whitepapers_fields_and_says_how_it_knows(shared):
    sample = json.loads(shared.get("/v1/sample"))
    for name in ("ts", "cpu_w", "gpu_w", "idle_cpu_w", "idle_gpu_w", "net_w", "bucket_j", "gross_j", "net_j"):
        assert isinstance(sample[name], float), name
    assert sample["sources"][0]["tier"] == sample["tier"] == "modelled"
    assert sample["baseline_state"] == "modelled"
    assert len(sample["baseline_digest"]) == 64
    gross = sample["gross"]
    assert gross["lo_uj"] <= gross["uj"] <= gross["hi_uj"]


BAD = ["-1", "0", "1e-9", "NaN", "Infinity", "-Infinity", "1e300", '"120"', "null", "true", "[1]", "{}"]


@pytest.mark.parametrize("amount", BAD)
def test_a_bad_amount_is_unprocessable_and_changes_nothing(shared, amount):
    before = json.loads(shared.get("/v1/sample"))["bucket_uj"]
    for path in ("/v1/take", "/v1/grant"):
        body = f'{{"joules": {amount}, "request_id": "bad"}}'.encode()
        assert shared.status(path, body) == 422
    assert json.loads(shared.get("/v1/sample"))["bucket_uj"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"\xff", b"[" * 60_000, b"null", b"{}"])
def test_a_bad_body_is_unprocessable(shared, body):
    assert shared.status("/v1/take", body) in {400, 422}


def test_unknown_reservations_and_reused_request_ids_have_their_own_status(shared):
    assert shared.status("/v1/settle", {"reservation": "none"}) == 404
    assert shared.status("/v1/release", {"reservation": "none"}) == 404
    shared.post("/v1/grant", {"joules": 1, "request_id": "once"})
    assert shared.status("/v1/grant", {"joules": 2, "request_id": "once"}) == 409
    assert shared.status("/v1/take", b"x" * 100_000) == 413
    assert shared.status("/v1/sample", {}) == 405
    assert shared.status("/v1/nothing", {}) == 404


@pytest.mark.parametrize("ending", ["settle", "release"])
def test_a_request_id_that_was_used_up_gives_no_joules(shared, ending):
    request = {"joules": 1, "request_id": f"once-{ending}"}
    # A settlement waits for the next second, and a stranger's is charged what the whole machine does.
    shared.post("/v1/grant", {"joules": 10_000, "request_id": f"for-{ending}"})
    taken = shared.post("/v1/take", request)
    assert shared.post("/v1/take", request)["reservation"] == taken["reservation"]
    shared.post(f"/v1/{ending}", {"reservation": taken["reservation"]})
    assert shared.status("/v1/take", request) == 409
    (listed,) = json.loads(shared.get(f"/v1/reservations?request_id=once-{ending}"))["reservations"]
    assert listed["state"] == f"{ending}d".replace("eed", "ed")


def test_openapi_and_events(shared):
    paths = json.loads(shared.get("/openapi.json"))["paths"]
    assert {"/v1/sample", "/v1/take", "/v1/settle", "/v1/release", "/v1/grant", "/v1/events"} <= set(paths)
    with pytest.raises(urllib.error.HTTPError) as caught:
        shared.get("/docs")
    caught.value.close()
    with urllib.request.urlopen(f"{shared.url}/v1/events", timeout=CEILING_S) as stream:
        assert stream.readline() == b"event: sample\n"
        assert "bucket_j" in json.loads(stream.readline().removeprefix(b"data: "))


def families(text):
    """Metric → its type and its rows of labels and value, by the format's own parser."""
    return {
        family.name: (family.type, {tuple(sorted(s.labels.items())): s.value for s in family.samples})
        for family in text_string_to_metric_families(text)
    }


def test_metrics_are_valid_and_say_what_the_sample_says(shared):
    shared.post("/v1/grant", {"joules": 100, "request_id": "for-metrics"})
    taken = shared.post("/v1/take", {"joules": 7, "request_id": "metrics"})
    before = json.loads(shared.get("/v1/sample"))
    said = families(shared.get("/metrics"))
    after = json.loads(shared.get("/v1/sample"))
    device = (("device", before["sources"][0]["name"]), ("tier", "modelled"))
    kind, rows = said["cryoflux_energy_joules"]  # the parser takes _total off a counter
    assert kind == "counter"
    assert before["sources"][0]["gross"]["joules"] - 1e-6 <= rows[device]
    assert rows[device] <= after["sources"][0]["gross"]["joules"] + 1e-6
    assert {end for ((_, end),) in said["cryoflux_net_energy_bound_joules"][1]} == {"lo", "hi"}
    assert said["cryoflux_bucket_joules"][1][()] == pytest.approx(after["bucket_j"], abs=1e-6)
    assert said["cryoflux_reserved_joules"][1][()] >= 7
    assert said["cryoflux_reservations_open"][1][()] >= 1
    assert said["cryoflux_self_energy_joules"][0] == "counter"
    assert {flag for ((_, flag),) in said["cryoflux_meter_flags"][1]} <= set(before["flags"]) | set(
        after["flags"]
    )
    assert said["cryoflux_build_info"][1] == {(("version", __version__),): 1.0}
    assert set(METRICS) <= {name for line in shared.get("/metrics").splitlines() for name in line.split()}
    shared.post("/v1/release", {"reservation": taken["reservation"]})


def test_energy_is_served_no_finer_than_a_second(shared):
    began, seen = time.monotonic(), []
    for _ in range(50):
        seen.append(json.loads(shared.get("/v1/sample"))["gross"]["uj"])
        seen.append(json.loads(shared.get("/v1/sample"))["net"]["uj"])
        shared.get("/metrics")
    elapsed = time.monotonic() - began
    assert len(set(seen[::2])) <= elapsed + 2
    assert len(set(seen[1::2])) <= elapsed + 2
    began = time.monotonic()
    with urllib.request.urlopen(f"{shared.url}/v1/events", timeout=CEILING_S) as stream:
        for _ in range(3 * 3):
            stream.readline()
        assert time.monotonic() - began > 1


PAGES = [
    {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
    {"Origin": "null", "Content-Type": "application/json"},
    {"Sec-Fetch-Site": "cross-site", "Content-Type": ""},
    {"Content-Type": "text/plain"},
]


@pytest.mark.parametrize("headers", PAGES)
def test_a_page_of_another_site_cannot_spend_from_a_daemon_without_a_token(shared, headers):
    shared.post("/v1/grant", {"joules": 1, "request_id": "for-pages"})
    before = json.loads(shared.get("/v1/sample"))["bucket_uj"]
    request = urllib.request.Request(f"{shared.url}/v1/take", b'{"joules": 1}', headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=CEILING_S)
    with caught.value:
        said = json.load(caught.value)["error"]
    assert caught.value.code == (415 if "text/plain" in headers.values() else 403)
    assert said["what"]
    assert said["hint"]
    assert json.loads(shared.get("/v1/sample"))["bucket_uj"] == before


def start(*options):
    command = [sys.executable, "-m", "cryoflux", "agent", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


def test_the_client_takes_spends_and_settles_for_its_own_process(shared):
    client = AgentClient(shared.url, timeout=CEILING_S)
    client.grant(500_000_000, request_id="client", note="test")
    before_uj = client.bucket_uj()
    whose = {"log": "cryoflux.dev/log/ours", "intent": "0" * 64}
    taken = client.take(120_000_001, request_id="attempt-1", **whose)
    assert client.take(120_000_001, request_id="attempt-1", **whose) == taken
    assert (taken.log, taken.intent) == tuple(whose.values())
    assert client.bucket_uj() == before_uj - 120_000_001
    figures = [client.spent(taken.id)]
    while figures[-1].uj < 1_000_000:
        sum(range(10**5))
        figures.append(client.spent(taken.id))
    assert [f.uj for f in figures] == sorted(f.uj for f in figures)
    settlement = client.settle(taken.id)
    assert client.settle(taken.id).energy == settlement.energy
    signed = read_settlement(settlement.statement)
    assert isinstance(signed, SettlementStatement)
    assert (signed.log, signed.intent) == tuple(whose.values())
    assert settlement.energy.uj > 0
    assert settlement.energy.tier is Tier.MODELLED
    assert "unattributed" not in settlement.energy.flags
    assert settlement.machine_net.hi_uj >= settlement.energy.uj
    assert settlement.cpu_us > 0
    assert client.bucket_uj() == before_uj - settlement.energy.uj
    assert client.sample().own is None
    assert client.find("attempt-1") == taken
    assert client.find("attempt & 1?") is None
    with pytest.raises(BudgetError):
        client.take(10**15, request_id="too-much")
    spare = client.take(1_000_000, request_id="attempt-2")
    assert client.find("attempt-2") == spare
    client.release(spare.id)
    assert client.find("attempt-2") is None
    assert client.bucket_uj() == before_uj - settlement.energy.uj
    client.close()


def test_it_signs_what_is_open_and_says_that_it_is(shared):
    with closing(AgentClient(shared.url, timeout=CEILING_S)) as client:
        client.grant(5_000_000, request_id="word", note="")
        taken = client.take(2_000_000, request_id="a-word", log="cryoflux.dev/log")
        word = client.word(taken.id)
        said = read_settlement(word)
        assert (said.reservation, said.request, said.log) == (taken.id, "a-word", "cryoflux.dev/log")
        assert SO_FAR in said.flags
        settled = client.settle(taken.id).statement
        assert read_settlement(settled).meter_key == said.meter_key
        assert SO_FAR not in read_settlement(settled).flags
        assert client.word(taken.id) == settled, "of a settled one it is the statement itself"
    assert shared.status("/v1/word", {"reservation": "none"}) == 404
    withdrawn = shared.post("/v1/take", {"joules": 1})
    assert shared.post("/v1/word", {"reservation": withdrawn["reservation"]})["statement"] == ""


def test_a_strangers_reservation_is_charged_the_machine_and_flagged(shared):
    shared.post("/v1/grant", {"joules": 10, "request_id": "stranger"})
    taken = shared.post("/v1/take", {"joules": 5, "pid": 1, "boot_id": "another-machine"})
    settled = shared.post("/v1/settle", {"reservation": taken["reservation"]})
    assert "unattributed" in settled["energy"]["flags"]


TAKER = textwrap.dedent("""
    import json, sys, urllib.request
    url, count = sys.argv[1], int(sys.argv[2])
    taken = 0
    for _ in range(count):
        request = urllib.request.Request(url, b'{"joules": 0.5}', {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=1e6) as reply:
            taken += json.load(reply)["ok"]
    print(taken)
""")


def test_takers_at_once_never_get_more_than_there_is(tmp_path):
    with daemon(tmp_path, "--credit", "grant") as agent:
        agent.post("/v1/grant", {"joules": 60.25, "request_id": "g"})
        command = [sys.executable, "-c", TAKER, f"{agent.url}/v1/take", "40"]
        takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
        granted = sum(int(taker.communicate()[0]) for taker in takers)
        assert granted == 120
        assert json.loads(agent.get("/v1/sample"))["bucket_uj"] == 250_000


def ledger(state):
    command = [sys.executable, "-m", "cryoflux", "energy", "ledger", "--json", "--state", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return json.loads(done.stdout)


def test_kill_9_mints_nothing_and_loses_no_reservation(tmp_path):
    with daemon(tmp_path) as agent:
        agent.post("/v1/grant", {"joules": 1000, "request_id": "g"})
        mine = {"joules": 100, "request_id": "mine", "pid": os.getpid(), "boot_id": boot_id()}
        first = agent.post("/v1/take", mine)
        agent.post("/v1/take", {"joules": 50, "reservation": True})
        agent.post("/v1/take", {"joules": 7})
        agent.end(signal.SIGKILL)
    before = ledger(tmp_path)["identity"]
    assert before["holds"]
    with daemon(tmp_path) as agent:
        assert agent.post("/v1/take", mine)["reservation"] == first["reservation"]
        listed = json.loads(agent.get("/v1/reservations"))["reservations"]
        assert {one["reserved_uj"] for one in listed} == {100_000_000, 50_000_000}
        assert all("metered-across-restart" in one["spent"]["flags"] for one in listed)
        settled = agent.post("/v1/settle", {"reservation": first["reservation"]})
        assert settled["energy"]["uj"] >= 0
        assert agent.end() == (0, "")
    after = ledger(tmp_path)["identity"]
    assert after["holds"]
    assert after["open_uj"] == 50_000_000
    assert after["settled_uj"] == settled["energy"]["uj"] + 7_000_000
    assert after["granted_uj"] == 1_000_000_000


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def test_an_open_event_stream_does_not_hold_up_the_end(tmp_path):
    with daemon(tmp_path) as agent:
        stream = urllib.request.urlopen(f"{agent.url}/v1/events", timeout=CEILING_S)
        stream.readline()
        reader = threading.Thread(target=stream.read)
        reader.start()
        assert agent.end(signal.SIGINT)[0] == 0
        reader.join()
        stream.close()


@contextmanager
def not_ignored(number):
    """Processes that are started inside do not ignore a signal, though the tests may (`nohup make test`)."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_hang_up_ends_it_like_any_other_signal(tmp_path):
    with not_ignored(signal.SIGHUP), daemon(tmp_path) as agent:
        agent.get("/v1/sample")
        assert agent.end(signal.SIGHUP) == (0, "")
    assert ledger(tmp_path)["identity"]["holds"]


def test_a_token_is_asked_of_everyone(tmp_path):
    with daemon(tmp_path, "--token", "secret") as agent:
        for path in ("/v1/sample", "/metrics", "/openapi.json"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                agent.get(path)
            assert caught.value.code == 401
            caught.value.close()
        assert "bucket_j" in agent.get("/v1/sample", Authorization="Bearer secret")
        client = AgentClient(agent.url, "secret", CEILING_S)
        assert client.sample().baseline_state == "modelled"
        client.close()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--host", "0.0.0.0"], 2, "no token"),
        (["--credit", "gold"], 2, "energy.credit"),
        (["--token", "schlüssel"], 2, "visible ASCII"),
        (["--host", "256.1.1.1", "--token", "t"], 2, "cannot be listened on"),
    ],
)
def test_what_cannot_be_started_is_said_in_three_lines(tmp_path, options, code, says):
    done = start("--state", str(tmp_path / "s"), "--port", "0", *options)
    assert done.returncode == code
    assert says in done.stderr
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()] == ["error", "why", "next"]


def test_one_state_has_one_daemon(tmp_path):
    with daemon(tmp_path):
        done = start("--state", str(tmp_path), "--port", "0")
        assert done.returncode == 2
        assert "in use by a JouleAgent" in done.stderr
        assert "--agent URL" in done.stderr
