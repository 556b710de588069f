"""One bounded GET: whatever a peer sends, no more bytes and no more seconds than were meant for it.

No redirect is followed, nothing is unpacked, and a server that sends a byte now and then is left when the
time is over. What came is not trusted here.
"""

from __future__ import annotations

__all__ = ["Fetched", "Fetcher", "Fetches", "PeerUnreachableError", "Ration", "Stoppable"]

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import httpx2

from cryoflux.errors import CryoFluxError
from cryoflux.network.deadline import DeadlineTransport
from cryoflux.network.reaching import Reach
from cryoflux.network.unreached import why_unreached

_PLAIN = {"accept-encoding": "identity"}
"""what is unpacked may be a thousand times as large as what came"""
_BETWEEN_S = 5.0
"""for the next byte"""
_WHOLE_S = 30.0
"""for all of one file"""
_CANNOT = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError, UnicodeError)
_OK, _NOT_MODIFIED, _NOT_HERE = 200, 304, 404


class PeerUnreachableError(CryoFluxError):
    """A peer did not answer, or not with what was asked for: nothing follows from that."""

    received = 0
    """bytes that came all the same"""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came."""

    content: bytes
    """empty where it is the same as before"""
    etag: str
    """by which the server knows it; empty where it gave none"""
    same: bool = False
    """whether the server says that it is what came with that tag"""
    link: str = ""
    """where it says that it goes on; empty where it says nothing"""


class Fetches(Protocol):
    """Whatever gets files of peers."""

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        """As `Fetcher.fetch`."""


class Fetcher:
    """Files of peers over HTTP.

    Args:
        between_s: how long the next byte may take, s.
        whole_s: how long all of one file may take, s.
        reach: addresses that it connects to; none for all.
    """

    def __init__(
        self, *, between_s: float = _BETWEEN_S, whole_s: float = _WHOLE_S, reach: Reach | None = None
    ) -> None:
        self._whole_s, self._sending = whole_s, DeadlineTransport(reach)
        self._http = httpx2.Client(
            timeout=between_s,
            trust_env=False,
            follow_redirects=False,
            headers=_PLAIN,
            transport=self._sending,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._http.close()

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        """What lies at a URL.

        Args:
            url: of the file.
            most: bytes that it may have.
            etag: of what is known of it; empty where nothing is.

        Raises:
            PeerUnreachableError: it is not there, is too large, too slow, or somewhere else.
        """
        content = bytearray()
        headers = {"if-none-match": etag} if etag else {}
        try:
            with self._sending.within(self._whole_s), self._http.stream("GET", url, headers=headers) as reply:
                if reply.status_code == _NOT_MODIFIED and etag:
                    return Fetched(b"", etag, same=True)
                if reply.status_code != _OK:
                    raise _unreachable(url, _refusal(reply.status_code))
                if reply.headers.get("content-encoding", "identity") != "identity":
                    raise _unreachable(url, "came packed, which was not asked for")
                for part in reply.iter_raw():
                    content += part
                    if len(content) > most:
                        raise _unreachable(url, f"has more than {most:,} bytes", len(content))
                tag, link = (reply.headers.get(name, "")[:200] for name in ("etag", "link"))
                return Fetched(bytes(content), tag, link=link)
        except TimeoutError as error:
            raise _unreachable(url, f"took longer than {self._whole_s:g} s", len(content)) from error
        except (*_CANNOT, OSError) as error:
            raise _unreachable(url, why_unreached(error), len(content)) from error


class Stoppable:
    """Files until somebody asks to stop.

    Args:
        fetcher: gets them.
        stop: whether somebody has.
    """

    def __init__(self, fetcher: Fetches, stop: Callable[[], bool]) -> None:
        self._fetcher, self._stop = fetcher, stop

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        """What lies at a URL.

        Raises:
            PeerUnreachableError: as `Fetcher.fetch`; or it is to stop.
        """
        if self._stop():
            raise _unreachable(url, "is left for the next pull: this one was asked to stop")
        return self._fetcher.fetch(url, most, etag=etag)


class Ration:
    """What one peer gets of a pull: so many bytes and seconds for all its files.

    Args:
        fetcher: gets them.
        most_bytes: of all together.
        whole_s: for all together, s.
        stop: whether somebody has asked to stop.
    """

    def __init__(
        self, fetcher: Fetches, most_bytes: int, whole_s: float, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._fetcher, self._stop, self._until_s = fetcher, stop, time.monotonic() + whole_s
        self.left = most_bytes

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is asked for."""
        return self._stop() or self.left <= 0 or time.monotonic() > self._until_s

    def give_time(self, whole_s: float) -> None:
        """Give what follows so many seconds, however long others have taken until now."""
        self._until_s = time.monotonic() + whole_s

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        """What lies at a URL, as long as there is something left.

        Raises:
            PeerUnreachableError: as `Fetcher.fetch`; or nothing is left.
        """
        if self.left <= 0:
            raise _unreachable(url, "is left for the next pull: this one has brought all that it may")
        if time.monotonic() > self._until_s:
            raise _unreachable(url, "is left for the next pull: this one has taken too long")
        try:
            found = self._fetcher.fetch(url, min(most, self.left), etag=etag)
        except PeerUnreachableError as error:
            self.left -= error.received
            raise
        self.left -= len(found.content)
        return found


def _refusal(status: int) -> str:
    return f"answered {status}" + (": it is not shown there, or not yet" if status == _NOT_HERE else "")


def _unreachable(url: str, why: str, received: int = 0) -> PeerUnreachableError:
    error = PeerUnreachableError(
        f"{url[:200]} {why}.",
        why="A peer that cannot be read proves nothing, neither good nor bad.",
        hint="Ask again later.",
    )
    error.received = received
    return error
