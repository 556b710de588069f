"""Runs the daemon: binds first, says where it listens, and ends cleanly on SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

__all__ = ["bind", "require_token", "serve"]

import signal
import socket
import threading
from types import FrameType

import uvicorn

from cryoflux.agent.app import create_app
from cryoflux.agent.guard import is_loopback
from cryoflux.agent.token import require_sendable
from cryoflux.energy.embedded import EmbeddedAgent
from cryoflux.errors import ConfigError, UsageError

_BACKLOG = 2048


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


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 finds a free one.

    Raises:
        UsageError: the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.",
            why="Another daemon may listen there already.",
            hint="Choose another port with --port N, or 0 for any free one.",
        ) from error
    return listener


class _Server(uvicorn.Server):
    """Tells open event streams to end, so that they do not hold up the shutdown."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the overridden signature
        self._stopping.set()
        # A second signal must not raise out of a half-finished shutdown.
        self.should_exit = True


def serve(agent: EmbeddedAgent, listener: socket.socket, *, token: str = "") -> None:
    """Answer requests until a signal comes."""
    stopping = threading.Event()
    config = uvicorn.Config(
        create_app(agent, token=token, stopping=stopping),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="off",
        ws="none",
    )
    server = _Server(config, stopping)
    # The server sees to SIGINT and SIGTERM by itself. Under nohup a hang-up stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    server.run(sockets=[listener])
