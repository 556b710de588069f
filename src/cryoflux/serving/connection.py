"""How long a connection may take, how many there may be, and who gives way when there are more.

uvicorn's HTTP/1.1 protocol with the limits that it lacks. A connection is in one of three states: *reading*
(a request is not there whole yet), *busy* (it is being answered) and *idle* (between two requests). Reading
has a deadline from the first byte, so that dripping does not help; who does not take an answer is cut off;
and where there is no room for a new connection, the oldest one that is not busy gives way, so that idle ones
never lock anybody out.
"""

from __future__ import annotations

__all__ = ["KEEP_ALIVE_S", "MOST_HEADER_BYTES", "Connection", "Room"]

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_ALIVE_S = 60
MOST_HEADER_BYTES = 16 * 1024
_REQUEST_S = 10.0
_ANSWER_S = 30.0
_LINGER_S = 2.0
_MOST_BYTES = 1024 * 1024
"""Of one request: a body that was refused is thrown away up to here, so that its sender reads why."""


class Room:
    """The connections that there is room for.

    Args:
        most: so many at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}  # in the order in which they began to wait

    def enter(self, connection: Connection) -> None:
        """Let a new connection in; the oldest that is not busy gives way, or else the new one."""
        self._all.add(connection)
        self.wait(connection)
        while len(self._all) > self._most:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.cut()

    def wait(self, connection: Connection) -> None:
        """It is not busy, from now on."""
        self._waiting.pop(connection, None)
        if connection in self._all:
            self._waiting[connection] = None

    def work(self, connection: Connection) -> None:
        """It is busy, from now on."""
        self._waiting.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """It is no more."""
        self._all.discard(connection)
        self._waiting.pop(connection, None)


class Connection(H11Protocol):
    """One client's connection."""

    def __init__(self, *arguments: Any, room: Room, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._room = room
        self._timer: asyncio.TimerHandle | None = None
        self._state = ""
        self._received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._set("reading", _REQUEST_S, self._too_slow)
        self._room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._room.leave(self)
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes, unless they are of no more use."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        if self._received > _MOST_BYTES:
            self.cut()
            return
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Go on to the next request, if there is one."""
        super().on_response_complete()
        self._follow()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._close()

    def shutdown(self) -> None:
        """End at once, but for an answer that is under way."""
        if self._state == "busy":
            super().shutdown()
        else:
            self._close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, msg)

    def cut(self) -> None:
        """End it without a word."""
        self._stop_timer()
        self.transport.abort()

    def _follow(self) -> None:
        """Find out which state it is in now."""
        cycle = self.cycle
        if self.transport.is_closing():
            # What is still to be sent is waited for, but not for ever.
            self._set("closing", _LINGER_S, self.cut)
        elif cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._set("busy", _ANSWER_S, self._look_whether_it_reads)
        elif self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._set("idle", None, self.cut)
        else:
            self._set("reading", _REQUEST_S, self._too_slow)

    def _set(self, state: str, seconds: float | None, then: Callable[[], None]) -> None:
        if state == self._state:
            return
        self._state = state
        self._stop_timer()
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, then)
        if state in {"busy", "idle"}:
            self._received = 0
        if state == "busy":
            self._room.work(self)
        else:
            self._room.wait(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(408, f"A request has to be there within {_REQUEST_S:.0f} s.")

    def _look_whether_it_reads(self) -> None:
        if self.transport.get_write_buffer_size():
            self.cut()
            return
        self._timer = self.loop.call_later(_ANSWER_S, self._look_whether_it_reads)

    def _close(self) -> None:
        if self.transport.get_write_buffer_size():
            self.cut()
        else:
            self.transport.close()

    def _refuse(self, status: int, what: str) -> None:
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.cut()
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"error": {"what": what, "why": "Nothing was changed.", "hint": ""}}).encode()
        head = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        reason = HTTPStatus(status).phrase.encode()
        answer = h11.Response(status_code=status, headers=head, reason=reason)
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._follow()
