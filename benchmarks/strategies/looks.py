"""Layer S1, *looks*: one guest holdout, its real error budget, and whoever proposes to it, look after look.

What is proposed goes straight to the guest holdout: neither copy screen nor search stand in its way, which is
the worst case for the rule. It is told exactly what a log publishes of a round: the bit, of an acceptance the
level, joules and seconds, and knows everything else of the world but the holdout's examples. A life ends
when its budget is exhausted, as a guest holdout retires then.

The bar is that of `RoundBudget` itself. Verdicts are computed for all lives at once, in floats; each
acceptance, each look near the bar and one in 64 of the others is judged again by `certified_level` in
integers, and a difference ends the simulation.
"""

from __future__ import annotations

__all__ = ["ALPHA_PPM", "Ended", "Lives", "Protocol", "Seat", "Told"]

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.levels import LEVELS, RoundBudget, certified_level
from strategies.world import Array, Sample, World, drawn_sample

ALPHA_PPM = 10_000
_NANO = 1_000_000_000
_BASE = 10 * _NANO
"""loss of the head on an example, nano-nats: only differences count"""
_ONE_IN = 64
_NEAR = 1e-6
_SECONDS_AN_EXAMPLE, _JOULES_AN_EXAMPLE = 0.0004, 0.0013


@dataclass(frozen=True)
class Protocol:
    """What the network does; each field that is not as it is by default takes one defence away."""

    count: int = 512
    """examples of the guest holdout"""
    budgeted: bool = True
    """whether the bar rises with looks and acceptances"""
    per_key: int = 1
    """keys that have an error budget of their own each"""
    publishes_delta: bool = False
    """whether Δ is published, in place of a bit and a level"""
    reads_all: bool = True
    """whether a look reads all examples; else it stops half-way where Σδ is not above zero by then"""
    leaked: bool = False
    """whether a proposer has half of the guest holdout's examples"""


@dataclass(frozen=True)
class Told:
    """What the log of the judging node publishes of a round: arrays over lives."""

    accepted: Array
    level: Array
    """nano-nats; 0 where nothing was accepted"""
    joules: Array
    seconds: Array
    delta: Array | None = None
    """the mean that the holdout showed; none, because it stays sealed"""


@dataclass
class Seat:
    """Where a strategy sits: what it knows before a look."""

    world: World
    protocol: Protocol
    rng: np.random.Generator
    public: Sample
    """a public holdout, of the same kind of examples"""
    leaked: Sample | None = None
    """examples of the guest holdout that it has; none where the protocol keeps them"""
    told: list[Told] = field(default_factory=list)
    needed: Array = field(default_factory=lambda: np.zeros(0))
    """S²/V that the look needs: the bar follows from what the log says"""
    memory: dict[str, Array] = field(default_factory=dict)
    """what the strategy keeps for itself"""

    @property
    def look(self) -> int:
        """Looks before this one."""
        return len(self.told)


Strategy = Callable[[Seat], Array]
"""what proposes the next moves"""


@dataclass
class Ended:
    """How lives ended."""

    lives: int
    harmful: int = 0
    """lives in which a head whose true Δ is not above zero was adopted"""
    overstated: int = 0
    """lives in which a level was certified that the true Δ does not exceed"""
    looks: int = 0
    accepted: int = 0
    checked: int = 0
    """looks that the rule itself judged again"""

    def __add__(self, other: Ended) -> Ended:
        mine, theirs = vars(self), vars(other)
        return Ended(**{name: mine[name] + theirs[name] for name in mine})


@cache
def _needed(looks: int, kept: int) -> int:
    return RoundBudget(ALPHA_PPM, looks, kept).needed_milli


@cache
def _exhausted(looks: int, kept: int) -> bool:
    return RoundBudget(ALPHA_PPM, looks, kept).exhausted


class Lives:
    """Many lives of a guest holdout with one strategy."""

    def __init__(self, seed: int, lives: int, flat: int, protocol: Protocol | None = None) -> None:
        self._protocol = protocol or Protocol()
        rng = np.random.default_rng(seed)
        world, count = World.drawn(rng, lives, flat), self._protocol.count
        axes = world.goal.shape[1]
        self._first = drawn_sample(rng, lives, axes, count // 2)
        self._second = drawn_sample(rng, lives, axes, count - count // 2)
        self._guest = _together(self._first, self._second)
        self._seat = Seat(world, self._protocol, rng, drawn_sample(rng, lives, axes, count))
        self._seat.leaked = self._first if self._protocol.leaked else None
        keys = (self._protocol.per_key, lives)
        self._looks, self._kept = np.zeros(keys, int), np.zeros(keys, int)

    def lived(self, strategy: Strategy, looks: int) -> Ended:
        """Let a strategy propose so many times."""
        seat, lives = self._seat, self._seat.world.lives
        ended, harmful, overstated = Ended(lives), np.zeros(lives, bool), np.zeros(lives, bool)
        for number in range(looks):
            key = number % self._protocol.per_key
            needed, open_ = self._bar(key)
            if not open_.any():
                break
            seat.needed = needed / 1000
            moves = strategy(seat)
            delta = seat.world.delta(moves)
            told, level = self._look(moves, delta, needed, open_, ended)
            accepted = level > 0
            harmful |= accepted & (delta <= 0)
            overstated |= accepted & (level / _NANO >= delta)
            seat.world.head += np.where(accepted[:, None], moves, 0)
            self._looks[key] += open_
            self._kept[key] += accepted
            seat.told.append(told)
            ended.looks += int(open_.sum())
            ended.accepted += int(accepted.sum())
        ended.harmful, ended.overstated = int(harmful.sum()), int(overstated.sum())
        return ended

    @property
    def told(self) -> list[Told]:
        """What was published, look by look."""
        return self._seat.told

    def _bar(self, key: int) -> tuple[Array, Array]:
        """What the next look of each life needs, thousandths, and which lives still have looks."""
        if not self._protocol.budgeted:
            return np.full(self._looks.shape[1], _needed(0, 0)), np.ones(self._looks.shape[1], bool)
        pairs = list(zip(self._looks[key].tolist(), self._kept[key].tolist(), strict=True))
        needed = np.array([_needed(*pair) for pair in pairs])
        return needed, ~np.array([_exhausted(*pair) for pair in pairs])

    def _look(
        self, moves: Array, delta: Array, needed: Array, open_: Array, ended: Ended
    ) -> tuple[Told, Array]:
        total, squares = self._guest.shown(moves, delta)
        read = np.full(len(delta), self._protocol.count)
        if not self._protocol.reads_all:
            stopped = self._first.shown(moves, delta)[0] <= 0
            read[stopped] //= 2
            open_ = open_ & ~stopped
        level = np.where(open_, levels_of(total, squares, self._protocol.count, needed), 0)
        ended.checked += self._agreed(total, squares, needed, level, open_)
        shown = total / self._protocol.count if self._protocol.publishes_delta else None
        cost = read * _JOULES_AN_EXAMPLE, read * _SECONDS_AN_EXAMPLE
        return Told(level > 0, level, *cost, shown), level

    def _agreed(self, total: Array, squares: Array, needed: Array, level: Array, open_: Array) -> int:
        """How many of the verdicts the rule judged again; they have to be the same."""
        evidence = total**2 * 1000 / np.maximum(squares, 1e-300)
        near = np.abs(evidence / needed - 1) < _NEAR
        again = open_ & ~near & ((level > 0) | (self._seat.rng.random(len(level)) < 1 / _ONE_IN))
        for place in np.flatnonzero(again):
            due = certified_level(
                in_integers(total[place], squares[place], self._protocol.count), int(needed[place])
            )
            if due != level[place]:
                raise AssertionError(f"the rule certifies {due}, the simulation {level[place]}")
        for place in np.flatnonzero(open_ & near):
            evidence_here = in_integers(total[place], squares[place], self._protocol.count)
            level[place] = certified_level(evidence_here, int(needed[place]))
        return int(again.sum())


def _together(one: Sample, other: Sample) -> Sample:
    return Sample(one.count + other.count, one.sums + other.sums, one.products + other.products)


def in_integers(total: float, squares: float, count: int) -> Evidence:
    """The evidence of sums in nats."""
    base, gained = _BASE * count, round(total * _NANO)
    return Evidence(count, base, base - gained, round(squares * _NANO**2), 0, 0, 0, 0, hits=False)


def levels_of(total: Array, squares: Array, count: int, needed: Array) -> Array:
    """What `certified_level` certifies, of many lives at once."""
    found, goes_on = np.zeros(len(total), int), np.ones(len(total), bool)
    for nano in LEVELS:
        level = nano / _NANO
        gained, spread = total - count * level, squares - 2 * level * total + count * level**2
        goes_on = goes_on & (gained > 0) & (gained**2 * 1000 > needed * spread)
        found = np.where(goes_on, nano, found)
    return found
