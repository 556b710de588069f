"""Witnesses that lie about when they saw what, beside others that are absent: no copy is told to be first.

A quorum of 4 of 5 has three witnesses in common with any other, so two may lie. The original is shown once
four have seen it; its copy is offered within minutes, to all five.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import node_log
from cryoflux.network.books import LogTold, books_of
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathering import gather
from cryoflux.network.head_times import SeenBy, seen_before
from cryoflux.network.membership import contested_with
from cryoflux.network.offers_found import found_offers
from cryoflux.network.peer_record import FirstClaim, PeerRecord, first_claims
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.screening import find_copies
from cryoflux.network.similarity import Direction
from cryoflux.network.telling import told_by
from cryoflux.runs.node_offers import offers_in
from node_tree import CosigningWitness, TreeNode, serving_tree
from synthetic_parts import digest_of

T, HOUR, DAY = 1_764_000_000, 3_600, 86_400
SEERS = [CosigningWitness(name) for name in "abcdef"]
A, B, C, D, E, F = SEERS
Times = Mapping[CosigningWitness, int]
LOGITS = np.eye(4)
LATER = {A: T + 60, B: T + 60, C: T + 60, D: T + 60, E: T + 60}
"""of the copy, by witnesses that do not lie"""
AHEAD = {A: T, B: T, C: T, D: T + HOUR}
"""of the original, by one that dates it ahead, and one that was absent"""


class World:
    """An original and a copy of its very bytes, as witnesses have dated them."""

    def __init__(self, folder: Path) -> None:
        self.original, self.copy = TreeNode(folder / "original"), TreeNode(folder / "copy")
        self.network = folder / "mine"
        self.adapter = self.original.offer().statement.subject[0].digest.sha256
        self.peers: Peers

    def offer_copy(self, settings: str = "config") -> None:
        """The same bytes in another log, perhaps with other settings."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node_log, "digest_of", lambda of: digest_of(settings if of == "config" else of))
            assert self.copy.offer().statement.subject[0].digest.sha256 == self.adapter
        self.copy.put(f"capsules/{self.adapter}/adapter_config.json", settings.encode())

    def pull(self, original: Times, copy: Times, quorum: int, count: int, first: str = "original") -> None:
        self.original.publish(original)
        self.copy.publish(copy)
        lines = [f"witness {one.name} {one.vkey}" for one in SEERS[:count]]
        lines += [f"group most {quorum} {' '.join('abcdef'[:count])}", "quorum most"]
        named = {"original": self.original, "copy": self.copy}
        with ExitStack() as stack:
            for name in (first, *named.keys() - {first}):
                url = stack.enter_context(serving_tree(named[name].tree))
                lines.append(f"node {name} {named[name].vkey} {url}")
            self.peers = parse_peers("\n".join([*lines, ""]).encode())
            gather(self.network, self.peers, at_once=1)

    @property
    def seen(self) -> tuple[SeenBy, SeenBy]:
        """Of the original, and of the copy."""
        seen = {one.origin: one.seen for one in found_offers(self.network, self.peers)}
        return seen[self.original.origin], seen[self.copy.origin]

    @property
    def first(self) -> str:
        """Which of the two is told to be first; empty where nobody can tell."""
        original, copy = self.seen
        policy = self.peers.policy
        told = (seen_before(original, copy, policy), seen_before(copy, original, policy))
        return {(True, False): "original", (False, True): "copy"}.get(told, "")

    @property
    def claim(self) -> FirstClaim:
        records = [PeerRecord.of(self.network, node.key) for node in self.peers.nodes]
        (claim,) = first_claims(records, self.peers.policy).values()
        return claim

    @property
    def here(self) -> list[str]:
        """Whose offer a round would take."""
        return [one.name for one in offers_in(NetworkFolder(self.network), self.peers) if not one.absent]


@pytest.fixture
def settings() -> str:
    return "config"


@pytest.fixture
def world(tmp_path: Path, settings: str) -> Iterator[World]:
    made = World(tmp_path)
    made.offer_copy(settings)
    yield made
    made.original.close()
    made.copy.close()


@pytest.mark.parametrize(
    ("original", "copy", "quorum", "count", "first"),
    [
        ({A: T, B: T}, {A: T + 60, B: T + 60, C: T + 60}, 2, 3, "original"),
        ({A: T, B: T}, {B: T - 10 * DAY, C: T + 60, A: T + 60}, 2, 3, ""),
        ({A: T, B: T + HOUR}, {A: T + 60, B: T + 60, C: T + 60}, 2, 3, "copy"),
        ({A: T, B: T, C: T, D: T}, {**LATER, D: T - 10 * DAY}, 4, 5, ""),
        (AHEAD, LATER, 4, 5, ""),
        ({A: T, B: T, C: T + HOUR, D: T + HOUR}, LATER, 4, 5, ""),
        ({A: T, B: T, C: T, D: T, E: T + HOUR}, LATER, 4, 5, "original"),
        ({A: T, B: T, C: T}, {A: T + 60, B: T + 60, C: T - 10 * DAY, D: T + 60}, 3, 4, ""),
        ({**AHEAD, E: T}, {**LATER, F: T + 60}, 4, 6, "original"),
        ({A: T, B: T, C: T, D: T}, {**LATER, D: T - 10 * DAY, F: T + 60}, 4, 6, ""),
    ],
    ids=["2 of 3, one absent", "2 of 3, dated back", "2 of 3, dated ahead: beyond what it bears",
         "4 of 5, dated back",
         "4 of 5, dated ahead", "4 of 5, two lie and one absent", "4 of 5, one lies", "3 of 4, dated back",
         "4 of 6, one lies and one absent", "4 of 6, one lies and two absent"],
)  # fmt: skip
def test_who_is_told_to_be_first(
    world: World, original: Times, copy: Times, quorum: int, count: int, first: str
) -> None:
    world.pull(original, copy, quorum, count)
    assert world.first == first
    assert first != "copy" or world.peers.policy.shared == 1, "only where the policy bears no liar"
    owners = {"original": world.original.origin, "copy": world.copy.origin}
    if first:
        assert (world.claim.origin, world.claim.contested) == (owners[first], frozenset())
    else:
        assert world.claim.contested == frozenset(owners.values())


@pytest.mark.parametrize("settings", ["config", "settings of another scale"])
@pytest.mark.parametrize("came_first", ["original", "copy"])
def test_of_contested_bytes_what_is_here_already_stays_and_counts_for_nobody(
    world: World, settings: str, came_first: str
) -> None:
    world.pull(AHEAD, LATER, 4, 5, first=came_first)
    assert world.first == ""
    assert world.here == [f"{came_first}/1"]
    gather(world.network, world.peers)
    assert world.here == [f"{came_first}/1"], "neither takes the other's place"
    config = NetworkFolder(world.network).capsule(world.adapter) / "adapter_config.json"
    assert config.read_text() == {"original": "config", "copy": settings}[came_first]
    records = [PeerRecord.of(world.network, node.key) for node in world.peers.nodes]
    assert [record.missing for record in records] == [{}, {}], "and neither is held to withhold its own"
    logs, now_s = told_by(world.network, world.peers)
    assert [one.contested for log in logs for one in log.offers] == [True, True]
    books = books_of([*logs, LogTold("verifier")], {"verifier"}, 1, now_s)
    assert [one.counted for book in books.values() for one in book.capsules] == [False, False]


def test_alike_updates_that_are_contested_are_both_searched(world: World) -> None:
    world.pull(AHEAD, LATER, 4, 5)
    offers = offers_in(NetworkFolder(world.network), world.peers)
    policy = world.peers.policy

    def before(one: SeenBy, other: SeenBy) -> bool:
        return seen_before(one, other, policy)

    alike = find_copies([], offers, lambda _: Direction({}, {}, LOGITS), before)
    assert alike.of == {}
    assert set(alike.contested) == {one.update.adapter for one in offers}
    other = next(one for one in offers if one.name == "original/1")
    assert contested_with(other, "").startswith("contested: like original/1")


def test_a_cosignature_that_comes_to_light_settles_it(world: World) -> None:
    """One of the witnesses had seen the original in time, and its signature was not published yet."""
    world.pull(AHEAD, LATER, 4, 5)
    assert world.first == ""
    world.original.heads[-1] = E.cosigned(world.original.heads[-1], T + 1)
    world.pull({}, {}, 4, 5)
    assert (world.first, world.claim.contested) == ("original", frozenset())
    logs, _ = told_by(world.network, world.peers)
    assert not any(one.contested for log in logs for one in log.offers)
    assert world.here == ["original/1"]
