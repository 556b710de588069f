"""Whatever answers, or does not, the client raises one kind of error, with three lines."""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import stamina

from cryoflux.agent import client as agent_client
from cryoflux.agent.client import AgentClient
from cryoflux.agent.token import without_password
from cryoflux.energy.interface import Reservation
from cryoflux.errors import AgentError, BudgetError, ConfigError, UsageError
from cryoflux.quantities import Energy, Tier
from waiting import CEILING_S

ENERGY = {"joules": 30.0, "uj": 30_000_000, "lo_uj": 1, "hi_uj": 60_000_000, "tier": "counter", "flags": []}
RESERVATION = {
    "reservation": "r1",
    "request_id": "a",
    "reserved_uj": 120_000_000,
    "state": "open",
    "spent": ENERGY,
    "pid": 1,
    "boot_id": "b",
    "alive": True,
}


@pytest.fixture(autouse=True)
def _no_waiting():
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@contextmanager
def answering(reply):
    """A server that gives every request to ``reply``, which returns status and body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append((self.command, self.path, json.loads(body) if body else None))
            status, content = reply(len(asked), self.path)
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = _answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def client_of(url, **options):
    client = AgentClient(url, **{"timeout": CEILING_S, **options})
    try:
        yield client
    finally:
        client.close()


def refused(call):
    with pytest.raises(AgentError) as caught:
        call()
    assert len(caught.value.lines()) == 3
    assert caught.value.exit_code == 3
    return caught.value.what


def every_call(client):
    return [
        client.sample,
        client.bucket_uj,
        lambda: client.grant(1_000_000, request_id="g", note=""),
        lambda: client.take(1_000_000, request_id="a"),
        lambda: client.spent("r1"),
        lambda: client.settle("r1"),
        lambda: client.release("r1"),
        lambda: client.find("a"),
    ]


NONSENSE = {
    "empty": b"",
    "html": b"<html>It works!</html>",
    "binary": bytes(range(256)),
    "list": b"[]",
    "other": b'{"hello": "world"}',
    "types": b'{"ok": "perhaps", "remaining_uj": {}, "bucket_uj": "much"}',
    "nan": b'{"ok": true, "remaining_j": NaN, "remaining_uj": NaN}',
    "nested": b"[" * 5_000,
}


@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_named_as_such_by_every_call(content):
    with answering(lambda *_: (200, content)) as (url, _), client_of(url) as client:
        for call in every_call(client):
            assert url in refused(call)


def test_an_interval_that_does_not_hold_its_estimate_is_nonsense():
    reply = {**RESERVATION, "spent": {**ENERGY, "lo_uj": 99_000_000}}
    with answering(lambda *_: (200, json.dumps(reply).encode())) as (url, _), client_of(url) as client:
        assert "nonsense" in refused(lambda: client.spent("r1"))


def test_nobody_there_is_tried_again_and_then_named():
    with answering(lambda *_: (200, b"")) as (url, _):
        pass
    with client_of(url) as client:
        for call in every_call(client):
            assert "cannot be reached" in refused(call)


def test_who_has_patience_is_asked_again_and_again_about_what_passes_and_about_nothing_else():
    good = json.dumps({"ok": True, "remaining_j": 1.0, "remaining_uj": 1, "reservation": "r1"}).encode()
    rounds = []
    with (
        answering(lambda n, _: (503, b"") if n < 10 else (200, good)) as (url, asked),
        client_of(url) as client,
    ):
        client.patience = lambda: rounds.append(len(asked)) is None
        assert client.take(120_000_000, request_id="a").id == "r1"
        assert rounds == [3, 6, 9]
        assert {body["request_id"] for _, _, body in asked} == {"a"}
        assert "not a JouleAgent" in refused(client.sample)
        assert len(rounds) == 3, "nonsense does not pass"
    with client_of(url) as client:
        client.patience = lambda: bool(rounds.pop())
        rounds[0] = 0
        assert "cannot be reached" in refused(client.sample)
        assert rounds == []


def test_a_slow_agent_is_not_waited_for_for_ever():
    hold = threading.Event()

    def wait(*_):
        hold.wait()
        return 200, b"{}"

    with answering(wait) as (url, _), client_of(url, timeout=0.1) as client:
        try:
            assert "in time" in refused(client.sample)
        finally:
            hold.set()


def test_a_restart_in_between_is_bridged_by_asking_again_with_the_same_request_id():
    good = json.dumps({"ok": True, "remaining_j": 1.0, "remaining_uj": 1, "reservation": "r1"}).encode()
    with (
        answering(lambda n, _: (503, b"") if n < 3 else (200, good)) as (url, asked),
        client_of(url) as client,
    ):
        assert client.take(120_000_000, request_id="a").id == "r1"
    assert {body["request_id"] for _, _, body in asked} == {"a"}
    assert [body["joules"] for _, _, body in asked] == [120.0] * 3


def test_what_the_daemon_refuses_is_passed_on_in_its_words():
    body = json.dumps({"error": {"what": "A body is too large.", "why": "", "hint": ""}}).encode()
    with answering(lambda *_: (413, body)) as (url, _), client_of(url) as client:
        assert "A body is too large" in refused(client.sample)


@pytest.mark.parametrize(
    ("token", "says"), [("", "asks for a token"), ("wrong", "refuses the token that was said")]
)
def test_a_token_that_is_missing_or_wrong_is_told_apart(token, says):
    with answering(lambda *_: (401, b"{}")) as (url, _), client_of(url, token=token) as client:
        with pytest.raises(AgentError, match=says) as caught:
            client.sample()
        assert "CRYOFLUX_TOKEN" in caught.value.hint


def test_a_url_without_its_scheme_is_told_how_to_be_written():
    with pytest.raises(AgentError, match="is not the URL") as caught:
        AgentClient("127.0.0.1:8787")
    assert "Write it as http://" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:pw@127.0.0.1:8787/x", "http://127.0.0.1:8787/x"),
        ("me:pw@127.0.0.1:8787", "127.0.0.1:8787"),
        ("http://me:a://b@host:1", "http://host:1"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


def test_an_empty_bucket_is_a_budget_error_and_joules_without_a_reservation_are_not_taken():
    replies = {
        False: {"ok": False, "remaining_j": 3.0, "remaining_uj": 3_000_000},
        True: {"ok": True, "remaining_j": 3.0, "remaining_uj": 3_000_000, "reservation": None},
    }
    for ok, expected in ((False, BudgetError), (True, AgentError)):
        content = json.dumps(replies[ok]).encode()
        with (
            answering(lambda *_, content=content: (200, content)) as (url, _),
            client_of(url) as client,
            pytest.raises(expected),
        ):
            client.take(120_000_000, request_id="a")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8787",
        "ftp://127.0.0.1",
        "http://[",
        "http://127.0.0.1:notaport",
        "unix://",
        "unix:///nowhere/agent.sock",
    ],
)
def test_a_url_that_is_none_is_an_agent_error(url):
    def use():
        with client_of(url, attempts=1) as client:
            client.sample()

    refused(use)


@pytest.mark.parametrize(
    "url", ["http://user:pw@127.0.0.1:9", "user:pw@host", "http://user:p/w@[", "ftp://pw@host"]
)
def test_what_a_url_carries_to_log_in_with_is_never_printed(url):
    def use():
        with client_of(url, attempts=1) as client:
            client.sample()

    with pytest.raises(AgentError) as caught:
        use()
    said = "".join(caught.value.lines())
    assert "pw" not in said.replace("p/w", "pw")
    assert "user" not in said


def test_a_token_that_cannot_be_sent_is_said_to_be_that():
    with pytest.raises(ConfigError, match="token") as caught:
        AgentClient("http://127.0.0.1:9", "schlüssel")
    assert len(caught.value.lines()) == 3


def test_spending_is_asked_for_seldom_and_never_falls_in_between(monkeypatch):
    def reply(asked, _):
        figure = {**ENERGY, "uj": 30_000_000 - asked * 1_000_000}
        return 200, json.dumps({**RESERVATION, "spent": figure}).encode()

    with answering(reply) as (url, asked), client_of(url) as client:
        moments = itertools.count()  # a hundredth of a second from one to the next
        clock = SimpleNamespace(monotonic=lambda: next(moments) / 100, process_time=time.process_time)
        monkeypatch.setattr(agent_client, "time", clock)
        figures = [client.spent("r1").uj for _ in range(300)]
        assert 4 <= len(asked) <= next(moments) / 100 / 0.5 + 1
        assert figures == sorted(figures)


TAKEN = json.dumps({"ok": True, "remaining_j": 1.0, "remaining_uj": 1, "reservation": "r1"}).encode()


def spent_after(used_s, cpu_us):
    """What the client says after so much CPU time, where the daemon's figure stands for ``cpu_us``."""
    reservation = json.dumps({**RESERVATION, "cpu_us": cpu_us}).encode()
    with (
        answering(lambda _, path: (200, TAKEN if path == "/v1/take" else reservation)) as (url, _),
        client_of(url) as client,
    ):
        client.take(120_000_000, request_id="a")
        until_s = time.process_time() + used_s
        while time.process_time() < until_s:
            sum(range(1000))
        return client.spent("r1")


def test_what_was_computed_since_the_figure_was_made_is_added_however_lately_it_was_asked_for():
    # 30 J stand for the first tenth of a second; two more have passed.
    figure = spent_after(0.3, 100_000)
    assert figure.uj >= 90_000_000
    assert figure.lo_uj == 1
    assert figure.hi_uj >= 180_000_000


def test_a_figure_that_stands_for_more_than_this_process_computed_is_not_added_to_twice():
    figure = spent_after(0.0, 3_600_000_000)  # an hour of its children
    assert 30_000_000 <= figure.uj < 30_100_000


def test_a_figure_that_stands_for_no_known_time_is_shown_as_it_is():
    assert spent_after(0.1, 0).uj == 30_000_000


def test_a_daemon_lends_nothing_and_is_not_even_asked():
    charged = Energy(1, 1, 1, Tier.COUNTER)
    with answering(lambda *_: (200, b"{}")) as (url, asked), client_of(url) as client:
        for call in (lambda: client.lend(1, request_id="a/lent/w1"), lambda: client.repay("r1", charged)):
            with pytest.raises(UsageError, match="lends no joules") as caught:
                call()
            assert len(caught.value.lines()) == 3
            assert "--agent" in caught.value.hint
    assert asked == []


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        (404, {"error": {"what": "Not Found.", "why": "", "hint": ""}}, "too old"),
        (404, {"error": {"what": "There is no r1.", "why": "", "hint": ""}}, "refused: There is no r1"),
        (200, {"reservation": "r1", "statement": "{}"}, "signs nonsense"),
        (200, {}, "is not a JouleAgent"),
    ],
)
def test_a_word_that_is_none_is_refused(status, said, why):
    with answering(lambda *_: (status, json.dumps(said).encode())) as (url, _), client_of(url) as client:
        assert why in refused(lambda: client.word("r1"))


def test_the_log_of_a_reservation_is_the_one_that_the_daemon_keeps():
    keeps = {"log": "ours", "intent": "0" * 64}
    for kept in (keeps, {"log": "ours"}, {}):
        listed = {**RESERVATION, **kept, "alive": False}
        taken = json.dumps({**json.loads(TAKEN), **kept}).encode()
        listing = json.dumps({"reservations": [listed]}).encode()

        def reply(_, path, taken=taken, listing=listing):
            return 200, taken if path == "/v1/take" else listing

        with answering(reply) as (url, asked), client_of(url) as client:
            reservations = [client.take(120_000_000, request_id="a", **keeps), client.find("a")]
        assert reservations == [Reservation("r1", "a", 120_000_000, **kept)] * 2
        assert keeps.items() <= asked[0][2].items()
        assert asked[0][2]["reservation"] is True
