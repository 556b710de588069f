"""Why a request came to nothing, in words of ours: those of libraries and systems differ and say little."""

from __future__ import annotations

__all__ = ["why_unreached"]

import socket
import ssl
from collections.abc import Iterator

import httpx2

_WHY: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((httpx2.UnsupportedProtocol, httpx2.InvalidURL), "is no http address"),
    ((socket.gaierror,), "cannot be found: no address is known of that name"),
    ((ConnectionRefusedError,), "refuses connections: nothing listens there"),
    ((ssl.SSLError,), "does not speak https, or has a certificate that is not trusted here"),
    ((TimeoutError, httpx2.TimeoutException), "did not answer in time"),
    ((ConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError), "broke off the connection"),
    ((httpx2.ConnectError,), "cannot be connected to from here"),
)
"""the first that fits an error, or what caused it"""


def why_unreached(error: BaseException) -> str:
    """What an address did, or is; to follow its name.

    Args:
        error: of a request.
    """
    causes = tuple(_causes(error))
    for kinds, why in _WHY:
        if any(isinstance(cause, kinds) for cause in causes):
            return why
    return f"cannot be had ({str(error)[:200] or type(error).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
