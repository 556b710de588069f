"""Pulls every peer: its log, the heads that witnesses cosigned of it, and what it offers.

Nodes that the file of peers does not name are not asked, unless it lets strangers in: then a few of them are,
by lottery, with little time and few bytes. All are asked at once, a few at a time, and each
on its own: what comes of one depends on no other, so the end does not depend on who answers first. Then what
is offered, and covered by a quorum of witnesses, is fetched, from whoever offers it or else has it.
"""

from __future__ import annotations

__all__ = ["MOST_BYTES", "gather"]

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from cryoflux.errors import StorageError, VerificationError
from cryoflux.files import one_at_a_time
from cryoflux.network.collecting import lacking
from cryoflux.network.fetching import Fetcher, Fetches, PeerUnreachableError, Ration, Stoppable
from cryoflux.network.folder import NODE, NetworkFolder
from cryoflux.network.following import follow
from cryoflux.network.gathered import Gathered, PeerGathered
from cryoflux.network.log_facts import LogFacts, receipt_key_of
from cryoflux.network.lottery import Lottery
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.node_file import hints_in
from cryoflux.network.offers_found import witnessed_offers
from cryoflux.network.peer_files import PeerFiles
from cryoflux.network.peer_record import MOST_NODE_BYTES, FirstClaim, Missing, PeerRecord, first_claims
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.network.published_heads import PublishedHeads, published_heads
from cryoflux.network.pulling import PullOutcome, pull
from cryoflux.network.witnessed_heads import Asked, heads_of_witnesses
from cryoflux.receipts.checkpoint import Note
from cryoflux.witness.evidence import check_equivocation, parse_equivocation

MOST_BYTES = 256 * 2**20
"""that one peer may bring in one pull"""
_WHOLE_S, _STRANGER_S = 300.0, 30.0
_AT_ONCE = 8
_GOES_ON = frozenset({PullOutcome.NEW, PullOutcome.SAME})
_READ_ON = _GOES_ON | {PullOutcome.UNREACHABLE}


def gather(
    network: Path,
    peers: Peers,
    *,
    most_bytes: int = MOST_BYTES,
    ask_witnesses: bool = False,
    only: Collection[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
    said: Callable[[str], None] = lambda _: None,
    now: Callable[[], float] = time.time,
    at_once: int = _AT_ONCE,
    fetching: Callable[[], AbstractContextManager[Fetches]] = Fetcher,
) -> Gathered:
    """Pull every peer.

    Args:
        network: folder of the node's network.
        peers: whom it knows.
        most_bytes: that one peer may bring.
        ask_witnesses: ask the witnesses of the policy for all heads first; a peer of whose log they know no
            newer one is not asked.
        only: origins of logs that are asked; none for all.
        stop: whether no further file is to be asked for.
        said: is told how far it is, in one line.
        now: wall time, Unix seconds.
        at_once: peers that are asked at the same time.
        fetching: makes what gets the files.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    turn = one_at_a_time(network / "pulling.lock")
    with turn, ExitStack() as stack, ThreadPoolExecutor(at_once) as threads:
        lottery = Lottery(network, peers, int(now()))
        lottery.make_way()
        fetcher = Stoppable(stack.enter_context(fetching()), stop)
        going = _Gathering(NetworkFolder(network), peers, fetcher, most_bytes, int(now()), said, stop)
        told = heads_of_witnesses(network, peers, fetcher) if ask_witnesses else None
        going.witnessed(told, only)
        found = list(threads.map(going.log, peers.nodes))
        if only is None:
            lottery.hold()
        strangers = lottery.nodes
        near = {
            reach: Stoppable(stack.enter_context(Fetcher(reach=reach)), stop)
            for reach in {lottery.reach(node) for node in strangers}
        }
        for node in strangers:
            left = lottery.left_bytes(node, most_bytes)
            going.join(node, Ration(near[lottery.reach(node)], left, _seconds(node), stop))
        found += threads.map(going.log, strangers)
        claims, nodes = going.claims(), (*peers.nodes, *strangers)
        ended = tuple(threads.map(going.capsules, nodes, found, repeat(claims)))
        lottery.came(ended[len(peers.nodes) :])
    named, drawn = ended[: len(peers.nodes)], ended[len(peers.nodes) :]
    gathered = Gathered(named, drawn, lottery.draw.heard if peers.strangers else 0)
    if told is None:
        return gathered
    told.keep()
    return replace(gathered, witnesses=told.witnesses, heads=told.heads, received=told.received)


class _Gathering:
    """One pull of all peers."""

    def __init__(
        self,
        folder: NetworkFolder,
        peers: Peers,
        fetcher: Fetches,
        most_bytes: int,
        now_s: int,
        said: Callable[[str], None],
        stop: Callable[[], bool],
    ) -> None:
        self._folder, self._peers, self._said = folder, peers, said
        self._asked_for = len(peers.nodes)
        self._rations = {node.name: Ration(fetcher, most_bytes, _WHOLE_S, stop) for node in peers.nodes}
        self._records = {node.name: PeerRecord.of(folder.path, node.key) for node in peers.nodes}
        # Where no witness says when, the order of pulls does: a clock set back makes nothing earlier.
        arrived_s = max((record.arrived_s for record in self._records.values()), default=0)
        self._now_s = now_s if now_s >= arrived_s else arrived_s + 1
        self._most = {name: ration.left for name, ration in self._rations.items()}
        self._grown: Collection[str] | None = None
        self._only: Collection[str] | None = None
        self._new: Mapping[str, tuple[Note, ...]] = {}
        self._done = 0
        self._lock = threading.Lock()

    @property
    def records(self) -> Iterable[PeerRecord]:
        """What is remembered of all peers."""
        return self._records.values()

    def record(self, node: PeerNode) -> PeerRecord:
        """What is remembered of a peer."""
        return self._records[node.name]

    def witnessed(self, told: Asked | None, only: Collection[str] | None) -> None:
        """Take what witnesses know of peers' logs, and whose are to be asked for."""
        self._only = only
        if told is not None:
            self._grown, self._new = told.grown, told.new

    def join(self, node: PeerNode, ration: Ration) -> None:
        """Ask one more, a stranger."""
        self._rations[node.name], self._records[node.name] = (
            ration,
            PeerRecord.of(self._folder.path, node.key),
        )
        self._most[node.name] = ration.left
        self._asked_for += 1

    def log(self, node: PeerNode) -> PeerGathered:
        """Bring the mirror of a peer up to date, and all that follows from it."""
        record = self.record(node)
        try:
            found = self._judged(node, record)
        except StorageError:
            raise  # the disk is full, whoever is pulled
        except (VerificationError, OSError) as error:
            # what is here of one peer is damaged, or is another log's: the others are pulled all the same
            why = f"What is here of it cannot be read: {error}"
            found = replace(_nothing_of(node), outcome=PullOutcome.NOT_SIGNED, why=why)
        with self._lock:
            self._done += 1
            came = f", {found.came:,} new" if found.came else ""
            self._said(f"{self._done} of {self._asked_for} peers: {node.name} {found.outcome}{came}")
        return found

    def _judged(self, node: PeerNode, record: PeerRecord) -> PeerGathered:
        found = replace(_nothing_of(node), size=record.mirror.size)
        if why := _two_histories(record.mirror):
            return replace(found, outcome=PullOutcome.DIFFERS, why=why, known=True)
        heads = PublishedHeads()
        if self._asks(node, record):
            found, heads = self._asked(node, record, found)
        if found.outcome not in _READ_ON:
            return found
        seen = self._new.get(node.origin, ())
        facts = follow(record, receipt_key_of(record.node, node.key), (*heads.new, *seen))
        if why := _two_histories(record.mirror):
            return replace(found, outcome=PullOutcome.DIFFERS, why=why)
        if heads.published:
            record.keep_published(heads.published, heads.etag)
        if seen:
            record.keep_seen(seen, self._peers.policy)
        return _read(found, facts)

    def _asked(
        self, node: PeerNode, record: PeerRecord, found: PeerGathered
    ) -> tuple[PeerGathered, PublishedHeads]:
        """Ask a peer for its log, its cosigned heads, and who it is."""
        ration = self._rations[node.name]
        pulled = pull(record.mirror, f"{node.url}/log", ration)
        found = replace(found, outcome=pulled.outcome, size=pulled.size, came=pulled.came, why=pulled.why)
        if pulled.outcome not in _GOES_ON:
            return found, PublishedHeads()
        record.arrive(self._now_s)
        try:
            if pulled.came or not record.node:
                record.keep_node(ration.fetch(f"{node.url}/{NODE}", MOST_NODE_BYTES).content)
            heads = published_heads(node, record, ration, self._peers.policy)
        except PeerUnreachableError as error:
            return replace(found, outcome=PullOutcome.UNREACHABLE, why=error.what), PublishedHeads()
        except VerificationError as error:
            return replace(found, outcome=PullOutcome.NOT_SIGNED, why=error.what), PublishedHeads()
        if heads.gone is not None:
            size = heads.gone.checkpoint.size
            why = f"It has published a cosigned head of {size} entries, and does not any more."
            return replace(found, outcome=PullOutcome.GOES_BACK, why=why), PublishedHeads()
        return found, heads

    def _asks(self, node: PeerNode, record: PeerRecord) -> bool:
        """Whether a peer is asked: not where others are meant, nor where witnesses know of nothing new."""
        if self._only is not None and node.origin not in self._only:
            return False
        return self._grown is None or not record.mirror.size or node.origin in self._grown

    def claims(self) -> dict[str, FirstClaim]:
        """Adapter → the log that committed to it first."""
        return first_claims(self.records, self._peers.policy)

    def capsules(self, node: PeerNode, found: PeerGathered, claims: Mapping[str, FirstClaim]) -> PeerGathered:
        """Fetch what a peer offers."""
        record, ration = self.record(node), self._rations[node.name]
        ration.give_time(_seconds(node))
        try:
            facts, times = record.facts, record.times(self._peers.policy)
        except StorageError:
            raise
        except (VerificationError, OSError):
            return found  # what is here of it is damaged, as was said of its log
        found = replace(
            found, hints=len(hints_in(record.node)), witnessed=times.size, offers=len(facts.offers)
        )
        files = PeerFiles(self._folder, node, record, self._peers.nodes, self._rations, claims)
        meant = self._only is None or node.origin in self._only  # a hint of one makes us ask nobody else
        answers = found.outcome is not PullOutcome.UNREACHABLE
        # However a peer answers for its log: what its verdicts rest on is asked for.
        if meant and found.outcome is not PullOutcome.DIFFERS:
            files.lacked(facts, answers=answers)
        if found.outcome in _READ_ON:
            due = [one for one, _ in witnessed_offers(node, facts, times)]
            waiting = sum(times.at(one.receipt_index) is None for one in facts.offers)
            missing, unopened = dict[str, Missing](), dict[str, Missing]()
            if meant and answers:
                missing = files.offered(due)
                unopened = files.opened(facts, self._now_s)
            fetched = sum(not lacking(self._folder, one.update) for one in due)
            found = replace(found, fetched=fetched, waiting=waiting, unavailable=missing, unopened=unopened)
        return replace(found, received=self._most[node.name] - ration.left)


def _nothing_of(node: PeerNode) -> PeerGathered:
    """What is found of a node that is not asked."""
    return PeerGathered(node.name, node.origin, PullOutcome.SAME, by_lottery=node.by_lottery)


def _seconds(node: PeerNode) -> float:
    """What all files of a node may take, for each half of a pull."""
    return _STRANGER_S if node.by_lottery else _WHOLE_S


def _two_histories(mirror: MirrorFolder) -> str:
    """Which two histories a peer told, by the evidence; empty where there is none."""
    evidence = mirror.evidence
    return f"{check_equivocation(parse_equivocation(evidence))}." if evidence else ""


def _read(found: PeerGathered, facts: LogFacts) -> PeerGathered:
    """What was found of a peer, with what its entries come to."""
    if facts.fault:
        return replace(found, outcome=PullOutcome.NOT_SIGNED, why=f"Of its log, {facts.fault}.")
    if facts.size < found.size and found.outcome in _GOES_ON:
        why = f"Its {NODE} brings no receipt key that its log is named after, so it cannot be read."
        return replace(found, outcome=PullOutcome.UNREACHABLE, why=why)
    return found
