"""One sample a second for however many event streams are open, so that streams cost what one costs."""

from __future__ import annotations

__all__ = ["Events"]

import asyncio
from collections.abc import AsyncIterator, Callable

_MOST_STREAMS = 64


class Events:
    """Server-sent events of a sample, once a second.

    Args:
        render: makes the data of one event; called in a thread.
        stopping: set when open streams should end.
    """

    def __init__(self, render: Callable[[], str], stopping: asyncio.Event) -> None:
        self._render = render
        self._stopping = stopping
        self._streams = 0
        self._second = -1
        self._event: asyncio.Future[str] | None = None

    @property
    def full(self) -> bool:
        """Whether there is no room for one more stream."""
        return self._streams >= _MOST_STREAMS

    async def stream(self) -> AsyncIterator[str]:
        """The text of the stream, until the daemon ends or the reader goes away."""
        loop = asyncio.get_running_loop()
        self._streams += 1
        try:
            while not self._stopping.is_set():
                second = int(loop.time())
                yield f"event: sample\ndata: {await self._of(second)}\n\n"
                await self._wait(second + 1 - loop.time())
        finally:
            self._streams -= 1

    async def _of(self, second: int) -> str:
        if self._event is None or self._second != second:
            self._second = second
            self._event = asyncio.ensure_future(asyncio.to_thread(self._render))
        # One reader that goes away must not take the event from the others.
        return await asyncio.shield(self._event)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._stopping.wait()
        except TimeoutError:
            return
