"""Who may speak to a server, and how much at once.

With a token, every request must carry it. Without one a server is on loopback, and only requests that name
a loopback host are answered, so that a web page cannot reach it through a name of its own. Nor can it through
the server's own name: a browser says of whose page a request is (``Origin``, ``Sec-Fetch-Site``), and what
is of another site's is refused. On a Unix socket the file's mode is what lets in. Bodies over a limit are
refused before they are read.
"""

from __future__ import annotations

__all__ = ["Guard", "is_loopback"]

import hmac
import ipaddress
import json
from collections.abc import MutableMapping
from typing import Any

from cryoflux.serving.routing import App, Headers, NotServedError, Receive, Scope, Send

_MOST_BYTES = 64 * 1024
_MOST_DIGITS = 9
_READING = frozenset({"GET", "HEAD"})
_OTHER_SITES = frozenset({b"cross-site", b"same-site"})


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware in front of the whole application.

    Args:
        app: what is guarded.
        token: required of every request, unless empty.
        any_host: whether a request may name any host; right where no browser can come from, or where the
            application answers anybody.
        most_bytes: of one body.
    """

    def __init__(
        self, app: App, token: str = "", *, any_host: bool = False, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._any_host = any_host
        self._most_bytes = most_bytes
        self._too_large = f"A request may have {most_bytes} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refuse(headers, scope["method"])
        if refusal is not None:
            await _reply(send, *refusal)
            return
        left = self._most_bytes

        async def limited() -> MutableMapping[str, Any]:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise NotServedError(413, self._too_large)
            return message

        try:
            await self._app(scope, limited, send)
        except NotServedError as error:
            await _reply(send, error.status, str(error), more=error.headers)

    def _refuse(self, headers: dict[bytes, bytes], method: str) -> tuple[int, str, str, str] | None:
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > _MOST_DIGITS or int(length) > self._most_bytes:
            return 413, self._too_large, "", ""
        if self._token:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            # Compared whatever the scheme is, so that the time taken tells nothing.
            same = hmac.compare_digest(given.strip(), self._token)
            if not same or scheme.lower() != b"bearer":
                return 401, "A bearer token is required.", "", ""
        elif not self._any_host:
            if not is_loopback(_name(headers.get(b"host", b""))):
                return 403, "Only requests to a loopback host are answered.", "", ""
            if _of_another_site(headers, method):
                return _ANOTHER_SITE
        return None


_ANOTHER_SITE = (
    403,
    "The request is of a web page of another site.",
    "A page in a browser could spend from this machine behind its user's back, so nothing was changed.",
    "Ask from a program, such as curl. A page of your own asks a server of yours, which asks here.",
)


def _of_another_site(headers: dict[bytes, bytes], method: str) -> bool:
    """Whether a browser sends it for a page that this server did not serve; no other program says so.

    Every page of another origin is one, also one that this machine serves on another port. A link to what can
    be read is no harm: the page does not see the answer.
    """
    origin = headers.get(b"origin")
    host = headers.get(b"host", b"").strip().lower()
    if origin is not None and origin.strip().lower().partition(b"://")[2] != host:
        return True
    return method not in _READING and headers.get(b"sec-fetch-site", b"").strip().lower() in _OTHER_SITES


def _name(host: bytes) -> str:
    text = host.decode("latin-1")
    return text if text.endswith("]") else text.rsplit(":", 1)[0]


async def _reply(
    send: Send, status: int, what: str, why: str = "", hint: str = "", more: Headers = ()
) -> None:
    body = json.dumps({"error": {"what": what, "why": why, "hint": hint}}).encode()
    headers = [(b"content-type", b"application/json"), *more]
    headers.append((b"content-length", str(len(body)).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
