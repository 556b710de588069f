"""``cryoflux agent``: the JouleAgent daemon."""

from __future__ import annotations

__all__ = ["agent"]

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout

if TYPE_CHECKING:
    import socket as sockets

    from cryoflux.config import Sourced
    from cryoflux.energy.local_agent import LocalAgent
    from cryoflux.settings import AgentSettings


def agent(
    state: StateOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 for a free one.", show_default="8787")
    ] = None,
    socket: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Unix socket to listen on in place of a port.", show_default=False),
    ] = None,
    credit: Annotated[
        str | None,
        typer.Option(
            help="net: net energy is credited as measured; grant: only grants count.", show_default="net"
        ),
    ] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token; required beyond loopback.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Meter this machine and keep a joule bucket, for any process to draw on."""
    from cryoflux.agent.server import require_token
    from cryoflux.config import load_settings

    flags = {
        "state": state,
        "host": host,
        "port": port,
        "socket": socket,
        "credit": credit,
        "token": token,
    }
    sourced = load_settings(flags)
    chosen = sourced.settings.agent
    require_token("localhost" if chosen.socket else chosen.host, chosen.token)
    with _listening(chosen) as (listener, url):
        _serve(sourced, listener, url, as_json=as_json)


@contextmanager
def _listening(chosen: AgentSettings) -> Iterator[tuple[sockets.socket, str]]:
    from cryoflux.serving.listening import bind, listen_on_file, url_of

    if chosen.socket:
        path = Path(chosen.socket).absolute()
        with listen_on_file(path, otherwise="Spend from it with --agent") as listener:
            yield listener, f"unix://{path}"
        return
    with closing(bind(chosen.host, chosen.port)) as listener:
        yield listener, url_of(listener)


def _serve(sourced: Sourced, listener: sockets.socket, url: str, *, as_json: bool) -> None:
    from cryoflux.agent.server import serve
    from cryoflux.energy.local_agent import LocalAgent

    settings = sourced.settings
    opened = LocalAgent(
        settings,
        Path(settings.run.state),
        credit="net" if _left_open(sourced) else settings.energy.credit,
        progress=_progress(as_json=as_json),
        served=True,
    )
    with closing(opened):
        _announce(opened, url, as_json=as_json)
        serve(opened, listener, token=settings.agent.token)


def _left_open(sourced: Sourced) -> bool:
    # A daemon credits what it measures, as the whitepaper's does, unless somebody says otherwise.
    return sourced.origins["energy.credit"] == "default"


def _progress(*, as_json: bool) -> Any:
    def show(done_s: int, total_s: int) -> None:
        if as_json:
            emit_json("agent/1", {"event": "baseline", "seconds": done_s, "of_seconds": total_s})
        elif done_s == 1 or done_s % 10 == 0 or done_s == total_s:
            stderr.print(f"learning the idle baseline: {done_s} of {total_s} s")

    return show


def _announce(agent: LocalAgent, url: str, *, as_json: bool) -> None:
    sample = agent.sample()
    tiers = {source.name: str(source.tier) for source in sample.sources}
    if as_json:
        emit_json(
            "agent/1",
            {
                "event": "listening",
                "url": url,
                "sources": tiers,
                "baseline": sample.baseline_state,
                "baseline_digest": sample.baseline_digest,
                "idle_w": sample.idle_cpu_w + sample.idle_gpu_w,
            },
        )
        return
    listing = ", ".join(f"{name} ({tier})" for name, tier in tiers.items())
    idle = f"{sample.idle_cpu_w + sample.idle_gpu_w:.1f} W, {sample.baseline_state}"
    stdout.print(f"JouleAgent on {url} · {listing} · idle baseline {idle}", markup=False)
