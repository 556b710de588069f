"""The lottery among strangers: who is heard of, who is drawn, and when what is here of them goes.

A *stranger* is a log that a peer names in its ``node.json``, or that has introduced itself there or here, and
that the reader does not name. Nobody else is heard of: no stranger names others, so a crowd of keys grows by
what named nodes say of it. Of each of those at most 64 strangers have a ticket, drawn anew each time: a node
that names ten thousand takes no ticket from what another one names, and nobody whom it names is left out for
good.

Once an hour at most, by the next pull, eight are drawn: one ticket a log, by a seed that is drawn then, here,
and kept. Those are pulled and may be candidates of rounds until the next draw. An hour later all that is here
of them goes, but for what was adopted, and what a round composed: without that nobody could make its look
again. So an hour costs at most eight times 16 MiB, whatever the keys.

A stranger of which a verifier of the reader confirmed something is none any more: it is pulled like a peer.
"""

from __future__ import annotations

__all__ = ["Lottery"]

import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from cryoflux.errors import CryoFluxError, ModelError, StorageError, VerificationError
from cryoflux.files import write_atomic
from cryoflux.network.books import Confirmation, books_of
from cryoflux.network.choosing import drawn_strangers
from cryoflux.network.collecting import NeededLists
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.introducing import introduced_here
from cryoflux.network.log_facts import LogFacts
from cryoflux.network.node_file import hints_in, introduced_in
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode, Peers
from cryoflux.network.reaching import Reach, reach_of
from cryoflux.network.strangers import DrawnStranger, LotteryRecord, kept_strangers, nodes_of_strangers
from cryoflux.network.telling import own_record, tell
from cryoflux.receipts.checkpoint import VerifierKey, parse_verifier_key
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.state import StateFolder
from cryoflux.witness.cosigned import log_key_of

MOST_STRANGER_BYTES = 16 * 2**20
"""that one stranger may bring until the next draw"""
_PLACES = 8
_EACH_S = 3600
"""between two draws"""
_OF_A_PEER = 64
"""strangers with a ticket that one peer names"""
_MOST_CONFIRMED = 64
_COMPOSED = frozenset({MemberVerdict.ADOPTED, MemberVerdict.NOT_CHOSEN})


class Came(Protocol):
    """What a pull found of one of them."""

    @property
    def origin(self) -> str:
        """Of its log."""

    @property
    def outcome(self) -> str:
        """In a word or two."""

    @property
    def received(self) -> int:
        """Bytes that came."""

    @property
    def offers(self) -> int:
        """How many it makes."""

    @property
    def fetched(self) -> int:
        """How many of them are here."""

    @property
    def why(self) -> str:
        """What was wrong; empty where nothing was."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    key: VerifierKey
    url: str
    named_by: str
    near: str
    """address of the peer that names it"""


class Lottery:
    """The strangers of one pull.

    Args:
        network: folder of the node's network.
        peers: whom it names.
        now_s: Unix seconds.
    """

    def __init__(self, network: Path, peers: Peers, now_s: int = 0) -> None:
        self._folder, self._peers, self._now_s = NetworkFolder(network), peers, now_s
        self._draw = kept_strangers(self._folder) or LotteryRecord()

    @property
    def draw(self) -> LotteryRecord:
        """What is remembered of it."""
        return self._draw

    @property
    def nodes(self) -> list[PeerNode]:
        """Who is pulled beside those that are named."""
        return nodes_of_strangers(self._draw, self._peers) if self._peers.strangers else []

    def make_way(self) -> None:
        """Remove what is here of strangers that have the name of a log that the reader names, by another key.

        Whoever names a stranger may say a false key of it, and what is here is called after a log's name.
        """
        self._make_way([node.key for node in self._peers.nodes])

    def _make_way(self, keys: Iterable[VerifierKey]) -> None:
        named = {key.name: str(key) for key in keys}

        def kept(some: list[DrawnStranger]) -> list[DrawnStranger]:
            return [one for one in some if named.get(one.origin, one.key) == one.key]

        draw = self._draw
        lists = draw.drawn, draw.leaving, draw.confirmed
        drawn, leaving, confirmed = map(kept, lists)
        gone = {one.key for some in lists for one in some if one not in (*drawn, *leaving, *confirmed)}
        for key in gone:
            record = PeerRecord.of(self._folder.path, parse_verifier_key(key))
            shutil.rmtree(record.folder, ignore_errors=True)
        if gone:
            self._draw = structs.replace(draw, drawn=drawn, leaving=leaving, confirmed=confirmed)
            self._keep()

    def hold(self) -> None:
        """Draw, if it is time; what was kept of those that lose their places goes.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        draw = self._draw
        if not self._peers.strangers:
            if self._folder.strangers.exists():
                self._forget([*draw.drawn, *draw.leaving, *draw.confirmed])
                self._folder.strangers.unlink()
            return
        if 0 <= self._now_s - draw.drawn_s < _EACH_S:
            return
        seed = secrets.randbelow(2**53)
        tickets = self._tickets(seed + 1)
        drawn = list[DrawnStranger]()
        for name in drawn_strangers(tickets, len(tickets), seed):
            if len(drawn) < _PLACES and tickets[name].key.name not in {one.origin for one in drawn}:
                drawn.append(self._drawn(tickets[name]))
        self._make_way([parse_verifier_key(one.key) for one in drawn])
        draw = self._draw
        said = {"seed": seed, "drawn_s": self._now_s, "heard": len(tickets)}
        self._draw = structs.replace(draw, **said, drawn=drawn, leaving=draw.drawn)
        self._forget(draw.leaving)
        self._keep()  # at last: who dies in between draws and forgets again

    def _tickets(self, seed: int) -> dict[str, _Ticket]:
        """Name of a ticket → it: the key of a log, so that each log has one, however often it is named."""
        taken = {node.origin for node in self._peers.nodes} | {one.origin for one in self._draw.confirmed}
        with suppress(CryoFluxError):  # a state without a log of its own
            taken.add(log_key_of(self._folder.path.parent).name)
        found: dict[str, _Ticket] = {}
        nodes = {node.origin: node for node in self._peers.nodes}
        # In the order of a draw: of two addresses of one log nobody's comes first for good.
        for node in (nodes[origin] for origin in drawn_strangers(nodes, len(nodes), seed)):
            said = PeerRecord.of(self._folder.path, node.key).node
            # For the address of who introduced itself there nobody vouches: it is out there.
            mine = {str(key): _Ticket(key, url, node.origin, "") for key, url in introduced_in(said)}
            mine |= {str(key): _Ticket(key, url, node.origin, node.url) for key, url in hints_in(said)}
            origins = set(taken)
            for name in drawn_strangers(mine, len(mine), seed):
                if (origin := mine[name].key.name) not in origins and len(origins) < len(taken) + _OF_A_PEER:
                    origins.add(origin)  # of many keys that it gives one log, one has a ticket
                    found.setdefault(name, mine[name])
        for key, ticket in self._introduced().items():
            if ticket.key.name not in taken:
                found.setdefault(key, ticket)
        return found

    def _introduced(self) -> dict[str, _Ticket]:
        """Those that have introduced themselves to the reader, at most sixteen."""
        if self._peers.introductions is None:
            return {}
        near = "http://localhost" if self._peers.introductions is Reach.HERE else ""
        here = introduced_here(self._folder, self._now_s)
        return {one.key: _Ticket(parse_verifier_key(one.key), one.url, one.origin, near) for one in here}

    def _drawn(self, ticket: _Ticket) -> DrawnStranger:
        """A stranger with its place."""
        reach = reach_of(urlsplit(ticket.near).hostname or "")
        return DrawnStranger(str(ticket.key), ticket.url, ticket.named_by, int(reach), self._now_s)

    def left_bytes(self, node: PeerNode, most_bytes: int) -> int:
        """What a stranger may still bring."""
        if not node.by_lottery:
            return most_bytes
        return max(0, min(most_bytes, MOST_STRANGER_BYTES) - self._of(node).received)

    def reach(self, node: PeerNode) -> Reach:
        """How near to us its address may be."""
        return Reach(self._of(node).reach)

    def _of(self, node: PeerNode) -> DrawnStranger:
        return next(one for one in (*self._draw.confirmed, *self._draw.drawn) if one.origin == node.origin)

    def came(self, gathered: Iterable[Came]) -> None:
        """Remember what a pull has brought of them, and which of them a verifier has confirmed.

        Args:
            gathered: what was found of each.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        found = {one.origin: one for one in gathered}
        if not found:
            return
        draw = self._draw
        confirmed, drawn = (
            [_after(one, found[one.origin]) if one.origin in found else one for one in some]
            for some in (draw.confirmed, draw.drawn)
        )
        proven = self._proven(drawn)
        confirmed += [one for one in drawn if one.origin in proven][: _MOST_CONFIRMED - len(confirmed)]
        named = {one.origin for one in confirmed}
        drawn = [one for one in drawn if one.origin not in named]
        self._draw = structs.replace(draw, drawn=drawn, confirmed=confirmed)
        self._keep()

    def _proven(self, drawn: Iterable[DrawnStranger]) -> set[str]:
        """The strangers of which the reader, or a verifier of the reader, has confirmed something."""
        mine = [parse_verifier_key(one.key) for one in drawn if one.offers]
        if not mine:
            return set()
        state = self._folder.path.parent
        own = [own_record(state)] if StateFolder(state).receipts.is_file() else []
        believed = self._peers.verifier_origins | {record.origin for record in own}
        keys = [node.key for node in self._peers.nodes if node.origin in believed]
        records = [*own, *(PeerRecord.of(self._folder.path, key) for key in (*keys, *mine))]
        told = []
        newest_s = 0
        for record in records:
            with suppress(VerificationError, OSError):
                times = record.times(self._peers.policy)
                newest_s = max(newest_s, times.newest_s)
                told.append(tell(record, record.facts, times))
        books = books_of(told, believed, 1, newest_s)
        strangers = {key.name for key in mine}
        return {
            origin
            for origin, book in books.items()
            if origin in strangers and any(one.standing is Confirmation.CONFIRMED for one in book.capsules)
        }

    def _keep(self) -> None:
        write_atomic(self._folder.strangers, msgspec.json.encode(self._draw), mode=0o600)

    def _forget(self, gone: Iterable[DrawnStranger]) -> None:
        """Remove what is here of strangers that lost their places: logs, and what nobody else offers."""
        path = self._folder.path
        kept = [node.key for node in (*self._peers.nodes, *self.nodes)]
        if self._peers.strangers:
            kept += [parse_verifier_key(one.key) for one in self._draw.leaving]
        here = {key.name for key in kept}
        going = [parse_verifier_key(one.key) for one in gone if one.origin not in here]
        if not going:
            return
        needed = set[str]().union(*(_adapters(PeerRecord.of(path, key)) for key in kept))
        state, composed = StateFolder(path.parent), self._composed()
        for key in going:
            record = PeerRecord.of(path, key)
            needed |= self._rested_on(record, composed)
        for key in going:
            record = PeerRecord.of(path, key)
            for adapter in _adapters(record) - needed:
                if not state.capsule(adapter).exists():  # what was adopted is served to others from there
                    shutil.rmtree(self._folder.capsule(adapter), ignore_errors=True)
            shutil.rmtree(record.folder, ignore_errors=True)

    def _composed(self) -> set[str]:
        """Updates that rounds of the node have composed; nothing where it has no log that can be read."""
        state = self._folder.path.parent
        if not StateFolder(state).receipts.is_file():
            return set()
        try:
            rounds = own_record(state).facts.rounds
        except StorageError:
            raise
        except CryoFluxError:
            return set()
        return {capsule for one in rounds for capsule, verdict in one.members.items() if verdict in _COMPOSED}

    def _rested_on(self, record: PeerRecord, composed: set[str]) -> set[str]:
        """Of what a log offers, what was composed, and what that was trained on."""
        found = set[str]()
        for offer in _facts(record).offers:
            if offer.update.adapter in composed:
                found.add(offer.update.adapter)
                with suppress(ModelError):  # then it was not composed either
                    found.update(NeededLists(self._folder, offer.update.parent).adapters())
        return found


def _after(known: DrawnStranger, found: Came) -> DrawnStranger:
    return structs.replace(
        known,
        received=known.received + found.received,
        outcome=found.outcome,
        offers=found.offers,
        fetched=found.fetched,
        why=found.why[:300],
    )


def _adapters(record: PeerRecord) -> set[str]:
    """The adapters that a log has made or offers."""
    facts = _facts(record)
    return {*facts.made, *(one.update.adapter for one in facts.offers)}


def _facts(record: PeerRecord) -> LogFacts:
    """What a log has come to; nothing where what is here of it is damaged."""
    try:
        return record.facts
    except StorageError:
        raise
    except (VerificationError, OSError):
        return LogFacts()
