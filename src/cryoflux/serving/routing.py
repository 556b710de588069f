"""From a request to the function that answers it, over the table of what is served.

A few paths each: a web framework would be most of a server's memory and start, so this is the few lines of
ASGI that are needed of one.
"""

from __future__ import annotations

__all__ = [
    "JSON",
    "App",
    "FileReply",
    "Headers",
    "NotServedError",
    "Receive",
    "Reply",
    "Request",
    "Router",
    "Scope",
    "Send",
    "Stream",
]

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from cryoflux.serving.openapi import JSON, Operation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class NotServedError(Exception):
    """No such path or method, or a body of another kind; refused before anybody is asked."""

    def __init__(self, status: int, what: str, headers: Headers = ()) -> None:
        super().__init__(what)
        self.status = status
        self.headers = headers


class _GoneError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer needs of a request."""

    body: bytes
    query: Mapping[str, str]
    named: str
    """the part of the path that the table has in braces; with dots, all that is left of the path"""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    """by name in small letters; the last where one comes twice"""
    client: str = ""
    """address of who asks; empty where it has none"""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    body: bytes
    status: int = 200
    media: str = JSON
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class FileReply:
    """An answer of known length out of an open file, read piece by piece as fast as it is taken."""

    stream: BinaryIO
    """at the first byte of it; closed afterwards"""
    length: int
    status: int = 200
    media: str = JSON
    headers: Headers = ()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes; fewer where the file has become shorter."""
        left = self.length
        while left and (piece := await asyncio.to_thread(self.stream.read, min(left, _PIECE))):
            left -= len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on."""

    media: str
    parts: AsyncIterator[str] = field(repr=False)


_IN_BRACES = re.compile(r"\{[^}]*\}")
_MOST_PARTS = 8
"""of a path"""
_JSON_OR_NOTHING = frozenset({JSON.encode(), b"", b"application/x-www-form-urlencoded"})
_REST = "...}"
"""ends a path whose last part is all that is left of it"""
_PIECE = 256 * 1024
"""bytes of a file that are read at once"""
_NO_BODY = frozenset({204, 304})
_AnyReply = Reply | FileReply | Stream
_Answer = Callable[[Request], Awaitable[_AnyReply]]


class Router:
    """The ASGI application over a table.

    Args:
        answers: each row of the table with the function that answers it.
        refuse: the answer to an exception.
    """

    def __init__(
        self, answers: Iterable[tuple[Operation, _Answer]], refuse: Callable[[Exception], Reply]
    ) -> None:
        self._refuse = refuse
        self._fixed: dict[str, dict[str, tuple[Operation, _Answer]]] = {}
        self._below: dict[str, dict[str, tuple[Operation, _Answer]]] = {}
        for operation, answer in answers:
            if operation.path.endswith(_REST):
                methods = self._below.setdefault(operation.path.partition("{")[0], {})
            else:
                methods = self._fixed.setdefault(_IN_BRACES.sub("{}", operation.path), {})
            methods[operation.method] = (operation, answer)
            if operation.method == "GET":
                methods["HEAD"] = (operation, answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self._answer(scope, receive)
        except _GoneError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            reply = self._refuse(error)
        await self._send(scope["method"], reply, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> _AnyReply:
        methods, named = self._find(scope["path"])
        if scope["method"] not in methods:
            allowed = ", ".join(sorted(methods)).encode()
            raise NotServedError(405, "Method Not Allowed.", ((b"allow", allowed),))
        operation, answer = methods[scope["method"]]
        body = await _read(receive) if operation.body or operation.raw else b""
        if operation.body and not _may_be_json(scope["headers"]):
            raise NotServedError(415, f"The body has to be JSON, with Content-Type: {JSON} or none.")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        client = (scope.get("client") or ("",))[0]
        return await answer(Request(body, query, named, dict(scope["headers"]), client))

    def _find(self, path: str) -> tuple[dict[str, tuple[Operation, _Answer]], str]:
        if path in self._fixed and "{" not in path:
            return self._fixed[path], ""
        parts = path.split("/")
        for place, named in enumerate(parts if len(parts) <= _MOST_PARTS else ()):
            pattern = "/".join((*parts[:place], "{}", *parts[place + 1 :]))
            if named and pattern in self._fixed:
                return self._fixed[pattern], named
        for above, methods in self._below.items():
            if path.startswith(above) and path != above:
                return methods, path.removeprefix(above)
        raise NotServedError(404, "Not Found.")

    async def _send(self, method: str, reply: _AnyReply, receive: Receive, send: Send) -> None:
        if isinstance(reply, Stream):
            await send(_start(200, reply.media, ((b"cache-control", b"no-store"),)))
            if method != "HEAD":
                await _pour(reply.parts, receive, send)
            await send({"type": "http.response.body", "body": b""})
        elif isinstance(reply, FileReply):
            with reply.stream:
                await send(_start(reply.status, reply.media, (_length(reply.length), *reply.headers)))
                if method != "HEAD":
                    await _pour(reply.pieces(), receive, send)
                await send({"type": "http.response.body", "body": b""})
        else:
            length = () if reply.status in _NO_BODY else (_length(len(reply.body)),)
            await send(_start(reply.status, reply.media, (*length, *reply.headers)))
            await send({"type": "http.response.body", "body": reply.body})


def _length(count: int) -> tuple[bytes, bytes]:
    return b"content-length", str(count).encode()


def _start(status: int, media: str, headers: Headers) -> dict[str, Any]:
    kind = (b"content-type", media.encode())
    return {"type": "http.response.start", "status": status, "headers": [kind, *headers]}


async def _read(receive: Receive) -> bytes:
    content, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content


def _may_be_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body says to be JSON, or says nothing; what ``curl -d`` says of any body is nothing either.

    A form of that type cannot carry JSON, since a browser writes its braces and quotes otherwise. Whose page
    a request is of, is the guard's to ask.
    """
    given = dict(headers).get(b"content-type", b"").partition(b";")[0]
    return given.strip().lower() in _JSON_OR_NOTHING


async def _pour(parts: AsyncIterator[str] | AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send part after part, until there are no more or nobody listens."""

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def pour() -> None:
        async for part in parts:
            body = part.encode() if isinstance(part, str) else part
            await send({"type": "http.response.body", "body": body, "more_body": True})

    tasks = [asyncio.ensure_future(leave()), asyncio.ensure_future(pour())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
