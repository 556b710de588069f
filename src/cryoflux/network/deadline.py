"""One deadline for all that a request does, from the connection to the last byte.

The limits of an HTTP client are on single reads, so a server that sends a byte of a header now and then keeps
it for days. Here each read and write has what is left of the whole, whichever part of the answer it is for.
"""

from __future__ import annotations

__all__ = ["DeadlineTransport"]

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from cryoflux.network.reaching import Reach, address_within


class DeadlineTransport(httpx2.HTTPTransport):
    """Sends requests over HTTP; what a thread does in `within` ends in time, with a `TimeoutError`.

    Args:
        reach: addresses that it connects to; none for all.
    """

    def __init__(self, reach: Reach | None = None) -> None:
        super().__init__(trust_env=False)
        self._until = _Until()
        # The one place of it that sees every read; no public way leads there.
        bounded: Any = _Backend(self._pool._network_backend, self._until, reach)  # noqa: SLF001
        self._pool._network_backend = bounded  # noqa: SLF001

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Give what this thread does so many seconds."""
        self._until.at_s = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until.at_s = None


class _Until(threading.local):
    at_s: float | None = None

    def left(self, timeout: float | None) -> float | None:
        """What a single step may take.

        Raises:
            TimeoutError: nothing is left, however much there may be to read.
        """
        if self.at_s is None:
            return timeout
        left_s = self.at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline is over")
        return left_s if timeout is None else min(timeout, left_s)


class _Backend:
    """What makes connections."""

    def __init__(self, backend: Any, until: _Until, reach: Reach | None) -> None:
        self._backend, self._until, self._reach = backend, until, reach

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **named: Any) -> _Stream:
        if (
            self._reach is not None
        ):  # to the very address that was looked at: a name may have another one soon
            host = address_within(host, port, self._reach)
        found = self._backend.connect_tcp(host, port, timeout=self._until.left(timeout), **named)
        return _Stream(found, self._until)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(self._until.left(seconds))


class _Stream:
    """A connection."""

    def __init__(self, stream: Any, until: _Until) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._stream.read(max_bytes, self._until.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._until.left(timeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        found = self._stream.start_tls(ssl_context, server_hostname, self._until.left(timeout))
        return _Stream(found, self._until)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
