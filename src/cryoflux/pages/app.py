"""What the pages answer: a table of paths, and one thin function for each of its rows.

A page is made anew for each request, from what the log has come to by then, in a thread: reading what was
written since takes a moment. Where several states are shown, each has its pages below ``/s/NAME``.
"""

from __future__ import annotations

__all__ = ["OPERATIONS", "Site", "create_app"]

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from cryoflux.energy.derived import Rates
from cryoflux.energy.interface import Sample
from cryoflux.errors import CryoFluxError
from cryoflux.pages import (
    attempt,
    attempts,
    energy,
    entry,
    live,
    models,
    moving,
    overview,
    receipts,
    refusals,
    version,
)
from cryoflux.pages.door import Door
from cryoflux.pages.render import render
from cryoflux.pages.scene import Page, Scene
from cryoflux.pages.static_files import static_files
from cryoflux.pages.stream import EVENT_STREAM, NewsOfAll, StateNews
from cryoflux.pages.watcher import Watcher
from cryoflux.queries.checking import Checking
from cryoflux.queries.followed import Followed
from cryoflux.queries.rows import ATTEMPT_COLUMNS
from cryoflux.report.exporting import write_csv
from cryoflux.serving.openapi import JSON, Operation
from cryoflux.serving.routing import (
    App,
    Headers,
    NotServedError,
    Receive,
    Reply,
    Request,
    Router,
    Scope,
    Send,
    Stream,
)

_LOG = logging.getLogger(__name__)
_HTML = "text/html; charset=utf-8"
_CSV = "text/csv; charset=utf-8"
_LINES = "application/x-ndjson"
_PREFIX = "/s/"
_MOMENT_S = 1.5
"""that a page waits for a verification, so that of a small log it shows this one"""
_NOT_KEPT: Headers = ((b"cache-control", b"no-store"),)
_Made = TypeVar("_Made")

OPERATIONS = (
    Operation("GET", "/", "live", "What happens now, and what the budget has bought", media=_HTML),
    Operation("GET", "/attempts", "attempts", "Every attempt, as a picture and a table", media=_HTML),
    Operation("GET", "/attempts.csv", "attempts_csv", "The same as a table for spreadsheets", media=_CSV),
    Operation("GET", "/attempts/{number}", "attempt", "One attempt", media=_HTML, refusals=(404,)),
    Operation("GET", "/models", "models", "Versions, and how to go back", media=_HTML),
    Operation("GET", "/models/{digest}", "version", "One version", media=_HTML, refusals=(404,)),
    Operation("GET", "/models/{digest}/move", "moving", "What moving the head would do", media=_HTML),
    Operation("POST", "/models/{digest}/move", "move", "Move the head", media=_HTML, raw=True),
    Operation("GET", "/receipts", "receipts", "The log, and whether it holds", media=_HTML),
    Operation("GET", "/receipts/head", "signed_head", "Signed head and keys, unverified"),
    Operation("GET", "/receipts/entries", "entries", "Exact envelopes, one a line", media=_LINES),
    Operation("GET", "/receipts/{index}", "entry", "One entry, or INDEX.json", media=_HTML, refusals=(404,)),
    Operation("GET", "/energy", "energy", "Whether the joules are real", media=_HTML),
    Operation("GET", "/events", "events", "What is new, as server-sent events", media=EVENT_STREAM),
    Operation("GET", "/static/{name}", "static", "Stylesheet, scripts, pictures", media="*/*"),
)


@dataclass(slots=True)
class Site:
    """The states that are shown, and what is needed to show them."""

    states: Mapping[str, Followed]
    """by name, at least one"""
    rates: Rates = field(default_factory=Rates)
    writable: bool = True
    """whether heads may be moved from here"""
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    daemon: Callable[[], Sample | None] | None = None
    """asks a meter that runs by itself; none where there is none"""
    closing: str = ""
    """said to browsers once the pages end with the run that they were opened for"""
    news: list[StateNews] = field(default_factory=list)
    """the streams of each state"""


def site_of(folders: Sequence[Path], rates: Rates, stopping: asyncio.Event, *, writable: bool = True) -> Site:
    """The states of some folders, each called as its folder is; where two share a name, by their numbers.

    Whoever hands over a folder names it: addresses quote the name, and of bytes that are no text it says so.
    """
    states: dict[str, Followed] = {}
    for folder in folders:
        name = os.fsencode(folder.resolve().name).decode("utf-8", "replace") or "state"
        while name in states:
            name += "-2"
        states[name] = Followed(folder)
    return Site(states, rates, writable, stopping=stopping)


def create_app(site: Site, *, token: str = "", mover: str = "") -> App:
    """The ASGI application over some states.

    Args:
        site: what is shown.
        token: that a browser has to know; empty on loopback.
        mover: that who moves a head has to know, where there is no token; empty where nobody may.
    """
    return Door(_Paths(site), token, mover)


class _Paths:
    """One state's pages below ``/``, or several states' below ``/s/NAME`` with an overview at ``/``."""

    def __init__(self, site: Site) -> None:
        pool = ThreadPoolExecutor(4, "pages")
        several = len(site.states) > 1
        daemon = site.daemon is not None
        watchers = {name: Watcher(one, site.stopping, daemon=daemon) for name, one in site.states.items()}
        self._routers = {
            name: _router(_Surface(site, name, _root(name) if several else "", pool, watcher))
            for name, watcher in watchers.items()
        }
        self._overview = _Overview(site, pool, list(watchers.values())) if several else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._overview is None:
            (only,) = self._routers.values()
            await only(scope, receive, send)
            return
        rest = path.removeprefix(_PREFIX) if path.startswith(_PREFIX) else ""
        name, slash, below = rest.partition("/")
        router = self._routers.get(name)
        if router is not None:
            await router({**scope, "path": slash + below or "/"}, receive, send)
            return
        await self._overview.router(scope, receive, send)


def _root(name: str) -> str:
    """What addresses of a state's pages begin with, as a browser takes them; a scope has them unquoted."""
    return _PREFIX + quote(name, safe="")


def _router(surface: _Surface) -> Router:
    return Router(((operation, getattr(surface, operation.name)) for operation in OPERATIONS), surface.refuse)


class _Answers:
    """What both kinds of surfaces have: HTML made in a thread, files, refusals as pages."""

    def __init__(self, site: Site, pool: ThreadPoolExecutor) -> None:
        self._site, self._pool = site, pool

    def _scene(self, followed: Followed, name: str, root: str, query: Mapping[str, str]) -> Scene:
        return Scene(
            followed=followed,
            name=name,
            root=root,
            states=tuple(self._site.states),
            rates=self._site.rates,
            query=query,
            form_token=self._site.form_token if self._site.writable else "",
            now=time.time(),
        )

    async def _html(self, make: Callable[[], tuple[Page, Scene]], asked: Request | None = None) -> Reply:
        def work() -> tuple[bytes, int]:
            page, scene = make()
            return _utf8(render(page, scene)), page.status

        body, status = await self._in_thread(work)
        tag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
        headers: Headers = ((b"etag", tag), (b"cache-control", b"no-cache"))
        if asked is not None and asked.headers.get(b"if-none-match") == tag:
            return Reply(b"", 304, _HTML, headers)
        return Reply(body, status, _HTML, headers)

    async def _in_thread(self, work: Callable[[], _Made]) -> _Made:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def static(self, request: Request) -> Reply:
        """A file of ours by its name; none lies elsewhere."""
        found = static_files().get(request.named)
        if found is None:
            raise NotServedError(404, "There is no such file.")
        body, media = found
        return Reply(body, media=media, headers=((b"cache-control", b"public, max-age=3600"),))


class _Surface(_Answers):
    """One function for each row of the table, of the same name, over one state."""

    def __init__(self, site: Site, name: str, root: str, pool: ThreadPoolExecutor, watcher: Watcher) -> None:
        super().__init__(site, pool)
        self._name, self._root = name, root
        self._followed = site.states[name]
        self._news = StateNews(watcher, site.stopping, closing=lambda: site.closing)
        site.news.append(self._news)
        self._checking = Checking(self._followed.state)

    def _here(self, query: Mapping[str, str]) -> Scene:
        return self._scene(self._followed, self._name, self._root, query)

    async def _page(self, request: Request, make: Callable[[Scene], Page]) -> Reply:
        def made() -> tuple[Page, Scene]:
            with self._followed.lock:
                self._followed.refresh()
                scene = self._here(request.query)
                return make(scene), scene

        return await self._html(made, request)

    async def live(self, request: Request) -> Reply:
        def made() -> tuple[Page, Scene]:
            sample = self._site.daemon() if self._site.daemon is not None else None
            with self._followed.lock:
                trouble = self._followed.trouble()  # what happens now is told all the same
                scene = self._here(request.query)
                return live.page(scene, sample, trouble), scene

        return await self._html(made, request)

    async def attempts(self, request: Request) -> Reply:
        return await self._page(request, attempts.page)

    async def attempts_csv(self, request: Request) -> Reply:
        def made() -> bytes:
            with self._followed.lock:
                self._followed.refresh()
                shown = attempts.rows_to_export(self._here(request.query))
            stream = BytesIO()
            write_csv(stream, ATTEMPT_COLUMNS, shown)
            return stream.getvalue()

        body = await self._in_thread(made)
        named = (b"content-disposition", b'attachment; filename="attempts.csv"')
        return Reply(body, media=_CSV, headers=(named, (b"cache-control", b"no-cache")))

    async def attempt(self, request: Request) -> Reply:
        def made() -> tuple[Page, Scene]:
            with self._followed.lock:
                self._followed.refresh()
                scene = self._here(request.query)
                page = attempt.page(scene, request.named)
            return attempt.with_power(page, scene), scene

        return await self._html(made, request)

    async def models(self, request: Request) -> Reply:
        return await self._page(request, models.page)

    async def version(self, request: Request) -> Reply:
        def made() -> tuple[Page, Scene]:
            with self._followed.lock:
                self._followed.refresh()
                scene = self._here(request.query)
                page, about = version.page(scene, request.named)
            return version.with_difference(page, about), scene

        return await self._html(made, request)

    async def moving(self, request: Request) -> Reply:
        return await self._page(request, lambda scene: moving.form_page(scene, request))

    async def move(self, request: Request) -> Reply:
        scene = self._here(request.query)
        form = moving.read_form(request, scene.form_token)
        where = await self._in_thread(lambda: moving.move_head(scene, request.named, form))
        return Reply(b"", 303, _HTML, ((b"location", quote(where, safe="/?=&%").encode()),))

    async def receipts(self, request: Request) -> Reply:
        checking = await receipts.verified_soon(self._checking, _MOMENT_S if self._followed.size else 0)

        def made() -> tuple[Page, Scene]:
            with self._followed.lock:
                trouble = self._followed.trouble()  # a log that is not well formed is what this page is for
                scene = self._here(request.query)
                return receipts.page(scene, checking, trouble), scene

        return await self._html(made, request)

    async def signed_head(self, request: Request) -> Reply:  # noqa: ARG002
        body = await self._in_thread(lambda: receipts.signed_head(self._followed.state))
        return Reply(body, headers=_NOT_KEPT)

    async def entries(self, request: Request) -> Reply:
        since = request.query.get("from", "0")
        body, count = await self._in_thread(lambda: receipts.stored_entries(self._followed.state, since))
        return Reply(body, media=_LINES, headers=(*_NOT_KEPT, (b"x-entries", str(count).encode())))

    async def entry(self, request: Request) -> Reply:
        if not request.named.endswith(".json"):
            return await self._page(request, lambda scene: entry.page(scene, request.named))
        index = request.named.removesuffix(".json")

        def made() -> bytes:
            with self._followed.lock:
                self._followed.refresh()
                return entry.envelope(self._here(request.query), index)

        body = await self._in_thread(made)
        saved = f'attachment; filename="entry-{int(index)}.json"'.encode()
        return Reply(body, media=JSON, headers=((b"content-disposition", saved), *_NOT_KEPT))

    async def energy(self, request: Request) -> Reply:
        return await self._page(request, energy.page)

    async def events(self, request: Request) -> Reply | Stream:
        return _events(self._news, request)

    def refuse(self, error: Exception) -> Reply:
        """An error as a page that says what happened, why, and what to do next."""
        return _refusal(error, self._here({}))


class _Overview(_Answers):
    """Several states side by side, at ``/``."""

    def __init__(self, site: Site, pool: ThreadPoolExecutor, watchers: Sequence[Watcher]) -> None:
        super().__init__(site, pool)
        self._news = NewsOfAll(watchers, site.stopping)
        rows = [row for row in OPERATIONS if row.name in {"live", "events", "static"}]
        self.router = Router(((row, getattr(self, row.name)) for row in rows), self._refuse)

    def _first(self, query: Mapping[str, str]) -> Scene:
        name, followed = next(iter(self._site.states.items()))
        return self._scene(followed, name, "", query)

    async def live(self, request: Request) -> Reply:
        """All of them."""

        def made() -> tuple[Page, Scene]:
            seen = [self._seen(name, followed, request.query) for name, followed in self._site.states.items()]
            return overview.page(seen), self._first(request.query)

        return await self._html(made, request)

    def _seen(self, name: str, followed: Followed, query: Mapping[str, str]) -> overview.StateSeen:
        with followed.lock:
            trouble = followed.trouble()  # the others are told all the same
            scene = self._scene(followed, name, _root(name), query)
            return overview.StateSeen(scene, followed.summary(), trouble.what if trouble is not None else "")

    async def events(self, request: Request) -> Reply | Stream:
        """What is new in any of them."""
        return _events(self._news, request)

    def _refuse(self, error: Exception) -> Reply:
        return _refusal(error, self._first({}))


def _events(news: StateNews | NewsOfAll, request: Request) -> Reply | Stream:
    if news.full:
        return Reply(b"Too many event streams are open.", 503, "text/plain; charset=utf-8")
    since = request.headers.get(b"last-event-id", b"").decode("latin-1")
    return Stream(EVENT_STREAM, news.stream(since or request.query.get("since", "")))


def _utf8(text: str) -> bytes:
    """The bytes of a page; what of a file's name is no UTF-8 is a question mark."""
    return text.encode(errors="replace")


def _refusal(error: Exception, scene: Scene) -> Reply:
    page = refusals.page(error)
    if page.status == 500 and not isinstance(error, CryoFluxError):
        _LOG.error("a page failed", exc_info=error)
    headers = error.headers if isinstance(error, NotServedError) else ()
    return Reply(_utf8(render(page, scene)), page.status, _HTML, headers)
