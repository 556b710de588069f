"""``cryoflux node serve``: let others have a node's log, and what it offers."""

from __future__ import annotations

__all__ = ["serve_node"]

import shlex
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.chosen import state_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout

if TYPE_CHECKING:
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.publishing import Publication

_PORT = 8790


def serve_node(
    state: StateOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = _PORT,
    as_json: JsonOption = False,
) -> None:
    """Serve the public tree of a node: its log, and of its updates what a quorum of witnesses has seen."""
    import asyncio
    from functools import partial

    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.freshness import Freshness
    from cryoflux.network.hints import Hints
    from cryoflux.network.introducing import Introductions
    from cryoflux.network.peers import read_peers
    from cryoflux.network.publishing import Publisher, publish, publish_all
    from cryoflux.network.serving import create_app
    from cryoflux.serving.guard import is_loopback
    from cryoflux.serving.listening import bind, url_of
    from cryoflux.serving.server import serve
    from cryoflux.witness.cosigned import log_key_of

    path = there(state_of(state))
    folder, publisher = NetworkFolder.of(path), Publisher(path)
    with closing(bind(host, port)) as listener:
        first = publish_all(publisher)
        _announce(url_of(listener), folder, first, as_json=as_json)
        stopping = asyncio.Event()
        app = create_app(
            folder,
            Freshness.of(path, partial(publish, publisher)),
            Hints(folder, lambda: {node.origin for node in read_peers(folder.known_peers).nodes}),
            Introductions(folder, log_key_of(path).name),
            stopping=stopping,
            only_loopback=is_loopback(host),
        )
        serve(app, listener, stopping)


def _announce(url: str, folder: NetworkFolder, first: Publication, *, as_json: bool) -> None:
    from cryoflux.network.peers import read_peers

    if as_json:
        public = str(folder.public)
        document = {"event": "listening", "url": url, "public": public, "entries": first.size}
        more = {"waiting": first.waiting, "capsules": first.capsules}
        emit_json("node.serve/1", {**document, **more, "problems": list(first.problems)})
        return
    capsules = "1 capsule" if first.capsules == 1 else f"{first.capsules} capsules"
    stdout.print(f"node on {url}: {first.size} entries, {capsules}")
    stdout.print(f"any static server shows the same: {shlex.quote(str(folder.public))}")
    if first.waiting:
        waiting = "1 entry waits" if first.waiting == 1 else f"{first.waiting} entries wait"
        stdout.print(f"{waiting} for a quorum of witnesses, and nobody sees them before")
        if read_peers(folder.known_peers).policy.reached(set()):
            peers = shlex.quote(str(folder.known_peers))
            stdout.print(f"note: {peers} names no witnesses whose quorum that could be.")
            stdout.print("Name them there, or say that there are none: cryoflux node init --no-witnesses")
    for problem in first.problems:
        stderr.print(problem)
