"""What a pull of all peers has found, peer by peer."""

from __future__ import annotations

__all__ = ["Gathered", "PeerGathered"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryoflux.network.peer_record import Missing
from cryoflux.network.pulling import PullOutcome


@dataclass(frozen=True, slots=True)
class PeerGathered:
    """What a pull found of one peer."""

    name: str
    origin: str
    outcome: PullOutcome
    size: int = 0
    """entries that are here now"""
    came: int = 0
    """entries that are new"""
    witnessed: int = 0
    """entries that a quorum has seen"""
    offers: int = 0
    fetched: int = 0
    """offers that are here, with all that they need"""
    waiting: int = 0
    """offers that no quorum has seen the commitment of"""
    unavailable: Mapping[str, Missing] = field(default_factory=dict)
    """capsule → how often it was asked for in vain, and why it is not here"""
    unopened: Mapping[str, Missing] = field(default_factory=dict)
    """root of a guest holdout that it opened → the same of the examples"""
    received: int = 0
    """bytes that came"""
    why: str = ""
    """what was wrong; empty where nothing was"""
    known: bool = False
    """whether that was known before this pull"""
    hints: int = 0
    """nodes that it names: strangers are drawn among these"""
    by_lottery: bool = False
    """whether it was drawn among strangers"""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a pull found of all peers."""

    peers: tuple[PeerGathered, ...]
    """in the order of the file"""
    strangers: tuple[PeerGathered, ...] = ()
    """that were drawn, and those that a verifier has confirmed something of since"""
    heard: int = 0
    """strangers that had a ticket when these were drawn"""
    witnesses: int = 0
    """that were asked for all heads at once"""
    heads: int = 0
    """that they brought"""
    received: int = 0
    """bytes that they brought"""

    @property
    def accuses(self) -> bool:
        """Whether a peer was found that does what no log may, and had not been found to before."""
        wrong = {PullOutcome.GOES_BACK, PullOutcome.DIFFERS, PullOutcome.NOT_SIGNED}
        return any(one.outcome in wrong and not one.known for one in self.peers)
