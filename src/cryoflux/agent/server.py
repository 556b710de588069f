"""Runs the daemon over one meter, where only those who may can spend from its bucket."""

from __future__ import annotations

__all__ = ["require_token", "serve"]

import asyncio
import shlex
import socket

from cryoflux.agent.app import create_app
from cryoflux.agent.token import require_sendable
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.errors import ConfigError
from cryoflux.serving import server
from cryoflux.serving.guard import is_loopback
from cryoflux.serving.listening import url_of


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


def serve(agent: LocalAgent, listener: socket.socket, *, token: str = "") -> None:
    """Answer requests until a signal comes."""
    stopping = asyncio.Event()
    on_file = listener.family == socket.AF_UNIX
    app = create_app(
        agent, token=token, any_host=on_file, stopping=stopping, curl=_curl(listener, asks_token=bool(token))
    )
    server.serve(app, listener, stopping)


def _curl(listener: socket.socket, *, asks_token: bool) -> str:
    """What somebody on this machine types to ask this daemon, up to the path."""
    token = ' -H "Authorization: Bearer $CRYOFLUX_TOKEN"' if asks_token else ""
    if listener.family == socket.AF_UNIX:
        return f"curl -s{token} --unix-socket {shlex.quote(str(listener.getsockname()))} http://localhost"
    return f"curl -s{token} {url_of(listener)}"
