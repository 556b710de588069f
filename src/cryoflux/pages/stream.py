"""What is new in a state, as server-sent events, however many browsers listen.

One watcher a state looks twice a second at what has changed, while anybody listens. The number of each event
is a place in the log, so a browser that was cut off, or a server that was started anew, goes on from there
(``Last-Event-ID``): what happened meanwhile is sent first.
"""

from __future__ import annotations

__all__ = ["EVENT_STREAM", "News"]

import asyncio
import json
from collections.abc import AsyncIterator

from cryoflux.queries.followed import Followed

EVENT_STREAM = "text/event-stream"
_MOST_STREAMS = 64
_EVERY_S = 0.5
_QUIET_S = 15.0
"""after so long a comment is sent, so that who went away is noticed"""
_MOST_DIGITS = 12


class News:
    """The events of a state.

    Args:
        followed: the state.
        stopping: set when open streams should end.
    """

    def __init__(self, followed: Followed, stopping: asyncio.Event) -> None:
        self._followed = followed
        self._stopping = stopping
        self._streams = 0

    @property
    def full(self) -> bool:
        """Whether there is no room for one more stream."""
        return self._streams >= _MOST_STREAMS

    async def stream(self, since: str) -> AsyncIterator[str]:
        """The text of the stream, until the server ends or the reader goes away.

        Args:
            since: number of the last event that the reader has seen; empty for none.
        """
        seen = int(since) if since.isascii() and since.isdecimal() and len(since) <= _MOST_DIGITS else None
        self._streams += 1
        loop = asyncio.get_running_loop()
        spoke = loop.time()
        try:
            yield "retry: 1000\n\n"
            while not self._stopping.is_set():
                size = await asyncio.to_thread(self._size)
                if seen is None or size < seen:  # a state that was begun anew
                    seen = size
                if size > seen:
                    yield self._told(seen, size)
                    seen, spoke = size, loop.time()
                elif loop.time() - spoke > _QUIET_S:
                    yield ": still here\n\n"
                    spoke = loop.time()
                await self._wait()
        finally:
            self._streams -= 1

    def _size(self) -> int:
        with self._followed.lock:
            self._followed.refresh()
            return self._followed.size

    def _told(self, seen: int, size: int) -> str:
        rows = self._followed.rows[seen:size]
        finished = [row.number for row in rows if row.kind.value == "receipt" and row.number]
        data = json.dumps({"entries": size, "attempts": finished[-50:]})
        return f"id: {size}\nevent: log\ndata: {data}\n\n"

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_EVERY_S):
                await self._stopping.wait()
        except TimeoutError:
            return
