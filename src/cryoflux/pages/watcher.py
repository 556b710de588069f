"""Looks at a state for all browsers that listen: one look serves all of them, and without them there is none.

The meter's rows are read anew only where their file has changed, and the newest ten minutes of them are kept,
so that a browser that was cut off goes on from where it was.
"""

from __future__ import annotations

__all__ = ["POINTS_KEPT", "Looked", "Watcher"]

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from cryoflux.queries.activity import Activity, read_activity
from cryoflux.queries.followed import Followed
from cryoflux.queries.power import PowerGap, PowerPoint, power_since
from cryoflux.runs.activity_form import ROWS
from cryoflux.state import StateFolder

_LOG = logging.getLogger(__name__)

POINTS_KEPT = 600
_EVERY_S = 0.5
_SILENT_STEP_S = 5.0
"""a silent meter is told of so often, since it stays silent"""
_DAEMON_EVERY_S = 2.0
"""while no run goes on: a daemon's watts are news by themselves"""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a state was when it was last seen."""

    size: int
    """entries of its log"""
    trouble: str
    """why the log cannot be read; empty where it can"""
    activity: Activity | None
    told: object
    """differs from look to look where something has changed that is neither in the log nor in the series"""
    points: tuple[PowerPoint, ...]
    """the newest ones, oldest first"""
    gaps: tuple[PowerGap, ...]
    newest: int
    """sequence number of the newest row of the meter"""


class Watcher:
    """Looks at one state while anybody listens.

    Args:
        followed: the state.
        stopping: set when the server ends.
        daemon: whether watts come from a daemon where no run goes on.
    """

    def __init__(self, followed: Followed, stopping: asyncio.Event, *, daemon: bool = False) -> None:
        self.followed, self._stopping, self._daemon = followed, stopping, daemon
        self._folder = StateFolder(followed.state)
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._points: tuple[PowerPoint, ...] = ()
        self._gaps: tuple[PowerGap, ...] = ()
        self._newest = 0
        self._rows_as: tuple[int, ...] = ()
        self.looked: Looked | None = None
        """what the last look has seen; none before the first"""

    @contextmanager
    def listening(self, news: asyncio.Event) -> Iterator[None]:
        """Look for as long as this lasts.

        Args:
            news: is set each time, and when all ends.
        """
        self._listeners.add(news)
        if self._task is None or self._task.done():
            self.looked = None
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners.discard(news)

    async def _watch(self) -> None:
        try:
            while self._listeners and not self._stopping.is_set():
                await self._look_again()
                self._tell()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY_S):
                        await self._stopping.wait()
        finally:
            self._tell()

    async def _look_again(self) -> None:
        try:
            self.looked = await asyncio.to_thread(self.look)
        except Exception:  # noqa: BLE001 - who listens is not left alone for one look that failed
            _LOG.exception("a look at %s failed", self.followed.state)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener.set()

    def look(self) -> Looked:
        """What the state is now."""
        with self.followed.lock:
            trouble, size = self.followed.trouble(), self.followed.size
        said = trouble.what if trouble is not None else ""
        activity = read_activity(self._folder)
        self._read_rows()
        return Looked(
            size=size,
            trouble=said,
            activity=activity,
            told=(said, _compared(activity), self._daemon_tick(activity)),
            points=self._points,
            gaps=self._gaps,
            newest=self._newest,
        )

    def _daemon_tick(self, activity: Activity | None) -> int:
        alive = activity is not None and activity.alive
        return int(time.monotonic() / _DAEMON_EVERY_S) if self._daemon and not alive else 0

    def _read_rows(self) -> None:
        try:
            found = (self._folder.activity / ROWS).stat()
        except OSError:
            self._points, self._gaps, self._newest, self._rows_as = (), (), 0, ()
            return
        rows_as = (found.st_ino, found.st_size, found.st_mtime_ns)
        if rows_as == self._rows_as:
            return
        self._rows_as = rows_as
        new = power_since(self._folder, self._newest, most=POINTS_KEPT)
        if new.newest < self._newest:  # another series lies here now
            self._points, self._gaps = (), ()
        self._newest = new.newest
        self._points = (*self._points, *new.points)[-POINTS_KEPT:]
        oldest_at = self._points[0].at - self._points[0].seconds if self._points else 0.0
        self._gaps = tuple(gap for gap in (*self._gaps, *new.gaps)[-POINTS_KEPT:] if gap.ended_at > oldest_at)


def _compared(activity: Activity | None) -> Activity | None:
    """An activity without what moves by itself: the clock alone is no news."""
    if activity is None:
        return None
    silent_s = activity.silent_s
    told = None if silent_s is None else silent_s // _SILENT_STEP_S * _SILENT_STEP_S
    return replace(activity, silent_s=told, written_at=0.0)
