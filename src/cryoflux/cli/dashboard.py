"""``cryoflux dashboard``: live pages over one state or several."""

from __future__ import annotations

__all__ = ["dashboard", "listen", "seen_by_somebody"]

import os
import secrets
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from cryoflux.cli.console import JsonOption, emit_json, stderr, stdout
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    import socket

_PORT = 8790


def dashboard(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="DIR", help="State directory; once for each.", show_default="./state"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on; 0 for a free one.",
            show_default=f"{_PORT}, or a free one where that is taken",
            min=0,
            max=65535,
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Let nobody promote or roll back from the pages.")
    ] = False,
    token: Annotated[
        str | None, typer.Option(help="Token that browsers have to know; required beyond loopback.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show pages of what runs do and did; they follow a run that goes on, and end with Ctrl-C."""
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.pages.daemon import DaemonMeter
    from cryoflux.pages.server import require_page_token, serve
    from cryoflux.serving.listening import url_of

    settings = load_settings({"token": token}).settings
    secret = settings.agent.token
    require_page_token(host, secret)
    folders = [Path(name) for name in dict.fromkeys(state or [settings.run.state])]
    for folder in folders:
        _require_folder(folder)
    with closing(listen(host, port)) as listener:
        url = url_of(listener)
        mover = "" if read_only else secret or secrets.token_urlsafe(24)
        known = secret or mover
        opened = f"{url}/?token={quote(known, safe='')}" if known else f"{url}/"
        _announce(url, opened, folders, as_json=as_json)
        if not no_open and not as_json:
            # All users of this machine can read how a browser was started: what moves heads is not in it.
            _open(opened if secret else f"{url}/")
        meter = DaemonMeter(settings.agent.agent, secret) if settings.agent.agent else None
        rates = rates_of(settings.energy)
        serve(folders, listener, rates=rates, token=secret, mover=mover, daemon=meter)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder.",
            why="Pages are of a state directory that a run has made.",
            hint=f"Name one with --state DIR, or make it: cryoflux run --budget 2kJ --state "
            f"{shlex.quote(str(folder))}",
        )


def listen(host: str, port: int | None) -> socket.socket:
    """A socket for pages: at a port, or at the usual one, or a free one where that is taken."""
    from cryoflux.serving.listening import bind

    if port is not None:
        return bind(host, port)
    try:
        return bind(host, _PORT)
    except UsageError:
        return bind(host, 0)


def _announce(url: str, opened: str, folders: list[Path], *, as_json: bool) -> None:
    if as_json:
        shown = [str(folder) for folder in folders]
        emit_json("dashboard/1", {"event": "listening", "url": url, "open": opened, "states": shown})
        return
    stdout.print(f"dashboard on {opened}")
    if stderr.is_terminal:
        stderr.print("Ctrl-C ends it; what it shows stays as it is")


def seen_by_somebody() -> bool:
    """Whether a browser that is opened here is seen: there is a terminal, and a screen."""
    if not stdout.is_terminal:
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(url: str) -> None:
    if seen_by_somebody():
        from cryoflux.pages.opening import show

        show(url)
