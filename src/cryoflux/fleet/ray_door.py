"""Whether a Ray cluster may be joined: whoever reaches an open one may run code on all of its machines."""

from __future__ import annotations

__all__ = ["host_of", "require_guarded", "require_listening"]

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from cryoflux.errors import UsageError
from cryoflux.fleet.failing import FleetError

_CONNECT_S = 5.0


def host_of(address: str) -> tuple[str, int]:
    """Host and port of ``ray://HOST:PORT``.

    Raises:
        UsageError: it is no such address.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "ray" or not parts.hostname or port is None:
        raise UsageError(
            f"{address!r} is no address of a fleet.",
            why="Workers are processes of this machine (local), or actors of a Ray cluster.",
            hint="Name one as --fleet ray://HOST:10001, or leave --fleet out.",
        )
    return parts.hostname, port


def require_guarded(address: str, environment: Mapping[str, str]) -> None:
    """Make sure that not everybody who can reach a cluster may use it.

    Ray listens on all addresses of a machine, also where it is asked for loopback alone. So a token is wanted
    everywhere, and TLS where the cluster is not on this machine.

    Args:
        address: of the cluster.
        environment: of this process.

    Raises:
        UsageError: it is not known to be guarded.
    """
    host, _ = host_of(address)
    if environment.get("RAY_AUTH_MODE", "").lower() != "token":
        raise UsageError(
            f"The cluster at {host} is not known to ask for a token.",
            why="Whoever reaches an open Ray cluster runs code on all of its machines.",
            hint="Start all of it, and this run, with RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN_PATH. "
            "One that fleet up has started is known where the same --state is named.",
        )
    if environment.get("RAY_USE_TLS", "0").lower() not in {"1", "true"} and not _is_here(host):
        raise UsageError(
            f"{host} is another machine, and what is said to it would be readable on the way.",
            why="Files, orders and the token itself would go over the network in the clear.",
            hint="Start all of it, and this run, with RAY_USE_TLS=1, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY "
            "and RAY_TLS_CA_CERT.",
        )


def _is_here(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise FleetError(f"{host} is not known: {error.strerror}.") from error
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def require_listening(address: str) -> None:
    """Make sure that something listens: Ray itself would try on for minutes.

    Raises:
        FleetError: nothing does.
    """
    host, port = host_of(address)
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as error:
        raise FleetError(
            f"Nothing answers at {host}:{port}: {error.strerror or error}.",
            why="A fleet's head listens there.",
            hint="Start one: cryoflux fleet up --workers 2; or name another one with --fleet ray://HOST:PORT.",
        ) from error
