"""Strangers that were drawn: what is remembered of them, and whom a node looks at besides those it names.

Who is drawn, when, and by which seed is for the lottery (`cryoflux.network.lottery`).
"""

from __future__ import annotations

__all__ = ["DrawnStranger", "LotteryRecord", "kept_strangers", "nodes_of_strangers", "with_strangers"]

from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import Struct

from cryoflux.errors import VerificationError
from cryoflux.files import read_regular
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.receipts.checkpoint import parse_verifier_key

_MOST_FILE_BYTES = 2**20


class DrawnStranger(Struct, frozen=True):
    """A stranger that was drawn, or was one until a verifier confirmed something of it."""

    key: str
    """of its log"""
    url: str
    named_by: str
    """origin of the log of the peer that names it"""
    reach: int
    """how near to us its address may be: no nearer than that peer's"""
    drawn_s: int
    """Unix seconds"""
    received: int = 0
    """bytes that came since"""
    outcome: str = ""
    """of the newest pull; empty before the first"""
    offers: int = 0
    fetched: int = 0
    why: str = ""

    @property
    def origin(self) -> str:
        """Of its log."""
        return self.key.partition("+")[0]

    @property
    def short(self) -> str:
        """What it is called here beside its kind: who is drawn chooses no name."""
        return f"{self.origin.rpartition('/')[2][:8]}…"


class LotteryRecord(Struct):
    """What is remembered of the lottery."""

    seed: int = 0
    """of the newest draw; who of a peer's strangers had a ticket was drawn by the number after it"""
    drawn_s: int = 0
    heard: int = 0
    """strangers that had a ticket then"""
    drawn: list[DrawnStranger] = msgspec.field(default_factory=list)
    leaving: list[DrawnStranger] = msgspec.field(default_factory=list)
    """that were drawn the time before: a round that began by then may still read what is here of them"""
    confirmed: list[DrawnStranger] = msgspec.field(default_factory=list)
    """that are strangers no more"""


def with_strangers(network: Path, peers: Peers) -> Peers:
    """Whom a node looks at: those that it names, and strangers that were drawn or confirmed.

    Args:
        network: folder of the node's network.
        peers: whom it names.
    """
    draw = kept_strangers(NetworkFolder(network)) if peers.strangers else None
    return (
        replace(peers, nodes=(*peers.nodes, *nodes_of_strangers(draw, peers))) if draw is not None else peers
    )


def nodes_of_strangers(draw: LotteryRecord, peers: Peers) -> list[PeerNode]:
    """Strangers as nodes, each log once; those that are named are none any more.

    Args:
        draw: who was drawn, and who was confirmed since.
        peers: whom the node names.
    """
    taken, names, found = {node.origin for node in peers.nodes}, set[str](), list[PeerNode]()
    rows = [("newcomer", False, one) for one in draw.confirmed]
    for kind, by_lottery, one in [*rows, *(("stranger", True, one) for one in draw.drawn)]:
        if one.origin not in taken:
            name = f"{kind} {one.short}"  # with a space, so it is no name of a peer
            name = name if name not in names else f"{kind} {one.origin}"
            taken.add(one.origin)
            names.add(name)
            found.append(PeerNode(name, parse_verifier_key(one.key), one.url, by_lottery))
    return found


def kept_strangers(folder: NetworkFolder) -> LotteryRecord | None:
    """What is remembered; none where nothing is, or what is there is damaged: then it begins anew.

    Args:
        folder: of the node's network.
    """
    try:
        found = msgspec.json.decode(read_regular(folder.strangers, _MOST_FILE_BYTES), type=LotteryRecord)
        for one in (*found.drawn, *found.leaving, *found.confirmed):
            parse_verifier_key(one.key)
    except (OSError, msgspec.DecodeError, ValueError, VerificationError):
        return None
    return found
