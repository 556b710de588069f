"""A node's server in this process: its limits, what the disk refuses, and when it looks at the state."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.errors import StorageError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.freshness import Freshness
from cryoflux.network.hints import Hints
from cryoflux.network.introducing import Introductions
from cryoflux.network.serving import create_app
from cryoflux.serving.fairness import Allowances
from cryoflux.serving.routing import NotServedError, Request

NOTHING_HELD = SimpleNamespace(held_s=0.0)


def app_over(tmp_path: Path, publish: Any = lambda: NOTHING_HELD, **limits: Any) -> Any:
    folder = NetworkFolder.of(tmp_path)
    (folder.public / "log").mkdir(parents=True, exist_ok=True)
    (folder.public / "log/checkpoint").write_bytes(b"a head\n")
    watched = tmp_path / "watched"
    watched.touch()
    own = Introductions(folder, "cryoflux.dev/0123456789abcdef")
    return create_app(folder, Freshness(publish, [watched]), Hints(folder, set), own, **limits)


async def ask(app: Any, path: str = "/log/checkpoint", client: str = "192.0.2.1") -> tuple[int, bytes, dict]:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "client": (client, 1),
        "headers": [(b"host", b"localhost")],
    }

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]), dict(sent[0]["headers"])


def test_one_client_that_floods_it_is_told_to_wait_and_others_are_answered(tmp_path: Path) -> None:
    async def flood() -> list[int]:
        app = app_over(tmp_path, allowances=Allowances(3, 0.001))
        clients = ["192.0.2.1"] * 4 + ["192.0.2.2"]
        found = [await ask(app, client=client) for client in clients]
        assert found[3][2][b"retry-after"] == b"1000"
        return [status for status, _, _ in found]

    assert asyncio.run(flood()) == [200, 200, 200, 429, 200]


def test_what_the_disk_refuses_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_over(tmp_path)

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", refuse)
    status, body, headers = asyncio.run(ask(app))
    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert b"Input/output" not in body


def test_the_tree_is_brought_up_to_date_when_something_has_changed_and_only_then(tmp_path: Path) -> None:
    turns: list[int] = []

    def publish() -> object:
        turns.append(1)
        return NOTHING_HELD

    async def look() -> None:
        app = app_over(tmp_path, publish)
        for _ in range(3):
            await ask(app)
        assert len(turns) == 1
        (tmp_path / "watched").write_bytes(b"more")
        await asyncio.gather(*(ask(app) for _ in range(9)))
        assert len(turns) == 2
        await ask(app, "/lists/" + "a" * 64)
        assert len(turns) == 2

    asyncio.run(look())


def test_what_is_held_back_is_shown_when_it_is_due_though_nothing_has_changed(
    tmp_path: Path,
) -> None:
    held_s = [0.1, 0.0]
    turns: list[int] = []

    def publish() -> object:
        turns.append(1)
        return SimpleNamespace(held_s=held_s[len(turns) - 1])

    async def look() -> list[int]:
        app, found = app_over(tmp_path, publish), list[int]()
        for wait_s in (0.0, 0.0, 0.15, 0.15):
            await asyncio.sleep(wait_s)
            await ask(app)
            found.append(len(turns))
        return found

    assert asyncio.run(look()) == [1, 1, 2, 2]


def test_a_tree_that_cannot_be_brought_up_to_date_is_shown_as_it_was(tmp_path: Path) -> None:
    tried: list[int] = []

    def refuse() -> None:
        tried.append(1)
        raise StorageError("the disk is full")

    async def look() -> None:
        app = app_over(tmp_path, refuse)
        for _ in range(3):
            assert (await ask(app))[:2] == (200, b"a head\n")
        assert len(tried) == 1  # and not at every request

    asyncio.run(look())


KNOWN = "log.example/1"
SIZES = (b"-1", b'"7"', b"1.5", b"1e99", b"NaN")


def hinted(tmp_path: Path, body: bytes) -> tuple[int, list[bytes]]:
    hints = Hints(NetworkFolder.of(tmp_path), lambda: {KNOWN})
    try:
        status = asyncio.run(hints.take(Request(body, {}, "", client="192.0.2.1"))).status
    except NotServedError as error:
        status = error.status
    return status, [path.read_bytes() for path in (tmp_path / "network/hints").glob("*")]


def test_a_hint_is_kept_for_a_log_that_is_known(tmp_path: Path) -> None:
    said = b'{"origin":"%s","size":7}' % KNOWN.encode()
    assert hinted(tmp_path, said) == (202, [said])
    assert hinted(tmp_path, said.replace(b"7", b"9")) == (202, [said.replace(b"7", b"9")])  # one file a log
    assert hinted(tmp_path / "other", said.replace(b"/1", b"/2")) == (202, [])


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"7", b"\xff", b'{"origin":"log.example/1"}', b'{"origin":"","size":7}'),
        *(
            b'{"origin":"log.example/1","size":%s}' % size
            for size in (b"-1", b'"7"', b"1.5", b"1e99", b"NaN")
        ),
        b'{"origin":"log.example/1","size":7,"more":1}',
        b'{"origin":"%s","size":7}' % (b"x" * 201),
        b"[" * 1000,
    ],
)
def test_what_is_no_hint_is_refused(tmp_path: Path, body: bytes) -> None:
    assert hinted(tmp_path, body) == (422, [])
