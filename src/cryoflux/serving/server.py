"""Runs a server: waits for requests without ticking, and ends cleanly on SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

__all__ = ["serve"]

import asyncio
import functools
import logging
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn

from cryoflux.serving.connection import KEEP_ALIVE_S, MOST_HEADER_BYTES, Connection, Room
from cryoflux.serving.listening import ACCEPTED_AT_ONCE, BACKLOG, make_room
from cryoflux.serving.routing import App


class _Server(uvicorn.Server):
    """Sleeps until a signal comes; uvicorn's own looks ten times a second whether one came."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._listener = listener
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        # asyncio has one number for what waits and for what it accepts in one go, before anything else.
        self._listener.listen(BACKLOG)
        if not self.should_exit:
            await self._stopping.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the overridden signature
        # A second signal must not raise out of a half-finished shutdown.
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stopping.set)


def serve(app: App, listener: socket.socket, stopping: asyncio.Event | None = None) -> None:
    """Answer requests until a signal comes.

    Args:
        app: answers them.
        listener: a listening socket; the caller closes it.
        stopping: is set when a signal has come, so that answers that go on can end.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        # Its signature is that of the class, which is what uvicorn calls.
        http=functools.partial(Connection, room=Room(make_room())),  # type: ignore[arg-type]
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )
    # Anyone can send garbage, and must not fill the log with it.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(config, listener, stopping or asyncio.Event())
    # The server sees to SIGINT and SIGTERM by itself. Under nohup a hang-up stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    server.run(sockets=[listener])
