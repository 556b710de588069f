"""Layer S3, *models*: what a world is asked, part by part, and what was counted, as lines of a file."""

from __future__ import annotations

__all__ = ["LONG_PARTS", "PARTS", "Found", "Power", "found_in", "read_found"]

import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from cryoflux.decision.levels import LEVELS, RoundBudget
from cryoflux.decision.power import power
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, StepKind, after
from strategies.looks import levels_of
from strategies.measuring import SPREAD_BY_ROOT
from strategies.model_adaptive import ADAPTIVE, ROUNDS, SEARCHERS, forty_rounds
from strategies.model_backdoors import BACKDOORS, Survey, survey
from strategies.model_lives import GUESTS, Counted, living, two_rounds
from strategies.model_node import ALPHA_PPM
from strategies.model_offers import (
    CHEATS,
    FOUR,
    HONEST_UPDATES,
    Stall,
    honest_offers,
    leaked_offers,
    worthless_offer,
)
from strategies.model_world import ModelWorld
from strategies.world import Array

LONG_PARTS = frozenset({"adaptive", "beyond", "spoiling"})
"""those with lives of forty rounds"""
_DRAWS, _NULL_DRAWS = 400, 4000
_SMALLER = ("1", "1/2", "1/4", "1/10", "1/20")
"""weights at which an honest update is worth more or less"""
_BARS = [RoundBudget(ALPHA_PPM, looks, looks).needed_milli for looks in (0, 1)]
"""of look 1, and of look 2 after an acceptance"""


@dataclass
class Power:
    """How often one look finds real updates, each at some weights."""

    delta: list[float] = field(default_factory=list)
    """true, nats"""
    spread: list[float] = field(default_factory=list)
    """between texts, nats"""
    first: list[float] = field(default_factory=list)
    """share of guest holdouts on which look 1 finds it"""
    second: list[float] = field(default_factory=list)
    """the same of look 2 after an acceptance"""
    predicted: list[float] = field(default_factory=list)
    """of look 1, where δ were spread normally"""
    drawn: list[float] = field(default_factory=list)
    """of look 1, with the spread that layer S1 draws for that Δ"""
    null: list[float] = field(default_factory=list)
    """share of guest holdouts on which look 1 finds it where its mean is taken off every δ"""

    def __add__(self, other: Power) -> Power:
        return Power(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})


_KINDS: dict[str, type[Counted | Survey | Power]] = {"backdoor": Survey, "power": Power}


@dataclass(frozen=True)
class Found:
    """What one part has counted of one strategy in one world."""

    seed: int
    part: str
    name: str
    counted: Counted | Survey | Power

    @property
    def line(self) -> str:
        """As a file has it."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def read_found(path: Path) -> list[Found]:
    """What a file holds."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        kind, said = _KINDS.get(row["part"], Counted), row["counted"]
        if kind is Survey:
            said["counted"] = Counted(**said["counted"])
        found.append(Found(row["seed"], row["part"], row["name"], kind(**said)))
    return found


def found_in(world: ModelWorld, lives: int, parts: Iterable[str]) -> Iterator[Found]:
    """All that some parts count in a world, as it comes.

    Args:
        world: whose genesis and offers.
        lives: of each strategy among honest offers, each with a guest holdout and a search set of its own.
        parts: names.
    """
    stall = Stall(world)
    for part in parts:
        for name, counted in _PARTS[part](stall, lives):
            yield Found(world.seed, part, name, counted)


def _rng(stall: Stall, *what: object) -> np.random.Generator:
    return np.random.default_rng([stall.world.seed, zlib.crc32(repr(what).encode())])


def _alone(stall: Stall, lives: int) -> Iterator[tuple[str, Counted]]:
    """Each strategy with four honest offers."""
    for name, make in CHEATS.items():
        counted = Counted()
        for life in range(lives):
            rng = _rng(stall, name, life)
            with living(stall.world, counted, rng) as one:
                two_rounds(one, honest_offers(stall), make(stall, rng))
        yield name, counted


def _mixed(stall: Stall, lives: int) -> Iterator[tuple[str, Counted]]:
    """Four honest offers and four cheats of any kind."""
    counted, names = Counted(), list(CHEATS)
    for life in range(2 * lives):
        rng = _rng(stall, "mixed", life)
        made = {}
        for at in rng.permutation(len(names)):
            for one in CHEATS[names[at]](stall, rng)[:1]:
                made.setdefault(one.adapter, one)
            if len(made) == FOUR:
                break
        with living(stall.world, counted, rng) as one_life:
            two_rounds(one_life, honest_offers(stall), list(made.values()))
    yield "any", counted


def _leaked(stall: Stall, lives: int) -> Iterator[tuple[str, Counted]]:
    """Whoever trains on the guest holdout, and on the search set too."""
    rows = [stall.world.pool[row] for row in stall.world.parts["public"]]
    for name, both in (("guest holdout", False), ("guest holdout and search set", True)):
        counted = Counted()
        for life in range(lives):
            with living(
                stall.world, counted, _rng(stall, name, life), guest=rows, search=rows if both else ()
            ) as one:
                two_rounds(one, [], leaked_offers(stall))
        yield name, counted


def _backdoors(stall: Stall, lives: int) -> Iterator[tuple[str, Survey]]:
    for name in BACKDOORS:
        for guarded in (False, True):
            found = Survey()
            for life in range(lives):
                found += survey(stall, name, _rng(stall, name, guarded, life), guarded=guarded)
            yield f"{name}, {'guarded' if guarded else 'unguarded'}", found


def _adaptive(stall: Stall, _lives: int) -> Iterator[tuple[str, Counted]]:
    for name in ADAPTIVE:
        yield name, forty_rounds(stall, name, _rng(stall, name))


def _beyond(stall: Stall, _lives: int) -> Iterator[tuple[str, Counted]]:
    for name in SEARCHERS:
        yield name, forty_rounds(stall, name, _rng(stall, name))


def _spoiling(stall: Stall, _lives: int) -> Iterator[tuple[str, Counted]]:
    """A round of honest offers, and then one of a worthless offer again and again."""
    name, counted, world = "worthless offers", Counted(), stall.world
    rng = _rng(stall, name)
    with living(world, counted, rng) as life:
        life.round(honest_offers(stall))
        for number in range(1, ROUNDS):
            if life.node.tally is not None:
                life.round([worthless_offer(stall, number, rng)])
    yield name, counted


def _power(stall: Stall, _lives: int) -> Iterator[tuple[str, Power]]:
    """Honest updates on many guest holdouts of the population."""
    world, found, rng = stall.world, Power(), _rng(stall, "power")
    genesis = Composition(genesis=world.genesis)
    for offer in honest_offers(stall, HONEST_UPDATES):
        for amount in _SMALLER:
            step = ListStep(kind=StepKind.ADD, update=offer.update, amount=amount)
            gained = world.gained(genesis, after(genesis, [step]))
            delta, spread = float(gained.mean()), float(gained.std())
            if delta > 0:
                found.delta.append(delta)
                found.spread.append(spread)
                shares = _shares(gained, _DRAWS, rng)
                found.first.append(shares[0])
                found.second.append(shares[1])
                over = delta - LEVELS[0] / 1e9
                found.predicted.append(power(GUESTS, spread, over, _BARS[0]))
                found.drawn.append(power(GUESTS, SPREAD_BY_ROOT * math.sqrt(delta), over, _BARS[0]))
            if amount == "1":
                found.null.append(_shares(gained - delta, _NULL_DRAWS, rng, least=False)[0])
    yield "honest updates", found


def _shares(gained: Array, draws: int, rng: np.random.Generator, *, least: bool = True) -> list[float]:
    """Share of guest holdouts on which a look passes, by each bar.

    Args:
        gained: by the texts of the population, nats.
        draws: guest holdouts.
        rng: draws them.
        least: passes where the lowest level is certified; else where Σδ is above zero for sure.
    """
    drawn = gained[rng.integers(len(gained), size=(draws, GUESTS))]
    total, squares = drawn.sum(1), (drawn**2).sum(1)
    found = []
    for bar in _BARS:
        needed = np.full(draws, bar)
        if least:
            passed = levels_of(total, squares, GUESTS, needed) > 0
        else:
            passed = (total > 0) & (total**2 * 1000 > needed * squares)
        found.append(float(passed.mean()))
    return found


_Part = Callable[[Stall, int], Iterator[tuple[str, Counted | Survey | Power]]]
_PARTS: dict[str, _Part] = {
    "alone": _alone,
    "mixed": _mixed,
    "backdoor": _backdoors,
    "leak": _leaked,
    "power": _power,
    "adaptive": _adaptive,
    "beyond": _beyond,
    "spoiling": _spoiling,
}
PARTS = list(_PARTS)
