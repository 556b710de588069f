"""Layer S2, *logs*: lives of those who want books to say more of them than is so, and of adaptive ones."""

from __future__ import annotations

__all__ = ["BOOK_LIVES", "tells_each_reader"]

from collections.abc import Callable

from cryoflux.network.books import Confirmation
from strategies.log_lives import Branch
from strategies.log_node import file_of
from strategies.log_verdicts import QUORUM, WORTH, Court, Verifier, guests_of, says
from strategies.log_world import LogWorld

_UPPER_UJ = 110_000_000
"""that an attempt truly took at most, µJ"""


def reads_levels(world: LogWorld, offers: int) -> None:
    """Offers what is near to the one of its updates of which verifiers published the highest level."""
    court = Court(world, offers)
    court.enter(late=False)
    court.judge_all([court.propose_one(world.own[0], WORTH)])
    best, level = 0.05, -1
    for _ in range(court.looks):
        delta = best + world.rng.gauss(0, 0.03)
        made = [court.propose_one(court.cheat, delta)]
        court.judge_all(made)
        world.until_pulled()
        books = world.readers[0].books(1)[court.cheat.origin]
        told = max(one.level for one in books.capsules if one.capsule == made[0][1].adapter)
        if told > level:
            best, level = delta, told
    world.told["lives in which a level was certified"] += level > 0
    court.end()


def trains_on_openings(world: LogWorld, offers: int) -> None:
    """Fits the guest holdouts that half of the verifiers have opened; those go on with new ones."""
    court = Court(world, offers)
    court.enter(late=False)
    court.judge_all([court.propose_one(world.own[0], WORTH)])
    for number, one in enumerate(court.verifiers[: len(court.verifiers) // 2]):
        one.open()
        one.node.says.lines = one.node.lines = guests_of(f"again {number}", world.seed)
        one.enter()
        world.show(one.node)
    court.judge_all(court.propose())  # what it fitted is no part of what they look at now
    court.end()


def _tells(share: float) -> Callable[[LogWorld, int], None]:
    """Says of its joules a part, or a multiple."""

    def life(world: LogWorld, offers: int) -> None:
        court = Court(world, offers, worth=WORTH)
        court.cheat.told = share
        court.sit()
        for record in world.readers[0].books(QUORUM)[court.cheat.origin].capsules:
            if record.level and record.level / record.upper_uj > 1.01 * record.level / _UPPER_UJ:
                world.harms["η is above what was spent"] += 1

    return life


def tries_unlogged(world: LogWorld, offers: int) -> None:
    """Tries in a log that nobody knows, and in its own announces more than it records."""
    court = Court(world, offers)
    hidden = world.node("hidden", listed=False)
    for number in range(offers):
        hidden.offer(file_of("hidden", number))
    for _ in range(3):
        court.cheat.log.announce()
    court.sit()
    if world.readers[0].books(QUORUM)[court.cheat.origin].upper_uj is not None:
        world.harms["η of what is not all recorded"] += 1


def splits_its_log(world: LogWorld, offers: int) -> None:
    """Keeps two logs: what is worth nothing goes into the one, what helps into both."""
    court = Court(world, offers)
    second = world.cheat("second")
    court.enter(late=False)
    court.judge_all([court.propose_one(world.own[0], WORTH)])
    made = [court.propose_one(court.cheat, WORTH * (number % 2)) for number in range(court.looks)]
    for _, offered in made[1::2]:
        world.copy(second, offered, offered.content)
    world.show(second)
    court.judge_all(made)
    court.end()
    books = world.readers[0].books(QUORUM)
    for node in (court.cheat, second):
        book = books[node.origin]
        right = sum(court.deltas[one.capsule] > 0 for one in book.capsules if one.counted)
        if book.holds_ppm / 1e6 > right / max(1, book.decided):
            world.harms["a share that does not hold"] += 1
    if any(one.standing is Confirmation.CONFIRMED for one in books[second.origin].capsules):
        world.harms["what helps is confirmed of two logs"] += 1


def washes(world: LogWorld, offers: int) -> None:
    """Has keys of its own, in logs of their own that readers know, adopt what it offers."""
    court = Court(world, offers)
    keys = []
    for number in range(max(4, offers // 2)):
        node = world.node(f"key{number}", lines=guests_of(f"key{number}", world.seed))
        world.cheats.append(node)
        keys.append(Verifier(node, says=lambda _delta, _said: 0.5, seals=True))
        keys[-1].enter()
        world.show(node)
    court.enter(late=False)
    made = court.propose()
    court.judge_all(made)
    for key in keys:
        for node, offered in made:
            if node is court.cheat:
                key.look(court.drawn, node, offered, 0.0, [])
        world.show(key.node)
    court.end()
    book = world.readers[0].books(QUORUM)[court.cheat.origin]
    world.told["used by, in all lives"] += max(one.used_by for one in book.capsules)
    if book.holds_ppm > 0:
        world.harms["a share that does not hold"] += 1


def tells_each_reader(world: LogWorld, offers: int) -> None:
    """A verifier that tells each reader another verdict, in entries that no witness has seen."""
    court = Court(world, offers)
    court.enter(late=False)
    made = court.propose()
    court.judge_all(made[1:])
    liar = court.verifiers.pop()
    world.cheats.append(liar.node)
    stories: dict[str, Branch] = {}
    for name, delta in (("one", 0.5), ("two", -0.5)):
        stories[name] = Branch(world, liar.node, name)
        told = Verifier(stories[name].node, says=says(delta), seals=True)
        told.look(court.drawn, *made[0], 0.0, [])
    world.sites[f"{liar.node.name}.example"] = lambda path, reader: stories[reader].site(path, reader)
    court.judge_all(made[:1])
    court.end()


BOOK_LIVES: dict[str, Callable[[LogWorld, int], None]] = {
    "levels": reads_levels,
    "openings of others": trains_on_openings,
    "joules ÷ 10": _tells(0.1),
    "joules × 10": _tells(10.0),
    "unlogged tries": tries_unlogged,
    "split log": splits_its_log,
    "wash adoption": washes,
    "per-reader verdicts": tells_each_reader,
}
"""name of a strategy → its life in real logs; the last is one more than the 56"""
