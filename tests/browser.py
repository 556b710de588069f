"""Pages in a real Chromium, and the process that serves them.

The browser is the one of the machine (Debian's package ``chromium``); where there is none, tests of pages in
a browser are passed over, and pytest says so.
"""

from __future__ import annotations

__all__ = ["Dashboard", "Seen", "browser_of_the_machine", "dashboard", "look", "open_browser"]

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from running import python
from waiting import CEILING_S, PLAINLY

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SIZES = (360, 768, 1440)
SCHEMES = ("light", "dark")
ONE_PROCESS = ("--renderer-process-limit=1", "--enable-features=NetworkServiceInProcess2")
"""A window of its own is a process of its own elsewhere, which takes longer to begin than a page to show."""


def browser_of_the_machine() -> str:
    """Path of a Chromium; empty where this machine has none."""
    return next((found for name in NAMES if (found := shutil.which(name))), "")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    path = browser_of_the_machine()
    if not path:
        pytest.skip("no Chromium here: install Debian's package chromium to test pages in a browser")
    # As root, and in a container, Chromium has no sandbox of its own to make.
    arguments = [*ONE_PROCESS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Dashboard:
    """The real command, serving some states on a free port."""

    def __init__(self, *states: Path, options: tuple[str, ...] = (), port: int = 0) -> None:
        named = [word for state in states for word in ("--state", str(state))]
        serve = ("-m", "cryoflux", "dashboard", "--json", "--port", str(port), *named, *options)
        self.process = python(*serve, light=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        hello = json.loads(line)
        self.url, self.open = hello["url"], hello["open"]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def token(self) -> str:
        """What the address that was printed has; empty where it has none."""
        return self.open.partition("?token=")[2]

    @property
    def knowing(self) -> dict[str, str]:
        """Headers of a program that was told the token."""
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str, **named: Any) -> httpx2.Response:
        return httpx2.get(self.url + path, **PLAINLY, **named)

    def post(self, path: str, **named: Any) -> httpx2.Response:
        return httpx2.post(self.url + path, **PLAINLY, **named)

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def dashboard(*states: Path, options: tuple[str, ...] = (), port: int = 0) -> Iterator[Dashboard]:
    running = Dashboard(*states, options=options, port=port)
    try:
        yield running
    finally:
        running.end()


@dataclass
class Seen:
    """A page as a browser has it, with all that it complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """errors on the console, and of scripts"""
    asked: list[str] = field(default_factory=list)
    """addresses"""
    sizes: dict[str, int] = field(default_factory=dict)
    """address → bytes of the answer, as it was sent"""

    def foreign(self, home: str) -> list[str]:
        """Addresses that are not of the server."""
        return [url for url in self.asked if not url.startswith((home, "data:", "blob:" + home))]


@contextmanager
def look(
    browser: Browser, *, width: int = 1440, scheme: Any = "light", script: bool = True, **options: Any
) -> Iterator[Seen]:
    """A page in a window of its own."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script, **options
    )
    context.set_default_timeout(CEILING_S)
    seen = Seen(context.new_page())

    def answered(response: Response) -> None:
        length = response.headers.get("content-length", "0")
        seen.sizes[response.url] = int(length)

    def said(message: Any) -> None:
        if message.type in {"error", "warning"}:
            seen.complaints.append(message.text)

    seen.page.on("console", said)
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    seen.page.on("response", answered)
    try:
        yield seen
    finally:
        context.close()
