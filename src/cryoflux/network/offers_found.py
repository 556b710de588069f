"""What peers offer, by the times at which witnesses saw it committed: the candidates of a node's rounds."""

from __future__ import annotations

__all__ = ["OfferFound", "found_offers", "pulled_mark", "witnessed_offers"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import VerificationError
from cryoflux.network.collecting import lacking
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.head_times import HeadTimes, SeenBy
from cryoflux.network.log_facts import LogFacts, OfferFact
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.registry.mixture import OfferedUpdate

_MOST_OF_STRANGER = 16
"""offers of a stranger, the newest: what one hangs on is looked up anew for each, a thousand lists perhaps"""


@dataclass(frozen=True, slots=True)
class OfferFound:
    """An update that a peer offers, and whose commitment a quorum has seen."""

    origin: str
    """of the log that offers it"""
    capsule: str
    """SHA-256 of its adapter's file"""
    offer_leaf: str
    update: OfferedUpdate
    receipt_leaf: str
    seen: SeenBy
    """when its receipt was seen, by a quorum and by each witness"""
    fetched: bool
    """whether it is here, with all that it needs"""
    why: str
    """why it is not; empty where it is"""
    tries: int = 0
    """how often it was asked for in vain"""

    @property
    def committed_s(self) -> int:
        """When a quorum had seen its receipt, Unix seconds."""
        return self.seen.time_s


def found_offers(network: Path, peers: Peers) -> list[OfferFound]:
    """What peers offer, by the times of its commitments; of equally early ones by the capsule's digest.

    That is an order to go through them. Which of two was first, and whether anybody can tell, says
    `head_times.seen_before`.

    An offer is not among them before a quorum has seen its receipt. One of a log that has told two histories,
    or that is not what was signed, is, but never as one that is here.

    Args:
        network: folder of the node's network.
        peers: whom it knows.
    """
    found = [one for node in peers.nodes for one in _readable(network, node, peers)]
    return sorted(found, key=lambda one: (one.committed_s, one.capsule, one.origin))


def _readable(network: Path, node: PeerNode, peers: Peers) -> list[OfferFound]:
    """What one peer offers; nothing where what is here of its log is damaged, as `node pull` says."""
    try:
        return list(_of(network, node, peers))
    except (VerificationError, OSError):
        return []


def _of(network: Path, node: PeerNode, peers: Peers) -> Iterator[OfferFound]:
    record = PeerRecord.of(network, node.key)
    facts, missing = record.facts, record.missing
    times = record.times(peers.policy)
    void = "its log has told two histories" if record.mirror.evidence else facts.fault
    folder = NetworkFolder(network)
    for one, seen in witnessed_offers(node, facts, times):
        known = missing.get(one.update.adapter)
        lacks = lacking(folder, one.update)
        why = void or (known.why if lacks and known is not None else lacks)
        yield OfferFound(
            origin=node.origin,
            capsule=one.update.adapter,
            offer_leaf=one.leaf,
            update=one.update,
            receipt_leaf=one.receipt_leaf,
            seen=seen,
            fetched=not why,
            why=why,
            tries=known.tries if known is not None else 0,
        )


def witnessed_offers(node: PeerNode, facts: LogFacts, times: HeadTimes) -> list[tuple[OfferFact, SeenBy]]:
    """What a node offers whose receipt a quorum has seen, and when; of a stranger the newest.

    Args:
        node: whose offers they are.
        facts: of its log.
        times: since when a quorum had seen how much of it.
    """
    every = [(one, times.seen(one.receipt_index)) for one in facts.offers]
    seen = [(one, found) for one, found in every if found is not None]
    return seen[-_MOST_OF_STRANGER:] if node.by_lottery else seen


def pulled_mark(folder: NetworkFolder, peers: Peers) -> tuple[int, ...]:
    """Of what was pulled by now: another one where something of it has taken its place here since.

    None of it is read. Whatever a pull brings is put into the folder of its peer, among the lists, or into
    the folder of an update: its document comes first, and its adapter perhaps much later.

    Args:
        folder: of the node's network.
        peers: whom it knows.
    """
    of_peers = (PeerRecord.of(folder.path, node.key).folder for node in peers.nodes)
    updates = sorted(folder.incoming.iterdir()) if folder.incoming.is_dir() else ()
    return tuple(map(_changed_ns, (folder.incoming, folder.lists, *of_peers, *updates)))


def _changed_ns(folder: Path) -> int:
    """When something last took its place in a folder, ns; 0 where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
