"""``cryoflux node``: be a node among others that train and adopt updates."""

from __future__ import annotations

__all__ = ["app"]

import typer

from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.node_serve import serve_node

app = typer.Typer(
    cls=CommandGroup,
    help="Share updates with other nodes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("serve")(serve_node)
