"""``cryoflux node introduce``: let a node that nobody names yet be heard of."""

from __future__ import annotations

__all__ = ["introduce_node"]

from typing import Annotated

import typer

from cryoflux.cli.chosen import state_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout


def introduce_node(
    to: Annotated[str, typer.Argument(metavar="URL", help="Address of a node that takes introductions.")],
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where others find this one; else what its log says.")
    ] = "",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Introduce this node to another one, which names it to others for a week; nobody has to believe it."""
    from cryoflux.network.introduce import introduce
    from cryoflux.quantities import utc_label

    origin, until_s = introduce(there(state_of(state)), to, url)
    if as_json:
        emit_json("node.introduce/1", {"event": "introduced", "origin": origin, "until": utc_label(until_s)})
        return
    stdout.print(f"introduced to {origin}, until {utc_label(until_s)}: it may be drawn by lottery by then")
