"""The daemon while somebody tries to disturb it: it measures on, answers others, and ends cleanly."""

from __future__ import annotations

import json
import random
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from test_agent_daemon import daemon

from cryoflux.database import read_only
from cryoflux.energy.account.ledger import identity
from waiting import CEILING_S, until

HOST = b"Host: localhost\r\n"
SAMPLE = b"GET /v1/sample HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with daemon(tmp_path_factory.mktemp("fire"), "--credit", "grant") as running:
        running.post("/v1/grant", {"joules": 1000, "request_id": "for-all"})
        yield running
        assert running.end() == (0, "")


def connect(agent):
    host, _, port = agent.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=CEILING_S)


def answer_of(connection):
    """Everything until the other side ends, or is gone."""
    received = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            received += part
    return received


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def newer(agent, before):
    """The sample of now, if it has more joules."""
    sample = json.loads(agent.get("/v1/sample"))
    return sample if sample["gross"]["uj"] > before["gross"]["uj"] else None


@contextmanager
def unharmed(agent):
    """Inside, joules are counted on and somebody else takes and gives back."""
    before = json.loads(agent.get("/v1/sample"))
    yield
    taken = agent.post("/v1/take", {"joules": 1, "reservation": True})
    assert taken["ok"] is True
    agent.post("/v1/release", {"reservation": taken["reservation"]})
    after = until(lambda: newer(agent, before), "joules that are still counted")
    assert after["bucket_uj"] == before["bucket_uj"]


SLOW = {
    "header": b"GET /v1/sample HTTP/1.1\r\nX-Slow: ",
    "body": b"POST /v1/take HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    "chunks": b"POST /v1/take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
    "nothing": b"",
}


def drip(agent, content):
    """What is answered to who sends this, and then a byte every half second for as long as it goes."""
    with connect(agent) as connection, suppress(ConnectionError):
        connection.settimeout(0.5)
        connection.sendall(content)
        while True:
            with suppress(TimeoutError):
                return connection.recv(65536)
            if content:
                connection.sendall(b" ")
    return b""


def test_who_drips_a_request_is_cut_however_steadily_it_drips(target):
    with ThreadPoolExecutor(len(SLOW)) as threads:
        with unharmed(target):
            answers = {name: threads.submit(drip, target, content) for name, content in SLOW.items()}
        statuses = {name: status_of(answer.result()) for name, answer in answers.items()}
    assert statuses == dict.fromkeys(SLOW, 408)


@pytest.mark.parametrize("path", ["/v1/take", "/v1/sample", "/nowhere"])
def test_a_body_of_ten_megabytes_is_refused_before_it_is_sent(target, path):
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n"
    with unharmed(target), connect(target) as connection:
        connection.sendall(head.encode() + HOST + b"\r\n")
        assert status_of(connection.recv(65536)) == 413


def test_chunks_without_end_are_cut(target):
    with unharmed(target), connect(target) as connection:
        connection.sendall(b"POST /v1/take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 50_000_000:  # the kernel holds a part of it for both sides
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                sent += 65536
        assert sent < 50_000_000


def test_connections_that_say_nothing_lock_nobody_out(target):
    with ExitStack() as opened, unharmed(target):
        for _ in range(1500):
            opened.enter_context(connect(target))
        with connect(target) as other:
            other.sendall(SAMPLE.replace(HOST, HOST + b"Connection: close\r\n"))
            assert status_of(answer_of(other)) == 200


def test_where_there_is_no_room_the_oldest_that_waits_gives_way(tmp_path):
    with daemon(tmp_path, "--credit", "grant", files=900) as agent, ExitStack() as opened:
        agent.post("/v1/grant", {"joules": 1000, "request_id": "for-all"})
        first = opened.enter_context(connect(agent))
        first.sendall(SAMPLE)
        answered = first.recv(65536)
        while not answered.endswith(b"}"):
            answered += first.recv(65536)
        assert status_of(answered) == 200
        stream = opened.enter_context(connect(agent))
        stream.sendall(b"GET /v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
        assert status_of(stream.recv(65536)) == 200
        with unharmed(agent):
            for _ in range(1500):
                opened.enter_context(connect(agent))
            assert len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir())) < 900
        assert answer_of(first) == b""
        received = b""
        while received.count(b"event: sample") < 3:
            received += stream.recv(65536)
        assert agent.end() == (0, "")


GARBAGE = {
    "random": bytes(random.Random(1).randbytes(4000)),
    "tls": bytes.fromhex("1603010200010001fc0303") + b"x" * 500,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no-host": b"GET /v1/sample HTTP/1.1\r\n\r\n",
    "two-lengths": b"POST /v1/take HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
    "long-length": b"POST /v1/take HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "length-and-chunks": b"POST /v1/take HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: gzip\r\n\r\nG",
    "header-injection": b"GET /v1/sample HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "huge-header": b"GET /v1/sample HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    "many-headers": b"GET /v1/sample HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000 + b"\r\n",
    "huge-path": b"GET /" + b"y" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "bad-chunk": b"POST /v1/take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "bad-chunk-after-refusal": b"POST /nowhere HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nxyz\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused(target, garbage):
    with unharmed(target), connect(target) as connection:
        with suppress(OSError):  # it may be cut while it is sent
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
        answer = answer_of(connection)
        assert not answer or 400 <= status_of(answer) < 500
        assert b" 200 " not in answer


def test_pipelined_requests_are_answered_in_order_and_not_ahead_of_others(target):
    asked = [f"GET /v1/reservations/n{n} HTTP/1.1\r\n".encode() + HOST + b"\r\n" for n in range(300)]
    with unharmed(target), connect(target) as connection:
        connection.sendall(b"".join(asked))
        connection.sendall(b"GET /nowhere HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        answer = answer_of(connection)
    places = [answer.index(f"'n{n}'".encode()) for n in range(300)]
    assert places == sorted(places)
    assert answer.count(b"HTTP/1.1 404") == 301


def test_who_asks_and_never_reads_holds_up_nobody(target):
    asked = (b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n") * 1000
    with ExitStack() as opened, unharmed(target):
        for _ in range(20):
            connection = opened.enter_context(connect(target))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.send(asked)


def test_resets_in_the_middle_of_anything_are_shrugged_off(target):
    partial = [SAMPLE, SAMPLE[:20], SLOW["body"], SLOW["body"] + b"{", SAMPLE * 50, b""]
    with unharmed(target):
        for content in partial * 30:
            connection = connect(target)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(content)
            connection.close()


def test_event_streams_have_a_limit_and_those_that_are_let_in_go_on(target):
    with ExitStack() as opened, unharmed(target):
        statuses, streams = [], []
        for _ in range(90):
            connection = opened.enter_context(connect(target))
            connection.sendall(b"GET /v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
            statuses.append(status_of(connection.recv(12)))
            streams.append(connection)
        assert statuses == [200] * 64 + [503] * 26
        received = b""
        while received.count(b"event: sample") < 3:
            received += streams[0].recv(65536)
    until(lambda: is_let_in(target), "room for a stream, once the daemon has seen others go")


def is_let_in(agent):
    with connect(agent) as connection:
        connection.sendall(b"GET /v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
        return status_of(connection.recv(65536)) == 200


def test_a_crowd_of_clients_is_served_and_the_account_adds_up(tmp_path):
    with daemon(tmp_path, "--credit", "grant") as agent:
        agent.post("/v1/grant", {"joules": 40, "request_id": "g"})
        with ThreadPoolExecutor(16) as threads:
            taken = list(threads.map(lambda _: agent.post("/v1/take", {"joules": 1}), range(80)))
        assert sum(one["ok"] for one in taken) == 40
        assert agent.end(signal.SIGTERM) == (0, "")
    with read_only(tmp_path / "account.db") as account:
        assert identity(account).holds
