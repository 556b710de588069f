"""What is new in a state, as server-sent events.

- ``log``: entries were written; ``anew`` says that another state lies there by now.
- ``activity``: something of what the run does has changed, or the log cannot be read.
- ``power``: what the meter has noted since, second by second, with both ends.
- ``ended``: the run is over.

The number of each event is a place in the log and one in the meter's series, ``LOG.POWER``. A browser that
was cut off says the last one that it has seen (``Last-Event-ID``) and goes on from there, also where the
server was started anew meanwhile: a place is one in the state's own files. A stream sends at most two events
a second.
"""

from __future__ import annotations

__all__ = ["EVENT_STREAM", "NewsOfAll", "StateNews"]

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cryoflux.pages.watcher import Looked, Watcher
from cryoflux.queries.activity import Activity
from cryoflux.queries.power import PowerPoint, Watts
from cryoflux.serving.event_streams import EVENT_STREAM, EventStreams

_MOST_DIGITS = 12
_MOST_NUMBERS = 50
_MOST_POINTS = 300
"""of one event: about 20 kB"""


class _Streams(EventStreams):
    """Streams that are open, each of which is told of what its watchers see."""

    def __init__(self, watchers: Sequence[Watcher], stopping: asyncio.Event) -> None:
        super().__init__(stopping)
        self._watchers = watchers

    def _pour(self, next_event: Callable[[], str]) -> AsyncGenerator[str, None]:
        return self.pour(next_event, (watcher.listening for watcher in self._watchers))


class StateNews(_Streams):
    """The events of a state.

    Args:
        watcher: of the state.
        stopping: set when open streams should end.
        closing: what is said of the pages once they end with the run; empty until then.
    """

    def __init__(
        self, watcher: Watcher, stopping: asyncio.Event, *, closing: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__((watcher,), stopping)
        self._watcher, self._closing = watcher, closing
        self._told: set[_Telling] = set()

    @property
    def all_told(self) -> bool:
        """Whether every stream that is open has said that the pages end."""
        return all(one.closed for one in tuple(self._told))

    async def stream(self, since: str) -> AsyncIterator[str]:
        """The text of the stream, until the server ends or the reader goes away.

        Args:
            since: number of the last event that the reader has seen; empty for none.
        """
        telling = _Telling(_Place.read(since), self._told_log, self._closing)
        self._told.add(telling)

        def next_event() -> str:
            looked = self._watcher.looked
            return telling.next(looked) if looked is not None else ""

        try:
            async with aclosing(self._pour(next_event)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._told.discard(telling)

    def _told_log(self, seen: int, size: int) -> dict[str, Any]:
        rows = self._watcher.followed.rows[seen:size]
        finished = [row.number for row in rows if row.kind.value == "receipt" and row.number]
        return {"entries": size, "attempts": finished[-_MOST_NUMBERS:]}


class NewsOfAll(_Streams):
    """That something has happened in one of several states: entries, or that a run has begun or ended.

    Each event's number is the sizes of all logs, ``12.0.7``, in the order of the states.

    Args:
        watchers: of the states.
        stopping: set when open streams should end.
    """

    async def stream(self, since: str) -> AsyncIterator[str]:
        """The text of the stream, until the server ends or the reader goes away.

        Args:
            since: number of the last event that the reader has seen; empty for none.
        """
        known, states = since, ""

        def next_event() -> str:
            nonlocal known, states
            looked = [watcher.looked for watcher in self._watchers]
            seen = [one for one in looked if one is not None]
            if len(seen) < len(looked):
                return ""
            sizes = ".".join(str(one.size) for one in seen)
            now = " ".join(_state_of(one) for one in seen)
            if sizes == known and now == (states or now):
                states = now
                return ""
            known, states = sizes, now
            data = json.dumps({"entries": sum(one.size for one in seen)})
            return f"id: {sizes}\nevent: log\ndata: {data}\n\n"

        async with aclosing(self._pour(next_event)) as parts:
            async for part in parts:
                yield part


def _state_of(looked: Looked) -> str:
    activity = looked.activity
    said = f"{activity.phase},{activity.alive}" if activity is not None else "-"
    return f"{said} {looked.whole}"


@dataclass(slots=True)
class _Place:
    """How far a reader is; none where it knows nothing yet."""

    log: int | None = None
    power: int | None = None

    @classmethod
    def read(cls, text: str) -> _Place:
        log, _, power = text.partition(".")
        return cls(_count(log), _count(power))


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


class _Telling:
    """What one reader has been told."""

    def __init__(
        self, place: _Place, log: Callable[[int, int], dict[str, Any]], closing: Callable[[], str]
    ) -> None:
        self._place, self._log, self._closing = place, log, closing
        self._told: object = None
        self._first = self._power_last = True
        self._lived = self._anew = False
        self._whole: object = None
        self.closed = False
        """whether it has been told that the pages end"""

    def next(self, looked: Looked) -> str:
        """The event that comes next, if there is anything new; the log before the rest."""
        self._settle(looked)
        if self._place.log is not None and (self._anew or looked.size > self._place.log):
            data = self._log(self._place.log, looked.size) | ({"anew": True} if self._anew else {})
            self._place.log, self._anew = looked.size, False
            return self._event("log", data)
        if (over := self._over(looked.activity)) is not None:
            return self._event("ended", over)
        turns = (self._activity, self._power) if self._power_last else (self._power, self._activity)
        return next((said for turn in turns if (said := turn(looked))), "")

    def _settle(self, looked: Looked) -> None:
        """Begin where the reader is; a state that was begun anew has smaller numbers."""
        place = self._place
        if self._whole not in (None, looked.whole):  # another state lies there: all of it is news
            place.log, place.power, self._anew = 0, 0, True
        self._whole = looked.whole
        if place.log is None or looked.size < place.log:
            place.log = looked.size
        if place.power is None or looked.newest < place.power:
            place.power = looked.newest if place.power is None else 0
        if self._first:
            self._first = False
            # What has changed between the page and this stream is not known: the reader asks once more.
            self._told = None if looked.activity is not None or looked.trouble else looked.told

    def _over(self, activity: Activity | None) -> dict[str, Any] | None:
        closing = self._closing()
        alive = activity is not None and activity.alive
        if alive and not closing:
            self._lived = True
            return None
        if self.closed or not (closing or self._lived):
            return None
        self._lived, self.closed = False, bool(closing)
        end = activity.end if activity is not None else None
        said = {"word": end.word, "sentence": end.sentence} if end else {"word": "", "sentence": ""}
        return {**said, "died": activity is not None and activity.died, "closing": closing}

    def _activity(self, looked: Looked) -> str:
        if looked.told == self._told:
            return ""
        self._told, self._power_last = looked.told, False
        activity = looked.activity
        data = {
            "phase": activity.phase if activity is not None else "",
            "alive": activity is not None and activity.alive,
            "attempt": activity.attempt.number if activity is not None and activity.attempt else 0,
            "trouble": looked.trouble,
        }
        return self._event("activity", data)

    def _power(self, looked: Looked) -> str:
        known = self._place.power or 0
        if looked.newest <= known:
            return ""
        points = [point for point in looked.points if point.sequence > known]
        self._place.power, self._power_last = looked.newest, True
        if not points:
            return ""
        shown = points[-_MOST_POINTS:]
        began_at = shown[0].at - shown[0].seconds
        gaps = [[gap.began_at, gap.ended_at] for gap in looked.gaps if gap.ended_at >= began_at]
        data = {
            "columns": _COLUMNS,
            "points": [_row(point) for point in shown],
            "gaps": gaps,
            "tier": shown[-1].net.tier.value,
        }
        return self._event("power", data)

    def _event(self, kind: str, data: dict[str, Any]) -> str:
        place = f"{self._place.log}.{self._place.power}"
        return f"id: {place}\nevent: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


_COLUMNS = [
    *("at", "seconds", "net_w", "net_lo_w", "net_hi_w"),
    *("gross_w", "gross_lo_w", "gross_hi_w", "attempt"),
]


def _row(point: PowerPoint) -> list[float]:
    return [
        round(point.at, 2),
        round(point.seconds, 3),
        *_watts(point.net),
        *_watts(point.gross),
        point.attempt,
    ]


def _watts(watts: Watts) -> list[float]:
    return [round(value, 2) for value in (watts.value, watts.low, watts.high)]
