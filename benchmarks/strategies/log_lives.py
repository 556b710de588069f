"""Layer S2, *logs*: lives of those who copy, and of those who lie about their own log.

Each life is one network of `log_world`, in which honest nodes go on while somebody tries something. What may
not come of it is looked at by `LogWorld.judge`, the same for all.
"""

from __future__ import annotations

__all__ = ["LOG_LIVES", "Branch", "Life", "dates_back", "dates_forward"]

import shutil
from collections.abc import Callable
from functools import partial

import numpy as np

from cryoflux.network.head_times import all_heads
from cryoflux.network.similarity import Direction
from cryoflux.receipts.checkpoint import Note, NoteSignature, cosign
from cryoflux.registry.compose import LowRank
from cryoflux.registry.composition import Term, list_digest
from cryoflux.witness.cosigned import parse_heads
from strategies.log_node import LogNode, Offered, file_of
from strategies.log_world import LogWorld, Reader, tree_site

Life = Callable[[LogWorld, int], None]
"""of a network, and how many updates honest nodes offer in it"""
_SIDE, _RANK = 16, 4
_DAY_S = 86_400


def copies_bytes(world: LogWorld, offers: int) -> None:
    """Offers the files of others under its own name, with a label of the day before."""
    cheat = world.cheat()
    for node in world.live(offers):
        world.wait(60, 7200)
        original = world.rng.choice(node.offered)
        world.copy(cheat, original, original.content, _DAY_S)
        world.show(cheat)
    world.until_pulled()


def turns_factors(world: LogWorld, offers: int) -> None:
    """The same in other bytes, whose product is the original's: the copy screen looks at both."""
    cheat, draw = world.cheat(), np.random.default_rng(world.seed)
    for node in world.live(offers):
        for one in node.offered:
            if one.adapter not in world.moves:
                world.moves[one.adapter] = _drawn(draw)
        world.wait(60, 7200)
        original = world.rng.choice(node.offered)
        turned = world.copy(cheat, original, original.content + b" turned", _DAY_S)
        world.moves[turned.adapter] = _turned(world.moves[original.adapter], draw)
        world.show(cheat)
    world.until_pulled()


def _drawn(draw: np.random.Generator) -> Direction:
    a, b = draw.normal(size=(_RANK, _SIDE)), draw.normal(size=(_SIDE, _RANK))
    return _direction(a, b)


def _turned(of: Direction, draw: np.random.Generator) -> Direction:
    turn, factors = draw.normal(size=(_RANK, _RANK)), of.low_rank["w"]
    return _direction(np.linalg.inv(turn) @ factors.a, factors.b @ turn)


def _direction(a: np.ndarray, b: np.ndarray) -> Direction:
    a, b = (np.ascontiguousarray(factor, dtype=np.float32) for factor in (a, b))
    return Direction({"w": LowRank(a, b, 1.0)})


def races(world: LogWorld, offers: int) -> None:
    """Has an intent in its log before anybody commits, and copies what it sees within seconds.

    Where a log shows what no quorum has cosigned, it commits to what it sees there before its owner can.
    """
    cheat = world.cheat()
    waiting = [cheat.log.announce()]
    world.show(cheat)
    seen: dict[str, Offered] = {}

    def commits_first(_node: LogNode, offered: Offered) -> None:
        made = cheat.commit_to(offered.adapter)
        cheat.commit()
        seen[offered.adapter] = Offered(offered.adapter, offered.content, made, made)

    world.leaks = commits_first
    for node in world.live(offers):
        world.wait(5, 30)
        for original in node.offered[-3:]:
            if original.adapter in world.copies:
                continue
            world.copies[original.adapter] = original.adapter
            if (before := seen.get(original.adapter)) is not None:
                cheat.keep_files(original.adapter, original.content)
                cheat.offer_made(before.made, original.content)
            else:
                made = cheat.train(original.content, announced=waiting.pop() if waiting else None)
                cheat.offer_made(made, original.content)
        world.show(cheat)
        waiting = waiting or [cheat.log.announce()]
    world.until_pulled()


class Branch:
    """A second story of a log, told with its keys: it goes on from where the log is now.

    Args:
        world: where.
        node: whose log it is.
        name: of its folder.
        conspires: whether one witness of three signs its heads, beside its memory.
    """

    def __init__(self, world: LogWorld, node: LogNode, name: str, *, conspires: bool = False) -> None:
        place = world.folder / "branches" / name
        shutil.copytree(node.folder, place)
        self.node = LogNode(place, node.name, node.policy, node.seers, node.lines)
        self._seer = world.seers[0] if conspires else None
        self._world = world
        heads = self.node.public / "log" / "heads"
        self._heads = list(parse_heads(heads.read_bytes())) if heads.is_file() else []
        world.closing.callback(self.node.close)

    def tell(self, content: bytes) -> None:
        """Go on, and sign that."""
        self.node.offer(content)
        note, lines = self.node.head, list[NoteSignature]()
        if (seer := self._seer) is not None:
            lines = [cosign(note.checkpoint, seer.witness.key.name, seer.key, self._world.now_s)]
            self._heads.append(Note(note.checkpoint, (*note.signatures, *lines)))

    def site(self, path: str, _reader: str) -> bytes | None:
        """Its files as their owner would show them: the newest head above all, whoever has seen it."""
        if path == "log/checkpoint":
            return self._heads[-1].content if self._seer is not None else self.node.head.content
        if path == "log/heads":
            return all_heads(self._heads)
        place = (self.node.folder if path.startswith("log/") else self.node.public) / path
        return place.read_bytes() if place.is_file() else None


def _late(world: LogWorld) -> None:
    """Somebody who begins to pull only now."""
    world.readers.append(Reader(world, "late"))


def truncates(world: LogWorld, offers: int) -> None:
    """Goes back to before what went wrong, and on from there, with whatever heads it can sign."""
    cheat, turn, name = world.cheat(), 2, "cheat.example"
    branch, true = None, world.sites[name]
    for number, _node in enumerate(world.live(offers)):
        world.offer(cheat, file_of("cheat", number))
        world.show(cheat)
        if number == turn:
            branch = Branch(world, cheat, "short")
        if branch is not None and number > turn:
            world.sites[name] = branch.site if number % 2 else true
            if number > turn + 2:  # until then it only goes back
                branch.tell(file_of("better", number))
                if branch.node.commit(world.answering(cheat)):
                    world.harms["two histories have a quorum"] += 1
    if branch is not None:
        world.sites[name] = branch.site
    _late(world)
    world.until_pulled()


def forks(world: LogWorld, offers: int) -> None:
    """Tells two stories in turn, one of which a witness signs that is its own."""
    cheat, name = world.cheat(), "cheat.example"
    branch: Branch | None = None
    for number, _node in enumerate(world.live(offers)):
        world.offer(cheat, file_of("cheat", number))
        world.show(cheat)
        if branch is not None:
            branch.tell(file_of("other", number))
            world.sites[name] = branch.site if number % 2 else partial(tree_site, cheat)
        if number == 1:
            branch = Branch(world, cheat, "other", conspires=True)
    _late(world)
    world.until_pulled()


def per_reader(world: LogWorld, offers: int) -> None:
    """Shows each reader a story of his own; a witness that is its own signs both."""
    cheat = world.cheat()
    branch: Branch | None = None

    def site(path: str, reader: str) -> bytes | None:
        shown = branch if reader == "two" else None
        return shown.site(path, reader) if shown is not None else tree_site(cheat, path, reader)

    world.sites["cheat.example"] = site
    for number, _node in enumerate(world.live(offers)):
        world.offer(cheat, file_of("cheat", number))
        world.show(cheat)
        if branch is not None:
            branch.tell(file_of("other", number))
        if number == 1:
            branch = Branch(world, cheat, "other", conspires=True)
    world.until_pulled()


def dates_back(world: LogWorld, offers: int, after_s: tuple[int, int] = (660, 7200)) -> None:
    """Copies bytes, and dates the heads over them ten days back: by a witness of its own, and by altering."""
    cheat, seer, begun_s = world.cheat(), world.seers[0], world.now_s

    def dated(note: Note) -> list[NoteSignature]:
        """Under each head that it publishes: one early line by a true key, and one that was altered."""
        early = cosign(note.checkpoint, seer.witness.key.name, seer.key, begun_s - 10 * _DAY_S)
        other = world.seers[1].witness.key
        return [early, NoteSignature(other.name, other.id, early.signature)]

    def site(path: str, reader: str) -> bytes | None:
        content = tree_site(cheat, path, reader)
        if path != "log/heads" or content is None:
            return content
        return all_heads(
            [Note(one.checkpoint, (*one.signatures, *dated(one))) for one in parse_heads(content)]
        )

    world.sites["cheat.example"] = site
    for node in world.live(offers):
        world.wait(*after_s)
        original = node.offered[-1]
        world.copy(cheat, original, original.content, 10 * _DAY_S)
        world.show(cheat)
    world.until_pulled()


def dates_forward(world: LogWorld, offers: int) -> None:
    """Copies bytes, and has a witness of its own that dates everybody else's heads an hour ahead."""
    cheat = world.cheat()
    world.seers[0].dates_ahead = {node.origin: 3600 for node in world.own}
    for node in world.live(offers):
        world.wait(5, 300)
        world.copy(cheat, node.offered[-1], node.offered[-1].content)
        world.show(cheat)
    world.until_pulled()


def withholds(world: LogWorld, offers: int, part: str = "capsules/") -> None:
    """Offers what one of the readers, or nobody, can have."""
    cheat = world.cheat()

    def site(path: str, reader: str) -> bytes | None:
        kept = path.startswith(part) and (reader == "two" or world.seed % 2)
        return None if kept else tree_site(cheat, path, reader)

    world.sites["cheat.example"] = site
    for number, _node in enumerate(world.live(offers)):
        world.offer(cheat, file_of("cheat", number))
        world.show(cheat)
    world.until_pulled()


def withholds_parent(world: LogWorld, offers: int) -> None:
    """Trains on what nobody can have: lists that it does not show, of adapters that no log has made."""
    cheat = world.cheat()
    for number, _node in enumerate(world.live(offers)):
        below = list_digest((Term(weight="1", adapter=f"{number + 1:064x}", parent=list_digest(())),))
        parent = (Term(weight="1", adapter=f"{number:064x}", parent=below),)
        made = cheat.train(file_of("cheat", number), parent)
        cheat.offer_made(made, file_of("cheat", number), parent)
        world.show(cheat)
    world.until_pulled()


def reveals_late(world: LogWorld, offers: int) -> None:
    """Is cosigned early, is nowhere to be seen, and shows all of it when the others' work is in."""
    cheat, hidden = world.cheat(), True
    world.sites["cheat.example"] = lambda path, reader: None if hidden else tree_site(cheat, path, reader)
    for number, node in enumerate(world.live(offers)):
        world.offer(cheat, file_of("cheat", number))
        if number:
            original = world.rng.choice(node.offered)
            world.copy(cheat, original, original.content)
        world.show(cheat)
    hidden = False
    world.until_pulled()


def hangs_in_circles(world: LogWorld, offers: int) -> None:
    """Brings lists that hang below themselves, too deep, or are others than their names."""
    cheat = world.cheat()
    lists: dict[str, bytes] = {}
    depth = 40

    def site(path: str, reader: str) -> bytes | None:
        return lists.get(path) or tree_site(cheat, path, reader)

    world.sites["cheat.example"] = site
    for number, _node in enumerate(world.live(offers)):
        terms: tuple[Term, ...] = ()
        for level in range(depth if number % 2 else 1):
            terms = (Term(weight="1", adapter=f"{depth * number + level:064x}", parent=list_digest(terms)),)
            lists[f"lists/{list_digest(terms)}"] = "".join(one.line for one in terms).encode()
        below = f"{number:064x}"
        above = (Term(weight="1", adapter="ab" * 32, parent=list_digest(terms) if number % 2 else below),)
        lists[f"lists/{below}"] = "".join(one.line for one in above).encode()  # names what names it
        made = cheat.train(file_of("cheat", number), above)
        cheat.offer_made(made, file_of("cheat", number), above)
        world.show(cheat)
    world.until_pulled()


LOG_LIVES: dict[str, Life] = {
    "bytes": copies_bytes,
    "gauge": turns_factors,
    "front-run intent": races,
    "truncation": truncates,
    "fork": forks,
    "per-reader view": per_reader,
    "back-dating": dates_back,
    "withheld adapter": withholds,
    "withheld parent": withholds_parent,
    "late reveal": reveals_late,
    "list cycle": hangs_in_circles,
}
"""name of a strategy → its life in real logs"""
