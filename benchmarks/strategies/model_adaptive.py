"""Layer S3, *models*: a proposer that goes on from what a node's log has said, forty rounds long.

As in `strategies.adaptive`, with weights: whoever wants a verdict that luck decides adds to random numbers
as much honest work as makes it a coin flip, and then offers all random numbers at once, each the way that its
verdict leaned. He knows everything but the examples that judge. A round is the whole one here, so what the
node's search finds worthless is never looked at.
"""

from __future__ import annotations

__all__ = ["ADAPTIVE", "ROUNDS", "SEARCHERS", "forty_rounds"]

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from copy_roc import Update
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.registry.mixture import ListStep, StepKind, after
from strategies.model_lives import Counted, Living, living
from strategies.model_node import Offered
from strategies.model_offers import Stall
from strategies.model_updates import like_noise, times, together

ROUNDS = 40
_CLEAN = ("own 6", "own 7", "own 8")
_SIZE, _RANK = 0.3, 1
"""norm of a probe, in that of honest work, and ranks of each of its products"""
_PROBES, _SEARCHED, _BLIND = 8, 14, 16
"""that are bought for a verdict, that are bought for what the search says, and that are not bought"""
_AMOUNTS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""of honest work that a probe may take with it"""
_COMMITTED_S = 1_764_100_000
_LONG = 600
"""steps of whoever trains to the end"""


@dataclass(frozen=True)
class Told:
    """What a round has shown."""

    accepted: bool
    level: int
    cpu_s: float
    """that it took, so about its joules"""
    wall_s: float
    search: float | None
    """mean Δ on the node's own training side, nats; none where nothing was composed"""


@dataclass
class Seat:
    """Where a proposer sits."""

    stall: Stall
    life: Living
    rng: np.random.Generator
    told: list[Told] = field(default_factory=list)
    probes: list[Update] = field(default_factory=list)
    worth: list[float] = field(default_factory=list)
    """true Δ of what was bought, nats"""

    @property
    def work(self) -> Update:
        """Honest work that acceptances can be bought with."""
        learn = partial(self.stall.world.learned, *_CLEAN, seed=80, steps=240)
        return self.stall.several("work", lambda: [learn()])[0]

    def probe(self) -> Update:
        """Random numbers that nobody has offered before."""
        self.probes.append(like_noise(self.work, _SIZE, self.rng, _RANK))
        return self.probes[-1]

    def bought(self, over: float = 0.0) -> Update:
        """A probe with as much work as makes its verdict, or that of a level, hang on luck."""
        world, node, probe = self.stall.world, self.life.node, self.probe()
        tally = node.tally
        needed = tally.budget.needed_milli / 1000 if tally is not None else 0.0
        for amount in _AMOUNTS:
            found = together([self.work, probe], [amount, 1.0])
            step = ListStep(kind=StepKind.ADD, update=world.written(found), amount="1")
            gained = world.gained(node.composed, after(node.composed, [step]), world.sample) - over
            mean = float(gained.mean())
            if mean > 0 and 512 * mean**2 / float((gained**2).mean()) >= needed:
                break
        self.worth.append(mean + over)
        return found

    def lucky(self, lean: Callable[[Told], float], count: int) -> Update:
        """All probes at once, each the way that its verdict leaned; another length each time."""
        signs = [lean(told) for told in self.told[:count]]
        return times(together(self.probes[:count], signs), float(self.rng.uniform(0.3, 1.5)))


Strategy = Callable[[Seat], Update]


def _buying(lean: Callable[[Told], float], probes: int = _PROBES, over: float = 0.0) -> Strategy:
    def propose(seat: Seat) -> Update:
        return seat.bought(over) if len(seat.told) < probes else seat.lucky(lean, probes)

    return propose


def _leaning(cost: Callable[[Told], float]) -> Strategy:
    """Probes that nothing was bought for, and the way that cost more: it went further."""

    def propose(seat: Seat) -> Update:
        if len(seat.told) < _BLIND:
            return seat.probe()
        middle = float(np.median([cost(told) for told in seat.told[:_BLIND]]))
        return seat.lucky(lambda told: 1.0 if cost(told) > middle else -1.0, _BLIND)

    return propose


def _opened(seat: Seat) -> Update:
    """Trained to the end on guest holdouts that others have opened, mixed anew each time."""
    learn = seat.stall.world.learned
    made = seat.stall.several(
        "opened", lambda: [learn("opened", seed=90 + number, steps=_LONG) for number in (0, 1)]
    )
    share, length = seat.rng.uniform(0, 1), float(seat.rng.uniform(0.3, 1.5))
    return together(made, [length * share, length * (1 - share)])


ADAPTIVE: dict[str, tuple[Strategy, int]] = {
    "boosting from bits": (_buying(lambda told: 1.0 if told.accepted else -1.0), 1),
    "levels": (_buying(lambda told: 1.0 if told.level >= 50_000_000 else -1.0, over=0.05), 1),
    "joules": (_leaning(lambda told: told.cpu_s), 1),
    "timing": (_leaning(lambda told: told.wall_s), 1),
    "pooled sybils": (_buying(lambda told: 1.0 if told.accepted else -1.0, probes=10), 10),
    "openings of others": (_opened, 1),
}
"""name → what proposes, and under how many keys"""


def _by_search(seat: Seat) -> Update:
    """Each probe the way that the search set leaned, as records say it: more than it was worth, or less."""
    if len(seat.told) < _SEARCHED:
        return seat.bought()
    shown = [told.search for told in seat.told[:_SEARCHED]]
    leans = [0.0 if one is None else one - worth for one, worth in zip(shown, seat.worth, strict=True)]
    signs = [float(np.sign(lean)) for lean in leans]
    return times(together(seat.probes[:_SEARCHED], signs), float(seat.rng.uniform(0.3, 1.5)))


SEARCHERS: dict[str, tuple[Strategy, int]] = {"published search sums": (_by_search, 1)}
"""beyond the 56: what records say of the search is no secret"""


def forty_rounds(stall: Stall, name: str, rng: np.random.Generator) -> Counted:
    """One life in which nobody else offers, until the guest holdout retires."""
    (strategy, keys), counted = {**ADAPTIVE, **SEARCHERS}[name], Counted()
    with living(stall.world, counted, rng) as life:
        seat = Seat(stall, life, rng)
        for number in range(ROUNDS):
            if life.node.tally is None:
                break
            update = stall.world.written(strategy(seat))
            offer = Offered(update, name, f"cheat.example/{number % keys}", _COMMITTED_S + 60 * number)
            seat.told.append(_told(life, offer))
    return counted


def _told(life: Living, offer: Offered) -> Told:
    begun = time.process_time(), time.perf_counter()
    record = life.node.round([offer]).record
    ended = time.process_time(), time.perf_counter()
    life.judge(record)
    level = record.look.level if record.look is not None else 0
    return Told(level > 0, level, ended[0] - begun[0], ended[1] - begun[1], _searched(record))


def _searched(record: RoundResult) -> float | None:
    """Mean Δ of what was composed on the search set, nats."""
    if record.search is None or not record.steps:
        return None
    return record.search.delta_nano_nat / 1e9
