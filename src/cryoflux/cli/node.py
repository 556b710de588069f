"""``cryoflux node``: be a node among others that train and adopt updates."""

from __future__ import annotations

__all__ = ["app"]

import typer

from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.node_books import show_books
from cryoflux.cli.node_pull import peers_app, pull_peers
from cryoflux.cli.node_serve import serve_node

app = typer.Typer(
    cls=CommandGroup,
    help="Share updates with other nodes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("serve")(serve_node)
app.command("pull")(pull_peers)
app.add_typer(peers_app, name="peers")
app.command("books")(show_books)
