"""A network of layer S2: honest nodes that go on, readers that pull, and what of all that may not happen.

Nodes offer, are cosigned by two of three witnesses, and publish; readers pull by the code of `node pull`,
with a fetcher that reads the trees where they lie. A node's files may be shown to a reader in another way.
"""

from __future__ import annotations

__all__ = ["BETWEEN_S", "WHOLE_S", "Defences", "LogWorld", "Reader", "Site", "tree_site"]

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import combinations, islice
from pathlib import Path
from typing import Self
from unittest import mock

from cryoflux.digests import sha256_hex
from cryoflux.network import peer_record
from cryoflux.network.books import LogTold, NodeBook, books_of
from cryoflux.network.fetching import Fetched, Fetcher, PeerUnreachableError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathering import gather
from cryoflux.network.offers_found import OfferFound, found_offers
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.pulling import PullOutcome
from cryoflux.network.similarity import Direction
from cryoflux.network.telling import told_by
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.runs.node_offers import offers_in
from cryoflux.state import ADAPTER
from strategies.log_node import LogNode, Offered, Seer, file_of, policy_of
from strategies.log_priority import by_clocks, judge_priority

_START_S = 1_764_000_000
_HONEST = 6
_ACCUSED = {PullOutcome.GOES_BACK, PullOutcome.DIFFERS, PullOutcome.NOT_SIGNED}
BETWEEN_S, WHOLE_S = 0.2, 0.6
"""that a real server may take for the next byte, and for all of a file, s: short, so that lives are"""
Site = Callable[[str, str], bytes | None]
"""what an address shows: of a path, and the reader's name; none where nothing is there"""


@dataclass(frozen=True)
class Defences:
    """What readers and nodes hold against strategies; each can be taken away."""

    quorum: int = 2
    """of the witnesses"""
    seers: int = 3
    """witnesses"""
    dated_by_witnesses: bool = True
    """whether witnesses say what was first, rather than labels"""
    openings: bool = True
    """whether an opening that does not reproduce takes anything away"""
    asks_witnesses: bool = True
    shown_once_cosigned: bool = True
    """whether a log shows only what a quorum has cosigned"""
    seen_first: bool = True
    """whether witnesses say which of two they had seen first, rather than clocks of quorums"""
    clocks_s: int = 1
    """by how much witnesses' clocks are wrong at most, s"""


class Reader:
    """Somebody who pulls, and what has come to him."""

    def __init__(self, world: LogWorld, name: str) -> None:
        self.world, self.name = world, name
        self.network = NetworkFolder.of(world.folder / "readers" / name)
        self._told: tuple[list[LogTold], int] | None = None
        self.accused: dict[str, str] = {}
        """name of a peer → of what a pull accused it"""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """name of a peer, and what pulls found of it"""

    @property
    def peers(self) -> Peers:
        """Whom he knows."""
        world = self.world
        verifiers = [f"verifier {one.name}" for one in world.verifiers]
        lines = [*world.policy_lines, *(one.line for one in world.nodes), *verifiers, ""]
        return parse_peers("\n".join(lines).encode())

    def pull(self) -> None:
        """Pull everybody."""
        self._told = None
        found = gather(
            self.network.path,
            self.peers,
            ask_witnesses=self.world.defences.asks_witnesses,
            now=lambda: float(self.world.now_s),
            at_once=1,
            fetching=partial(Trees, self.world, self.name),
        )
        for one in found.peers:
            self.outcomes[one.name, one.outcome.value] += 1
            if one.outcome in _ACCUSED:
                self.accused[one.name] = one.why

    def record(self, node: LogNode) -> PeerRecord:
        """What he remembers of a node."""
        return PeerRecord.of(self.network.path, node.vkey)

    def offers(self) -> list[OfferFound]:
        """What is offered, the earliest first."""
        found = found_offers(self.network.path, self.peers)
        if self.world.defences.dated_by_witnesses:
            return found
        labels = dict(self._labels())
        return sorted(found, key=lambda one: labels[one.offer_leaf])

    def _labels(self) -> Iterator[tuple[str, str]]:
        """The time that each offer says itself."""
        for node in self.world.nodes:
            record = self.record(node)
            for fact in record.facts.offers:
                said = parse_entry(fact.index, record.mirror.entry(fact.index)).statement.predicate
                if isinstance(said, UpdateOffer):
                    yield fact.leaf, said.offered_at

    def usable(self) -> set[tuple[str, str]]:
        """Log and capsule of what a round may take in: here, and the offer of the log that has it first."""
        return {
            (one.origin, one.update.adapter) for one in offers_in(self.network, self.peers) if not one.absent
        }

    def books(self, quorum: int = 2) -> Mapping[str, NodeBook]:
        """The books that he makes."""
        self._told = self._told or told_by(self.network.path, self.peers)
        logs, now_s = self._told
        if not self.world.defences.openings:
            logs = [replace(log, opened={}) for log in logs]
        return books_of(logs, self.peers.verifier_origins, quorum, now_s)


class Trees:
    """Gets files of nodes where they lie, and others over HTTP, within a reader's bounds."""

    def __init__(self, world: LogWorld, reader: str) -> None:
        self._world, self._reader = world, reader
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @cached_property
    def _http(self) -> Fetcher:
        return self._closing.enter_context(Fetcher(between_s=BETWEEN_S, whole_s=WHOLE_S))

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        """As `Fetcher.fetch`."""
        host, _, path = url.removeprefix("http://").partition("/")
        if (site := self._world.sites.get(host)) is None:
            return self._http.fetch(url, most, etag=etag)
        link, content = "", site(path, self._reader)
        if content is None or len(content) > most:
            raise PeerUnreachableError(f"{url} is not there.")
        if "heads?after=" in path:
            place, _, content = content.partition(b"\n\n")
            link = place.decode()
        tag = sha256_hex(content)[:16]
        return Fetched(b"", tag, same=True) if tag == etag else Fetched(content, tag, link=link)


@dataclass(eq=False)
class LogWorld:
    """One network, of one life.

    Args:
        folder: that is thrown away.
        seed: of all chance.
    """

    folder: Path
    seed: int
    defences: Defences = field(default_factory=Defences)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - lives that come out again
        self.now_s = _START_S
        self.sites: dict[str, Site] = {}
        self.nodes: list[LogNode] = []
        self.verifiers: list[LogNode] = []
        self.cheats: list[LogNode] = []
        self.copies: dict[str, str] = {}
        """adapter of a copy → that of its original"""
        self.harms: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        """what is told of a life besides, in words → how often"""
        self.entries = 0
        self.closing = ExitStack()
        self.leaks: Callable[[LogNode, Offered], object] = lambda _node, _offered: None
        """is told what a log holds that no quorum has cosigned"""
        self.seers_of: Callable[[LogNode], Sequence[Seer]] | None = None
        """the witnesses that a node can ask; all of them where it is none"""
        self.moves: dict[str, Direction] = {}
        """adapter → where it moves a model"""
        if not self.defences.seen_first:
            self.closing.enter_context(mock.patch.object(peer_record, "seen_before", by_clocks))
        wrong_s = self.defences.clocks_s
        self.seers = [
            Seer(self.folder / "seers" / str(place), f"w{place}", lambda: self.now_s, ahead_s)
            for place, ahead_s in enumerate(
                self.rng.randint(-wrong_s, wrong_s) for _ in range(self.defences.seers)
            )
        ]
        for seer in self.seers:
            self.sites[f"{seer.name}.example"] = partial(_witness_site, seer)
            self.closing.callback(seer.close)
        self.readers = [Reader(self, name) for name in ("one", "two")]
        self.own = [self.node(f"node{place}") for place in range(_HONEST)]

    @property
    def policy_lines(self) -> list[str]:
        """Of everybody's policy."""
        names = " ".join(one.name for one in self.seers)
        return [*(one.line for one in self.seers), f"group g {self.defences.quorum} {names}", "quorum g"]

    def node(self, name: str, *, lines: Iterable[bytes] = (), listed: bool = True) -> LogNode:
        """A node more, that readers know."""
        made = LogNode(
            self.folder / "nodes" / name, name, policy_of(self.policy_lines), self.seers, list(lines)
        )
        self.closing.callback(made.close)
        if listed:
            self.nodes.append(made)
        self.sites[f"{name}.example"] = partial(tree_site, made)
        return made

    def cheat(self, name: str = "cheat") -> LogNode:
        """One that does not what it should."""
        self.cheats.append(self.node(name))
        return self.cheats[-1]

    def wait(self, least_s: int, most_s: int) -> None:
        """Let time go by."""
        self.now_s += self.rng.randint(least_s, most_s)

    def until_pulled(self) -> None:
        """Let all readers have what there is to have: by their witnesses, and once more."""
        for _ in range(2):
            self.wait(60, 600)
            self.pull()

    def answering(self, node: LogNode) -> Sequence[Seer]:
        """The witnesses that answer a node now: mostly all of them, and but for partitions all but one."""
        if self.seers_of is not None:
            return self.seers_of(node)
        missing = self.rng.choice(self.seers) if self.rng.random() < 0.2 else None
        return [one for one in self.seers if one is not missing]

    def live(self, offers: int, pulls: int = 4) -> Iterator[LogNode]:
        """Honest nodes offer so many updates one after the other, and readers pull now and then.

        Yields:
            each node when what it has offered is committed to and published.
        """
        waiting: Counter[LogNode] = Counter()
        for number in range(offers):
            self.wait(60, 1800)
            node = self.rng.choice(self.own)
            self.offer(node, file_of(node.name, number))
            waiting[node] += 1
            if waiting[node] >= 3 or number >= offers - len(self.own):
                self.show(node)
                waiting.pop(node)
                yield node
            if pulls and number % max(1, offers // pulls) == offers // pulls // 2:
                self.pull()
        for node in list(waiting):
            self.show(node)
            yield node

    def offer(self, node: LogNode, content: bytes, ago_s: int = 0) -> Offered:
        """An update of a node's own, whose label says now, or some time ago."""
        offered = node.offer(content, at=utc(self.now_s - ago_s))
        if not self.defences.shown_once_cosigned and node in self.own:
            self.leaks(node, offered)
        return offered

    def copy(self, cheat: LogNode, original: Offered, content: bytes, ago_s: int = 0) -> Offered:
        """What somebody offers who has seen another's update."""
        offered = self.offer(cheat, content, ago_s)
        self.copies[offered.adapter] = original.adapter
        return offered

    def show(self, node: LogNode) -> None:
        """Let witnesses see a log, and publish what they have."""
        self.wait(1, 5)
        if node.commit(self.answering(node)):
            node.publish()

    def pull(self) -> None:
        """All readers pull."""
        for reader in self.readers:
            reader.pull()

    def judge(self) -> None:
        """What may not be, whatever was tried; at the end of a life, once readers have pulled it all."""
        self.entries = sum(len(one.log.entries) for one in self.nodes)
        for reader in self.readers:
            self._accused(reader)
            self._signed(reader)
            judge_priority(self, reader)
        for one, other in combinations(self.readers, 2):
            self._agree(one, other)

    @property
    def through(self) -> tuple[int, int]:
        """Honest offers that both readers can use, and all there were."""
        usable = set[tuple[str, str]].intersection(*(one.usable() for one in self.readers))
        due = {(node.origin, one.adapter) for node in self.own for one in node.offered}
        return len(due & usable), len(due)

    def _accused(self, reader: Reader) -> None:
        for node in self.nodes:
            if node not in self.cheats and (
                node.name in reader.accused or reader.record(node).mirror.evidence
            ):
                self.harms["an honest log is accused"] += 1

    def _signed(self, reader: Reader) -> None:
        for node in self.nodes:
            mirror = reader.record(node).mirror
            note = mirror.note
            told = root_hash(map(leaf_hash, mirror.entries()))
            if note is not None and told != note.checkpoint.root:
                self.harms["entries that no head signs"] += 1
        for path in reader.network.incoming.glob("*"):
            if (path / ADAPTER).is_file() and sha256_hex((path / ADAPTER).read_bytes()) != path.name:
                self.harms["bytes of another digest"] += 1
        for path in reader.network.lists.glob("*"):
            if sha256_hex(path.read_bytes()) != path.name:
                self.harms["a list of another digest"] += 1

    def _agree(self, one: Reader, other: Reader) -> None:
        """Two readers believe the same history of each log, or have evidence against it, and books agree."""
        policy = one.peers.policy
        for node in self.nodes:
            records = [reader.record(node) for reader in (one, other)]
            if any(record.mirror.evidence for record in records):
                continue
            seen = [islice(record.mirror.entries(), record.times(policy).size) for record in records]
            if any(first != second for first, second in zip(*seen, strict=False)):
                self.harms["two readers believe two histories"] += 1
        books = [reader.books(1) for reader in (one, other)]
        if any(books[0][node.origin] != books[1][node.origin] for node in self.own):
            self.harms["two readers' books differ"] += 1

    def close(self) -> None:
        """Let databases go."""
        self.closing.close()


def tree_site(node: LogNode, path: str, _reader: str) -> bytes | None:
    """What an honest address shows: the public tree."""
    place = node.public / path
    return place.read_bytes() if place.is_file() else None


def _witness_site(seer: Seer, path: str, _reader: str) -> bytes | None:
    answer = seer.witness.heads(path.partition("after=")[2])
    return dict(answer.headers)[b"link"] + b"\n\n" + answer.body


def utc(time_s: int) -> str:
    """A time as an entry writes it."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
