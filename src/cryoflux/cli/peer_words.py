"""Whom a node knows and which strangers it has drawn, in words and for a program."""

from __future__ import annotations

__all__ = ["peer_lines", "peers_document"]

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from cryoflux.errors import CryoFluxError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.introducing import introduced_here
from cryoflux.network.lottery import Lottery
from cryoflux.network.node_file import hints_in
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers
from cryoflux.network.reaching import Reach
from cryoflux.network.strangers import DrawnStranger
from cryoflux.quantities import counted, utc_label
from cryoflux.witness.cosigned import log_key_of
from cryoflux.witness.policy import Policy

_TAKEN = {None: None, Reach.PUBLIC: "public", Reach.HERE: "anywhere"}
"""how near the addresses may be → the word for it"""


def peers_document(folder: NetworkFolder, peers: Peers) -> dict[str, Any]:
    """What ``node peers --json`` prints."""
    lottery = Lottery(folder.path, peers)
    rows = []
    for node in peers.nodes:
        record = PeerRecord.of(folder.path, node.key)
        row = {
            "name": node.name,
            "origin": node.origin,
            "key": str(node.key),
            "url": node.url,
            "verifier": node.origin in peers.verifier_origins,
            "entries": record.mirror.size,
            "convicted": bool(record.mirror.evidence),
            "hints": [{"origin": key.name, "url": url} for key, url in _unnamed(folder, record, peers)],
        }
        rows.append(row)
    draw = lottery.draw
    strangers = [(False, one) for one in draw.drawn] + [(True, one) for one in draw.confirmed]
    return {
        "peers": rows,
        "verifiers": sorted(peers.verifier_origins),
        "needed": peers.policy.describe(),
        "witnesses_that_may_lie": max(0, peers.policy.shared - 1),
        "strangers_let_in": peers.strangers,
        "introductions": _TAKEN[peers.introductions],
        "introduced": [
            {"origin": one.origin, "key": one.key, "url": one.url, "taken_at": utc_label(one.taken_s)}
            for one in introduced_here(folder, time.time())
        ],
        "strangers_heard_of": draw.heard,
        "drawn_at": utc_label(draw.drawn_s) if draw.drawn_s else None,
        "seed": draw.seed if draw.drawn_s else None,
        "strangers": [_stranger(one, confirmed=confirmed) for confirmed, one in strangers],
    }


def _stranger(one: DrawnStranger, *, confirmed: bool) -> dict[str, Any]:
    return {
        "origin": one.origin,
        "key": one.key,
        "url": one.url,
        "named_by": one.named_by,
        "drawn_at": utc_label(one.drawn_s),
        "outcome": one.outcome or None,
        "why": one.why,
        "offers": one.offers,
        "fetched": one.fetched,
        "received_bytes": one.received,
        "confirmed": confirmed,
    }


def peer_lines(folder: NetworkFolder, peers: Peers) -> Iterator[str]:
    """What ``node peers`` prints."""
    yield f"quorum of witnesses: {peers.policy.describe()}{_borne(peers.policy)}"
    for node in peers.nodes:
        record = PeerRecord.of(folder.path, node.key)
        is_verifier = ", verifier" if node.origin in peers.verifier_origins else ""
        void = ", has told two histories" if record.mirror.evidence else ""
        entries = counted(record.mirror.size, "entry", "entries")
        yield f"{node.name}  {node.origin}  {node.url}  {entries} here{is_verifier}{void}"
        for key, url in _unnamed(folder, record, peers):
            yield f"  names {key.name} at {url}"
    if not peers.nodes:
        yield f"{folder.known_peers} names no node: cryoflux node peers add NAME VKEY URL"
    if peers.introductions is not None:
        here = introduced_here(folder, time.time())
        stand = counted(len(here), "node stands", "nodes stand")
        yield f"introductions: {_TAKEN[peers.introductions]}; {stand}"
        for one in here:
            yield f"  {one.origin}  {one.url}  since {utc_label(one.taken_s)}"
    yield from _lottery_lines(Lottery(folder.path, peers), peers)


def _borne(policy: Policy) -> str:
    """How many witnesses may lie before a log has two histories, or a copy is taken for the original."""
    if policy.reached(set()):
        return ""
    if not policy.shared:
        return "; two quorums may have no witness in common, so only clocks tell who was first"
    most = policy.shared - 1
    lie = "none of them lies" if not most else f"at most {most} of them {'lies' if most == 1 else 'lie'}"
    return f"; who was first holds while {lie}"


def _lottery_lines(lottery: Lottery, peers: Peers) -> Iterator[str]:
    draw = lottery.draw
    if not peers.strangers:
        yield "strangers: nobody is asked that is not named here; the line 'strangers 1%' draws some of them"
        return
    if not draw.drawn_s:
        yield "strangers: by lottery, at most 1 % of the joules; the next pull draws"
        return
    heard = counted(draw.heard, "stranger", "strangers")
    drawn = f"{len(draw.drawn)} drawn {utc_label(draw.drawn_s)} by seed {draw.seed}"
    yield f"strangers: {heard} heard of, {drawn}"
    names = {node.origin: node.name for node in lottery.nodes}
    for one in (*draw.confirmed, *draw.drawn):
        came = one.outcome or "not pulled yet"
        offers = f", {counted(one.offers, 'offer', 'offers')}, {one.fetched} fetched" if one.offers else ""
        yield f"  {names.get(one.origin, one.short)}  {one.origin}  {one.url}  {came}{offers}"


def _unnamed(folder: NetworkFolder, record: PeerRecord, peers: Peers) -> list[tuple[Any, str]]:
    """Whom a peer names, and who is neither named by the reader nor the reader."""
    known = {node.origin for node in peers.nodes}
    with suppress(CryoFluxError):  # a state without a log of its own
        known.add(log_key_of(folder.path.parent).name)
    return [(key, url) for key, url in hints_in(record.node) if key.name not in known]
