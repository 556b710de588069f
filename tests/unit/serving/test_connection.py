"""Who gives way where there is no more room, over real sockets."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from cryoflux.serving import connection
from cryoflux.serving.connection import Connection, Room
from cryoflux.serving.listening import bind
from waiting import CEILING_S, until

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
MOST = 3


@contextmanager
def served(app: Any) -> Iterator[Callable[[], socket.socket]]:
    """A server with room for a few connections, and how to connect to it."""
    with bind("127.0.0.1", 0) as listener:
        config = uvicorn.Config(
            app,
            http=functools.partial(Connection, room=Room(MOST)),
            lifespan="off",
            ws="none",
            interface="asgi3",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, "the server")
        try:
            yield lambda: socket.create_connection(listener.getsockname(), timeout=CEILING_S)
        finally:
            server.should_exit = True
            thread.join()


async def hello(_: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


def answer(connected: socket.socket) -> bytes:
    connected.sendall(REQUEST)
    content = b""
    while not content.endswith(b"hi") and (part := connected.recv(4096)):
        content += part
    return content


def gone(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_oldest_that_says_nothing_gives_way() -> None:
    with served(hello) as connect, ExitStack() as opened:
        silent = [opened.enter_context(connect()) for _ in range(MOST)]
        newcomer = opened.enter_context(connect())
        assert answer(newcomer).endswith(b"hi")
        assert gone(silent[0])
        assert answer(silent[1]).endswith(b"hi")  # and only that one


def test_one_that_is_answered_never_gives_way() -> None:
    release, begun = threading.Event(), threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.to_thread(release.wait)
        await hello(scope, receive, send)

    with served(slow) as connect, ExitStack() as opened:
        busy = opened.enter_context(connect())
        busy.sendall(REQUEST)
        begun.wait()
        silent = [opened.enter_context(connect()) for _ in range(MOST)]
        assert gone(silent[0])
        release.set()
        assert busy.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx"]
)
def test_a_request_that_does_not_come_whole_is_refused(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_REQUEST_S", 0.2)

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        if message["type"] == "http.request":
            await hello(scope, receive, send)

    with served(reads) as connect, connect() as dripping:
        dripping.sendall(begun)
        content = b""
        while part := dripping.recv(4096):
            content += part
        assert content.startswith(b"HTTP/1.1 408")


def test_what_is_no_http_is_told_so() -> None:
    with served(hello) as connect, connect() as odd:
        odd.sendall(b"\x00\x01\x02\r\n\r\n")
        assert odd.recv(4096).startswith(b"HTTP/1.1 400")
