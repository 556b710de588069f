"""Runs the daemon: waits for requests without ticking, and ends cleanly on SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

__all__ = ["require_token", "serve"]

import asyncio
import functools
import logging
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn

from cryoflux.agent.app import create_app
from cryoflux.agent.connection import KEEP_ALIVE_S, MOST_HEADER_BYTES, Connection, Room
from cryoflux.agent.guard import is_loopback
from cryoflux.agent.listening import ACCEPTED_AT_ONCE, BACKLOG, make_room
from cryoflux.agent.token import require_sendable
from cryoflux.energy.embedded import EmbeddedAgent
from cryoflux.errors import ConfigError


def require_token(host: str, token: str) -> None:
    """Refuse to listen beyond this machine without a token, and a token that no client could send.

    Raises:
        ConfigError: others could spend from the bucket, or nobody could.
    """
    require_sendable(token)
    if not token and not is_loopback(host):
        raise ConfigError(
            f"{host} is not a loopback address, and there is no token.",
            why="Anyone on the network could spend from the bucket.",
            hint="Set CRYOFLUX_TOKEN, or listen on 127.0.0.1.",
        )


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


def serve(agent: EmbeddedAgent, listener: socket.socket, *, token: str = "") -> None:
    """Answer requests until a signal comes."""
    stopping = asyncio.Event()
    on_file = listener.family == socket.AF_UNIX
    config = uvicorn.Config(
        create_app(agent, token=token, any_host=on_file, stopping=stopping),
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
    server = _Server(config, listener, stopping)
    # The server sees to SIGINT and SIGTERM by itself. Under nohup a hang-up stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    server.run(sockets=[listener])
