"""The witness over a real socket: what it answers, and what it does not let through."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from cryoflux.errors import UsageError
from cryoflux.serving.listening import bind
from cryoflux.witness.server import create_app
from cryoflux.witness.submission import MAX_BODY_BYTES
from signed_log import OpenWitness, SignedLog
from waiting import PLAINLY, until

LOG = SignedLog()


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    return OpenWitness(tmp_path)


@pytest.fixture
def url(watched: OpenWitness) -> Iterator[str]:
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(create_app(watched.witness), log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started, "the server")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def post(url: str, body: bytes, path: str = "/add-checkpoint", **headers: str) -> httpx2.Response:
    return httpx2.post(url + path, content=body, headers=headers, **PLAINLY)


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, **PLAINLY)


def test_the_answers_are_those_of_the_specification(url: str) -> None:
    granted = post(url, LOG.submission(0, 5))
    assert granted.status_code == 200
    assert granted.text.startswith("— cryoflux.dev/witness/")
    conflict = post(url, LOG.submission(0, 7))
    assert (conflict.status_code, conflict.text) == (409, "5\n")
    assert conflict.headers["content-type"] == "text/x.tlog.size"
    assert post(url, b"nonsense").status_code == 400
    assert post(url, SignedLog(origin="log.example/2").submission(0, 5)).status_code == 404
    assert get(f"{url}/add-checkpoint").status_code == 405
    assert get(f"{url}/elsewhere").status_code == 404


def test_the_same_size_with_another_root_is_no_conflict(url: str) -> None:
    assert post(url, LOG.submission(0, 5)).status_code == 200
    assert post(url, SignedLog("b").submission(5, 5)).status_code == 422
    assert post(url, SignedLog("b").submission(0, 5)).status_code == 409  # the old size is asked for first


def test_monitors_are_given_the_heads(url: str) -> None:
    line = post(url, LOG.submission(0, 5)).text
    place = hashlib.sha256(LOG.origin.encode()).hexdigest()
    found = get(f"{url}/{place}/checkpoint")
    assert (found.status_code, found.text) == (200, LOG.note(5).decode() + line)
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"
    assert get(f"{url}/{place[:-1]}/checkpoint").status_code == 404
    assert get(f"{url}//checkpoint").status_code == 404
    assert post(url, b"", path=f"/{place}/checkpoint").status_code == 405
    heads = get(f"{url}/heads")
    assert heads.text == found.text
    rest = httpx2.URL(f"{url}/heads").join(heads.links["next"]["url"])
    assert get(str(rest)).text == ""
    assert get(f"{url}/heads?after=first").status_code == 400


def test_it_says_its_key(url: str, watched: OpenWitness) -> None:
    assert get(f"{url}/key").text == f"{watched.vkey}\n"


def test_a_web_page_with_a_name_of_its_own_is_refused(url: str) -> None:
    assert post(url, LOG.submission(0, 5), host="evil.example").status_code == 403
    assert post(url, LOG.submission(0, 5), host="localhost:1").status_code == 200


def test_a_body_without_end_is_cut_off(url: str) -> None:
    assert post(url, b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert post(url, LOG.submission(0, 5)).status_code == 200


def test_a_body_that_never_comes_holds_up_nobody(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nold")
        assert post(url, LOG.submission(0, 5)).status_code == 200


def test_a_full_disk_is_no_cosignature(
    url: str, watched: OpenWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UsageError("the disk is full")

    monkeypatch.setattr(watched.heads, "put", full)
    reply = post(url, LOG.submission(0, 5))
    assert (reply.status_code, reply.content) == (503, b"")
