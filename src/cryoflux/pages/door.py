"""Who may see pages, and what a browser may do with them.

On loopback everybody on this machine may look, as everybody there may read the state. Beyond it a token is
asked for: given once in the address that is printed, then kept by the browser in a cookie that no script
reads and no other site sends. The guard of every server of ours stands behind: it refuses other hosts' names,
pages of other sites, and large bodies.
"""

from __future__ import annotations

__all__ = ["Door"]

import hashlib
import hmac
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryoflux.serving.guard import Guard
from cryoflux.serving.routing import App, Receive, Scope, Send

_COOKIE = "cryoflux"
_SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"referrer-policy", b"same-origin"),  # with none at all, a browser would not say whose page a form is of
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>CryoFlux: a token is needed</title>
<h1>A token is needed.</h1>
<p>These pages are shown beyond this machine, so they ask for one. Open the address that
<code>cryoflux dashboard</code> has printed, with its <code>?token=…</code>.</p>
"""


class Door:
    """ASGI middleware in front of the pages.

    Args:
        app: the pages.
        token: that has to be given, or empty on loopback.
    """

    def __init__(self, app: App, token: str = "") -> None:
        self._token = token
        # Neither the token itself lies in the browser, nor what a cookie could not carry of it.
        self._kept = hashlib.sha256(b"cryoflux pages: " + token.encode()).hexdigest()
        self._guarded = Guard(app, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or show the door; every answer says what a browser may do with it."""
        if scope["type"] != "http":
            await self._guarded(scope, receive, send)
            return
        if not self._token:
            await self._guarded(scope, receive, _saying(send))
            return
        given = self._given(scope)
        if given is not None and _same(given, self._token):
            await _redirect(scope, _saying(send), self._kept)
            return
        headers = dict(scope["headers"])
        if b"authorization" not in headers:
            if not _same(_cookie(headers), self._kept):
                await _answer(_saying(send), 401, _LOCKED.encode(), ())
                return
            bearer = (b"authorization", b"Bearer " + self._token.encode())
            scope = {**scope, "headers": [*scope["headers"], bearer]}
        await self._guarded(scope, receive, _saying(send))

    def _given(self, scope: Scope) -> str | None:
        return dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(headers: dict[bytes, bytes]) -> str:
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _saying(send: Send) -> Send:
    """The same channel, where each answer says what a browser may do with it."""

    async def said(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_SECURITY]}
        await send(message)

    return said


async def _redirect(scope: Scope, send: Send, kept: str) -> None:
    """The same address without the token; what the browser keeps from now on lets it in."""
    query = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
    where = scope["path"] + (f"?{urlencode(query)}" if query else "")
    if where.startswith("//"):  # would be another host
        where = "/"
    cookie = f"{_COOKIE}={kept}; Path=/; HttpOnly; SameSite=Strict"
    headers = ((b"location", where.encode("ascii", "replace")), (b"set-cookie", cookie.encode()))
    await _answer(send, 303, b"", headers)


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    said = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*said, *headers]})
    await send({"type": "http.response.body", "body": body})
