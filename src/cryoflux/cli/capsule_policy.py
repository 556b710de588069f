"""Whose word counts for when an update was committed, for the commands about capsules."""

from __future__ import annotations

__all__ = ["PolicyOption", "drawn_by_lottery", "named_policy", "policy_of"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.receipts.checkpoint import VerifierKey
    from cryoflux.witness.policy import Policy

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Whose word counts for when it was committed.",
        show_default="the node's peers, or --trust's",
    ),
]


def policy_of(settings: Settings, named: Path | None) -> Policy | None:
    """The policy of a file; else that of the node's file of peers, or else the one that the settings trust.

    Raises:
        UsageError: it cannot be read, or a line of it is not understood.
    """
    from cryoflux.network.folder import NetworkFolder

    peers = NetworkFolder.of(Path(settings.run.state)).known_peers
    if named is None and not peers.is_file():
        return named_policy(Path(settings.witness.trust)) if settings.witness.trust else None
    return named_policy(named or peers)


def drawn_by_lottery(settings: Settings) -> list[VerifierKey]:
    """Keys of the logs that the node has drawn among strangers, and does not name.

    Raises:
        UsageError: its file of peers is not understood.
    """
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.peers import read_peers
    from cryoflux.network.strangers import with_strangers

    network = NetworkFolder.of(Path(settings.run.state))
    every = with_strangers(network.path, read_peers(network.known_peers))
    return [node.key for node in every.nodes if node.by_lottery]


def named_policy(path: Path) -> Policy:
    """The policy of a file, which may be one of peers: that has two words more.

    Raises:
        UsageError: it cannot be read, or a line of it is not understood.
    """
    from cryoflux.network.peers import read_peers
    from cryoflux.witness.policy import read_policy

    return read_peers(path).policy if path.is_file() else read_policy(path)
