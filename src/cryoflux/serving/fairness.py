"""How much one client may ask for, so that none of them can take a server from the others.

A client is an address; of IPv6 the first 64 bits, for whoever has one of those addresses has all. Each has an
allowance that fills up by and by, and so many answers at once. Behind a proxy all clients are one, and what a
client may do is the proxy's to say.
"""

from __future__ import annotations

__all__ = ["Allowances", "Fairness", "client_of", "too_often"]

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryoflux.serving.routing import App, NotServedError, Receive, Scope, Send

_MOST_CLIENTS = 4096
"""that are remembered; who has not asked for longest is forgotten"""


def client_of(address: str) -> str:
    """Whom an address stands for."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))
    return str(found)


class Allowances:
    """What each client may still ask for now.

    Args:
        most: requests at once after a pause.
        per_s: that come anew each second.
        clock: seconds.
    """

    def __init__(self, most: float, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._per_s, self._clock = most, per_s, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """client → what it had left, and when"""

    def take(self, client: str) -> float:
        """Let a client ask once more; otherwise how many seconds it has to wait for that."""
        now_s = self._clock()
        had, at_s = self._left.pop(client, (self._most, now_s))
        left = min(self._most, had + (now_s - at_s) * self._per_s)
        granted = left >= 1
        self._left[client] = (left - granted, now_s)
        while len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / self._per_s


class Fairness:
    """ASGI middleware that refuses a client what would be too much.

    Args:
        app: what answers.
        allowances: how often a client may ask.
        most_at_once: answers to one client at a time.
        most_of_all: answers to all of them at a time.
    """

    def __init__(self, app: App, allowances: Allowances, *, most_at_once: int, most_of_all: int) -> None:
        self._app, self._allowances = app, allowances
        self._most_at_once, self._most_of_all = most_at_once, most_of_all
        self._answering: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            NotServedError: it is too much, of this client (429) or of all (503).
        """
        with self._answer(client_of((scope.get("client") or ("",))[0])):
            await self._app(scope, receive, send)

    @contextmanager
    def _answer(self, client: str) -> Iterator[None]:
        now = self._answering.get(client, 0)
        if wait_s := self._allowances.take(client):
            raise too_often(wait_s)
        if now >= self._most_at_once:
            raise NotServedError(429, f"{now} answers to you are under way.", _after(1))
        if sum(self._answering.values()) >= self._most_of_all:
            raise NotServedError(503, "Too many answers are under way.", _after(1))
        self._answering[client] = now + 1
        try:
            yield
        finally:
            self._answering[client] -= 1
            if not self._answering[client]:
                del self._answering[client]


def too_often(wait_s: float) -> NotServedError:
    """The refusal of a client that has asked too often."""
    return NotServedError(429, "You ask too often.", _after(wait_s))


def _after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", str(max(1, -int(-seconds // 1))).encode()),)
