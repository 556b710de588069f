"""Serves the pages until a signal comes."""

from __future__ import annotations

__all__ = ["require_page_token", "serve"]

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from cryoflux.agent.token import require_sendable
from cryoflux.energy.derived import Rates
from cryoflux.energy.interface import Sample
from cryoflux.errors import ConfigError
from cryoflux.pages.app import create_app, site_of
from cryoflux.serving import server
from cryoflux.serving.guard import is_loopback


def require_page_token(host: str, token: str) -> None:
    """Refuse to show pages beyond this machine without a token.

    Raises:
        ConfigError: anyone on the network could look, and move heads; or no browser could send the token.
    """
    require_sendable(token)
    if not token and not is_loopback(host):
        raise ConfigError(
            f"{host} is not a loopback address, and there is no token.",
            why="Anyone on the network could read the state, and move its heads.",
            hint="Set CRYOFLUX_TOKEN, or listen on 127.0.0.1.",
        )


def serve(
    folders: Sequence[Path],
    listener: socket.socket,
    *,
    rates: Rates,
    token: str = "",
    mover: str = "",
    daemon: Callable[[], Sample | None] | None = None,
) -> None:
    """Answer requests until a signal comes.

    Args:
        folders: the states.
        listener: a listening socket; the caller closes it.
        rates: what a kilowatt-hour emits and costs.
        token: that a browser has to know; empty on loopback.
        mover: that who moves a head has to know; empty where the pages move none.
        daemon: asks a meter that runs by itself; none where there is none.
    """
    stopping = asyncio.Event()
    site = site_of(folders, rates, stopping, writable=bool(mover))
    site.daemon = daemon
    server.serve(create_app(site, token=token, mover=mover), listener, stopping)
