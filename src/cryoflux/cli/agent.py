"""``cryoflux agent``: the JouleAgent daemon."""

from __future__ import annotations

__all__ = ["agent"]

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout

if TYPE_CHECKING:
    from cryoflux.config import Sourced
    from cryoflux.energy.embedded import EmbeddedAgent


def agent(
    state: StateOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 for a free one.", show_default="8787")
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
    from cryoflux.agent.server import bind, require_token, serve
    from cryoflux.config import load_settings
    from cryoflux.energy.embedded import EmbeddedAgent

    flags = {"state": state, "host": host, "port": port, "credit": credit, "token": token}
    sourced = load_settings(flags)
    settings = sourced.settings
    require_token(settings.agent.host, settings.agent.token)
    with closing(bind(settings.agent.host, settings.agent.port)) as listener:
        opened = EmbeddedAgent(
            settings,
            Path(settings.run.state),
            credit="net" if _left_open(sourced) else settings.energy.credit,
            progress=_progress(as_json=as_json),
        )
        with closing(opened):
            _announce(opened, listener.getsockname(), as_json=as_json)
            serve(opened, listener, token=settings.agent.token)


def _left_open(sourced: Sourced) -> bool:
    # A daemon credits what it measures, as the whitepaper's does, unless somebody says otherwise.
    return sourced.origins["energy.credit"] == "default"


def _progress(*, as_json: bool) -> Any:
    def show(done_s: int, total_s: int) -> None:
        if as_json:
            emit_json({"event": "baseline", "seconds": done_s, "of": total_s})
        elif done_s == 1 or done_s % 10 == 0 or done_s == total_s:
            stderr.print(f"learning the idle baseline: {done_s} of {total_s} s")

    return show


def _announce(agent: EmbeddedAgent, address: tuple[Any, ...], *, as_json: bool) -> None:
    sample = agent.sample()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}"
    tiers = {source.name: str(source.tier) for source in sample.sources}
    if as_json:
        emit_json(
            {
                "event": "listening",
                "url": url,
                "sources": tiers,
                "baseline": sample.baseline_state,
                "baseline_digest": sample.baseline_digest,
                "idle_w": sample.idle_cpu_w + sample.idle_gpu_w,
            }
        )
        return
    listing = ", ".join(f"{name} ({tier})" for name, tier in tiers.items())
    idle = f"{sample.idle_cpu_w + sample.idle_gpu_w:.1f} W, {sample.baseline_state}"
    stdout.print(f"JouleAgent on {url} · {listing} · idle baseline {idle}", markup=False)
