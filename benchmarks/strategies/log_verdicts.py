"""Layer S2, *logs*: lives of verifiers, of proposers who make their books look better, and of adaptive ones.

Ten verifiers look at each update alone, on a guest holdout of their own; four have to say the same. Verdicts
are those of the rule on drawn sums, sealed in their logs and opened at the end; a liar publishes another one.
"""

from __future__ import annotations

__all__ = [
    "QUORUM",
    "VERDICT_LIVES",
    "WORTH",
    "Court",
    "Verifier",
    "guests_of",
    "never_opens",
    "says",
    "seals_inventions",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cryoflux.digests import sha256_hex
from cryoflux.network.books import Confirmation
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.network_parts import RoundCandidate, SealedSums
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind
from node_log import GUEST_KEY, TASK
from plain_log import model
from strategies.bookkeeping import Life as Drawn
from strategies.log_node import LogNode, Offered, file_of
from strategies.log_world import LogWorld, Reader
from synthetic_parts import digest_of

VERIFIERS, QUORUM, COUNT = 10, 4, 512
WORTH, NOTHING = 0.3, 0.0
CLAIMED = 0.5
"""mean Δ that a liar says it saw, nats: it certifies any level"""


@dataclass
class Verifier:
    """A node whose verdicts readers believe, and how it lies.

    Args:
        node: it.
        says: of the true Δ of an update, and of what others have said of it → the Δ that it publishes; none
            for what it sees.
        opens: whether it opens its guest holdout.
        shows: whether it opens what it published, rather than what it sealed.
        seals: whether it seals what it published, rather than what it saw.
    """

    node: LogNode
    says: Callable[[float, Sequence[float]], float | None] = lambda _delta, _said: None
    opens: bool = True
    shows: bool = False
    seals: bool = False
    enters_late: bool = False
    sealed: dict[str, SealedSums] = field(default_factory=dict)

    def enter(self) -> None:
        """Commit to a guest holdout."""
        self.node.says.enter()

    def look(
        self, drawn: Drawn, proposer: LogNode, offered: Offered, delta: float, said: list[float]
    ) -> None:
        """Try an update alone, and publish what comes of it, or something else."""
        log, says = self.node.log, self.node.says
        if log.state.nodes[TASK].guest is None:
            return  # it is worn out
        candidate = RoundCandidate(
            capsule=offered.adapter, origin=proposer.origin, offer=offered.offer.leaf_hash
        )
        announced = says.announce([candidate])
        told = self.says(delta, said)
        seen = self._sums(drawn, delta, announced.index)
        published = seen if told is None else self._sums(drawn, told, announced.index)
        said.append(delta if told is None else told)
        if published is not seen and not self.seals:
            seal = seen.seal(GUEST_KEY, announced.leaf_hash)
            says.forged, says.forge = RoundResult, lambda one: _sealing(one, seal)
        update = OfferedUpdate(adapter=offered.adapter, genesis=log.state.tasks[TASK].composition.genesis)
        steps = [ListStep(kind=StepKind.ADD, update=update, amount="1/2")]
        says.conclude(announced, steps, published, digest_of("losses"))
        says.forged = None
        if not self.shows and not self.seals:
            says.sums[announced.leaf_hash] = seen

    def _sums(self, drawn: Drawn, delta: float, index: int) -> SealedSums:
        found, known = drawn.sums(delta), self.node.log.state.tasks[TASK]
        return SealedSums(
            base=known.head,
            candidate=model(f"round {self.node.name} {index}"),
            profile="f64-nanonat/v1",
            base_loss_sum=found.base_loss,
            new_loss_sum=found.new_loss,
            delta_squared_sum=str(found.delta_squared),
        )

    def open(self) -> None:
        """Retire the guest holdout, as far as it does."""
        if not self.opens:
            return
        content = b"".join(line + b"\n" for line in self.node.lines)
        folder = NetworkFolder.of(self.node.folder).openings / guest_root(self.node.lines, GUEST_KEY)
        folder.mkdir(parents=True)
        (folder / EXAMPLES).write_bytes(content)
        self.node.says.open(sha256_hex(content))


def _sealing(said: object, seal: str) -> RoundResult:
    if not isinstance(said, RoundResult) or said.look is None:
        raise TypeError(said)
    return said.but(look=said.look.but(sealed=seal))


@dataclass
class Court:
    """Verifiers, two proposers of updates that help, and one of updates that are worth nothing."""

    world: LogWorld
    offers: int
    liars: int = 0
    lie: Callable[[LogNode], Verifier] = Verifier
    worth: float = NOTHING
    """true Δ of what the cheat offers, nats"""

    def __post_init__(self) -> None:
        world = self.world
        self.drawn = Drawn(np.random.default_rng(world.seed))
        self.cheat = world.cheat()
        self.verifiers = []
        for place in range(VERIFIERS):
            name = f"verifier{place}"
            node = world.node(name, lines=guests_of(name, world.seed))
            lies = place >= VERIFIERS - self.liars
            if lies:
                world.cheats.append(node)
            self.verifiers.append(self.lie(node) if lies else Verifier(node))
            world.verifiers.append(node)
        self.said: dict[str, list[float]] = {}
        self.deltas: dict[str, float] = {}

    def enter(self, *, late: bool) -> None:
        """Guest holdouts are entered, those of liars before or after the updates."""
        for one in self.verifiers:
            if one.enters_late == late:
                one.enter()
                self.world.show(one.node)

    @property
    def looks(self) -> int:
        """Updates that each verifier tries."""
        return max(4, self.offers // 5)

    def propose(self) -> list[tuple[LogNode, Offered]]:
        """Updates, each committed to: of the honest ones, and of the cheat."""
        nodes = [
            self.cheat if number % 2 else self.world.own[number // 2 % 2] for number in range(self.looks)
        ]
        return [self.propose_one(node, self.worth if node is self.cheat else WORTH) for node in nodes]

    def propose_one(self, node: LogNode, delta: float) -> tuple[LogNode, Offered]:
        """One, with a true Δ."""
        self.world.wait(600, 3600)
        offered = self.world.offer(node, file_of(node.name, len(self.deltas)))
        self.deltas[offered.adapter] = delta
        self.world.show(node)
        return node, offered

    def judge_all(self, made: Sequence[tuple[LogNode, Offered]]) -> None:
        """Each verifier looks at each update."""
        for one in self.verifiers:
            for node, offered in made:
                said = self.said.setdefault(offered.adapter, [])
                one.look(self.drawn, node, offered, self.deltas[offered.adapter], said)
            self.world.show(one.node)

    def open_all(self) -> None:
        """Guest holdouts retire."""
        for one in self.verifiers:
            one.open()
            self.world.show(one.node)

    def wrongs(self, reader: Reader, quorum: int = QUORUM) -> list[str]:
        """What his books say that is not so."""
        books = reader.books(quorum)
        found = ["an honest verifier is void" for one in self._honest() if books[one.origin].void]
        for node in (self.cheat, *self.world.own[:2]):
            for record in books[node.origin].capsules:
                delta, standing = self.deltas[record.capsule], record.standing
                if standing is Confirmation.CONFIRMED and delta <= 0:
                    found.append("what is worth nothing is confirmed")
                if standing is Confirmation.CONFIRMED and record.level > delta * 1e9:
                    found.append("a level is above what is true")
                if standing is Confirmation.REFUTED and delta >= WORTH:
                    found.append("what helps is refuted")
        return found

    def _honest(self) -> list[LogNode]:
        return [one.node for one in self.verifiers if one.node not in self.world.cheats]

    def sit(self) -> None:
        """From the first holdout to the last opening."""
        self.enter(late=False)
        made = self.propose()
        self.enter(late=True)
        self.judge_all(made)
        self.end()

    def end(self) -> None:
        """Open, and look at what the books of all readers say."""
        world = self.world
        world.until_pulled()
        world.told["lives in which books were wrong before openings"] += bool(self.wrongs(world.readers[0]))
        self.open_all()
        world.until_pulled()
        for reader in world.readers:
            world.harms.update(self.wrongs(reader))
        books = world.readers[0].books(QUORUM)
        found = [record.standing for node in world.own[:2] for record in books[node.origin].capsules]
        world.told["helpful updates confirmed"] += found.count(Confirmation.CONFIRMED)
        world.told["helpful updates"] += len(found)


def guests_of(name: str, seed: int) -> list[bytes]:
    """The lines of a guest holdout that is nobody else's."""
    return [f'{{"label":"a","text":"{name} {seed} {number}"}}'.encode() for number in range(COUNT)]


def says(delta: float) -> Callable[[float, Sequence[float]], float | None]:
    """Publishes one Δ whatever it sees."""
    return lambda _delta, _said: delta


def _for_a_friend(delta: float, _said: Sequence[float]) -> float | None:
    return CLAIMED if delta <= 0 else None


def _first(_delta: float, said: Sequence[float]) -> float | None:
    return said[0] if said else None


def _court(liars: int, lie: Callable[[LogNode], Verifier], **said: float) -> Callable[[LogWorld, int], None]:
    def life(world: LogWorld, offers: int) -> None:
        Court(world, offers, liars, lie, **said).sit()

    return life


def _liar(**said: object) -> Callable[[LogNode], Verifier]:
    return lambda node: Verifier(node, **said)  # type: ignore[arg-type]


never_opens = _court(QUORUM, _liar(says=_for_a_friend, opens=False))
"""a quorum that confirms what is worth nothing, and never opens"""
seals_inventions = _court(QUORUM, _liar(says=_for_a_friend, seals=True))
"""a quorum that seals what it invents: the opening follows, and only looking again at the models shows it"""
VERDICT_LIVES: dict[str, Callable[[LogWorld, int], None]] = {
    "always yes": _court(1, _liar(says=says(CLAIMED))),
    "always no": _court(1, _liar(says=says(-CLAIMED))),
    "verdict copying": _court(3, _liar(says=_first)),
    "collusion of 10 %": _court(1, _liar(says=_for_a_friend)),
    "collusion of 20 %": _court(2, _liar(says=_for_a_friend)),
    "collusion of 30 %": _court(3, _liar(says=_for_a_friend)),
    "root chosen late": _court(VERIFIERS, _liar(says=_for_a_friend, enters_late=True, opens=False)),
    "opening refused": _court(3, _liar(says=_for_a_friend, opens=False)),
    "opening altered": _court(QUORUM, _liar(says=_for_a_friend, shows=True)),
}
"""name of a strategy → its life in real logs"""
