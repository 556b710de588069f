"""What peers offer, in the order in which witnesses saw it committed: the candidates of a node's rounds."""

from __future__ import annotations

__all__ = ["OfferFound", "found_offers", "witnessed_offers"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryoflux.errors import VerificationError
from cryoflux.network.collecting import lacking
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.head_times import CONTESTED_S, HeadTimes, seen_before
from cryoflux.network.log_facts import LogFacts, OfferFact
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.witness.policy import Policy

_MOST_NEAR = 16
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
    committed_s: int
    """when a quorum had seen its receipt, Unix seconds; later than of what a quorum had seen before it"""
    fetched: bool
    """whether it is here, with all that it needs"""
    why: str
    """why it is not; empty where it is"""
    tries: int = 0
    """how often it was asked for in vain"""
    seen: Mapping[str, int] = field(default_factory=dict)
    """which witnesses had seen its receipt, and when, each by its own clock"""
    near: tuple[str, ...] = ()
    """capsules of other logs that were committed within ten minutes of it, the nearest first, at most 16:
    where one of the two is a copy of the other, whose it is is contested, and what was seen first counts"""


def found_offers(network: Path, peers: Peers) -> list[OfferFound]:
    """What peers offer, the earliest commitment first; of equally early ones by the capsule's digest.

    Within ten minutes clocks of witnesses do not decide, but what a quorum had seen first: what it had seen
    after another offer counts as committed after that one.

    An offer is not among them before a quorum has seen its receipt. One of a log that has told two histories,
    or that is not what was signed, is, but never as one that is here.

    Args:
        network: folder of the node's network.
        peers: whom it knows.
    """
    found = _in_order([one for node in peers.nodes for one in _readable(network, node, peers)], peers.policy)
    return [replace(one, near=_near(found, place)) for place, one in enumerate(found)]


def _in_order(found: list[OfferFound], policy: Policy) -> list[OfferFound]:
    """Offers in the order of their commitments, whose times say the same."""
    order: list[OfferFound] = []
    for one in sorted(found, key=lambda one: (one.committed_s, one.capsule, one.origin)):
        place = len(order)
        for at in range(len(order) - 1, -1, -1):
            if one.committed_s - order[at].committed_s > CONTESTED_S:
                break
            if one.origin != order[at].origin and seen_before(one.seen, order[at].seen, policy):
                place = at
        order.insert(place, one)
    for at in range(1, len(order)):
        before_s = order[at - 1].committed_s
        if order[at].committed_s < before_s:
            order[at] = replace(order[at], committed_s=before_s + 1)
    return order


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
    for one, committed_s in witnessed_offers(node, facts, times):
        known = missing.get(one.update.adapter)
        lacks = lacking(folder, one.update)
        why = void or (known.why if lacks and known is not None else lacks)
        yield OfferFound(
            origin=node.origin,
            capsule=one.update.adapter,
            offer_leaf=one.leaf,
            update=one.update,
            receipt_leaf=one.receipt_leaf,
            committed_s=committed_s,
            fetched=not why,
            why=why,
            tries=known.tries if known is not None else 0,
            seen=times.seen(one.receipt_index),
        )


def witnessed_offers(node: PeerNode, facts: LogFacts, times: HeadTimes) -> list[tuple[OfferFact, int]]:
    """What a node offers whose receipt a quorum has seen, and when, Unix seconds; of a stranger the newest.

    Args:
        node: whose offers they are.
        facts: of its log.
        times: since when a quorum had seen how much of it.
    """
    every = [(one, times.at(one.receipt_index)) for one in facts.offers]
    seen = [(one, time_s) for one, time_s in every if time_s is not None]
    return seen[-_MOST_OF_STRANGER:] if node.by_lottery else seen


def _near(found: list[OfferFound], place: int) -> tuple[str, ...]:
    """What others committed within ten minutes of an offer, among offers in the order of commitment."""
    here = found[place]
    near: list[tuple[int, str]] = []
    for way in (range(place - 1, -1, -1), range(place + 1, len(found))):
        counted = 0
        for at in way:
            apart = abs(found[at].committed_s - here.committed_s)
            if apart > CONTESTED_S or counted == _MOST_NEAR:
                break
            if found[at].origin != here.origin:
                near.append((apart, found[at].capsule))
                counted += 1
    return tuple(capsule for _, capsule in sorted(near)[:_MOST_NEAR])
