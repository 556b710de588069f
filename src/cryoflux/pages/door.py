"""Who may see pages, and what a browser may do with them.

On loopback everybody on this machine may look; who may move a head knows the token of the address that was
printed. Beyond loopback a token is asked for to look, too. It is given once in that address, then kept by
the browser in a cookie that no script reads and no other site sends. The guard of every server of ours stands
behind: it refuses other hosts' names, pages of other sites, and large bodies.
"""

from __future__ import annotations

__all__ = ["MAY_CHANGE", "Door"]

import hashlib
import hmac
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from cryoflux.serving.guard import Guard
from cryoflux.serving.routing import App, Receive, Scope, Send

MAY_CHANGE = b"x-cryoflux-may-change"
"""header of requests by whoever knows the token; of those that bring it themselves it is taken away"""
_COOKIE = "cryoflux"
_READING = frozenset({"GET", "HEAD"})
_OTHER_SITES = frozenset({b"cross-site", b"same-site"})
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
_READ_ONLY = """<!doctype html><html lang="en"><meta charset="utf-8">
<title>CryoFlux: nothing was changed</title>
<h1>Nothing was changed.</h1>
<p>Everybody on this machine may look at these pages. To move a head, open the address that
<code>cryoflux dashboard</code> has printed, with its <code>?token=…</code>, and send the form from there; or
type <code>cryoflux models promote</code>.</p>
"""
_FOREIGN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>CryoFlux: not shown there</title>
<h1>Not shown inside a page of another site.</h1>
"""


class Door:
    """ASGI middleware in front of the pages.

    Args:
        app: the pages.
        token: that has to be given, or empty on loopback.
        mover: that who changes something has to give where all others may look; empty where there is a token,
            or nothing may be changed.
    """

    def __init__(self, app: App, token: str = "", mover: str = "") -> None:
        self._only_to_change, self._token = not token, token or mover
        # Neither the token itself lies in the browser, nor what a cookie could not carry of it.
        self._kept = hashlib.sha256(b"cryoflux pages: " + self._token.encode()).hexdigest()
        # A browser keeps cookies by host, whatever the port: pages of another token have another name.
        self._name = f"{_COOKIE}-{hashlib.sha256(self._kept.encode()).hexdigest()[:8]}"
        self._guarded = Guard(app, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or show the door; every answer says what a browser may do with it."""
        if scope["type"] != "http":
            await self._guarded(scope, receive, send)
            return
        if _is_part_of_another_site(scope):
            await _answer(_saying(send), 403, _FOREIGN.encode(), ())
            return
        given = self._given(scope)
        if self._token and given is not None and _same(given, self._token):
            await _redirect(scope, _saying(send), f"{self._name}={self._kept}")
            return
        known = self._is_known(dict(scope["headers"]))
        if not known and not self._only_to_change:
            await _answer(_saying(send), 401, _LOCKED.encode(), ())
            return
        if self._token and not known and scope["method"] not in _READING:
            await _answer(_saying(send), 403, _READ_ONLY.encode(), ())
            return
        await self._guarded(self._as_known(scope) if known else _as_anybody(scope), receive, _saying(send))

    def _is_known(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a request comes from who knows the token, by a cookie or as a program says it."""
        if not self._token:
            return False
        kept = [_same(one, self._kept) for one in _cookies(headers, self._name)]
        scheme, _, said = headers.get(b"authorization", b"").partition(b" ")
        bearer = hmac.compare_digest(said.strip(), self._token.encode()) and scheme.lower() == b"bearer"
        return bearer or (any(kept) and b"authorization" not in headers)

    def _as_known(self, scope: Scope) -> Scope:
        bearer = (b"authorization", b"Bearer " + self._token.encode())
        kept = [one for one in _as_anybody(scope)["headers"] if one[0] != b"authorization"]
        return {**scope, "headers": [*kept, bearer, (MAY_CHANGE, b"yes")]}

    def _given(self, scope: Scope) -> str | None:
        return dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")


def _as_anybody(scope: Scope) -> Scope:
    return {**scope, "headers": [one for one in scope["headers"] if one[0] != MAY_CHANGE]}


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _is_part_of_another_site(scope: Scope) -> bool:
    """Whether a browser wants it for a picture, a frame or a script of a page elsewhere.

    Such a page sees nothing of it, but could hold all event streams, or have dear pages made. A link may be
    followed.
    """
    headers = dict(scope["headers"])
    elsewhere = headers.get(b"sec-fetch-site", b"") in _OTHER_SITES
    return elsewhere and headers.get(b"sec-fetch-dest", b"document") != b"document"


def _cookies(headers: dict[bytes, bytes], name: str) -> list[str]:
    """What a browser has kept under a name: other servers of this host may have set any cookies beside."""
    pairs = (pair.strip().partition("=") for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"))
    return [value for said, _, value in pairs if said == name]


def _saying(send: Send) -> Send:
    """The same channel, where each answer says what a browser may do with it."""

    async def said(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_SECURITY]}
        await send(message)

    return said


async def _redirect(scope: Scope, send: Send, cookie: str) -> None:
    """The same address without the token; what the browser keeps from now on lets it in."""
    query = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
    # A path that begins with two slashes, either way they lean, would be another host; no line may end in it.
    path = "/" + quote(scope["path"].lstrip("/\\"))
    where = path + (f"?{urlencode(query)}" if query else "")
    kept = f"{cookie}; Path=/; HttpOnly; SameSite=Strict"
    headers = ((b"location", where.encode()), (b"set-cookie", kept.encode()))
    await _answer(send, 303, b"", headers)


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    said = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*said, *headers]})
    await send({"type": "http.response.body", "body": body})
