"""Server-sent events: so many streams, at most two events a second each, and an end with the server."""

from __future__ import annotations

__all__ = ["EVENT_STREAM", "EventStreams"]

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress

EVENT_STREAM = "text/event-stream"
_MOST_STREAMS = 64
_APART_S = 0.5
_QUIET_S = 15.0
"""after so long a comment is sent, so that who went away is noticed"""


class EventStreams:
    """Streams that are open.

    Args:
        stopping: set when they should end.
        most: how many there may be.
    """

    def __init__(self, stopping: asyncio.Event, *, most: int = _MOST_STREAMS) -> None:
        self._stopping, self._most = stopping, most
        self._open: set[Callable[[], str]] = set()

    @property
    def listeners(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self.listeners >= self._most

    async def pour(
        self,
        next_event: Callable[[], str],
        listening: Iterable[Callable[[asyncio.Event], AbstractContextManager[None]]] = (),
    ) -> AsyncGenerator[str, None]:
        """The text of one stream, until the server ends or the reader goes away.

        Args:
            next_event: the text of what is new for this reader, empty for nothing; asked twice a second.
            listening: each is entered with what it sets when there may be news before that.
        """
        if self.full:
            return
        self._open.add(next_event)
        loop = asyncio.get_running_loop()
        spoke = loop.time()
        try:
            with ExitStack() as stack:
                news = asyncio.Event()
                for listen in listening:
                    stack.enter_context(listen(news))
                yield "retry: 1000\n\n"
                while not self._stopping.is_set():
                    said = next_event()
                    if said or loop.time() - spoke > _QUIET_S:
                        yield said or ": still here\n\n"
                        spoke = loop.time()
                    if said:
                        await self._until(self._stopping)
                    if not self._stopping.is_set():
                        news.clear()
                        await self._until(news)
        finally:
            self._open.discard(next_event)

    @staticmethod
    async def _until(event: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_APART_S):
                await event.wait()
