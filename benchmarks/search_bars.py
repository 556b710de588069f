"""By what bar the search of a round should compare steps: what looks see of what it composes.

    python benchmarks/search_bars.py --worlds 5 --lives 50 --bars 2,4,8,16,40
    python benchmarks/search_bars.py --worlds 5 --lives 20 --worthless 2

Worlds are those of layer S3 (`strategies.model_world`): a tiny encoder, and nine real updates of it. A life
draws four of them, a search set and a guest holdout of 512 texts each from 4,096 whose losses are known, and
makes two rounds by the search and the budget of the source alone: no log, no copy screen. An update counts as
detectable where one step of it passes search and look together 95 times of 100; what the first round left has
to be so beside the new head too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.levels import RoundBudget, certified_level
from cryoflux.network import proposing
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from strategies.model_lives import finds
from strategies.model_node import ALPHA_PPM
from strategies.model_offers import FOUR, Stall
from strategies.model_updates import like_noise
from strategies.model_world import HONEST, ModelWorld
from strategies.world import Array

_TEXTS = 512
_SIZES = (0.1, 1.0)
"""norms of random numbers, in those of an honest update"""
_NANO = 1e9


@dataclass
class Totals:
    """What was counted over lives."""

    lives: int = 0
    looks: int = 0
    accepted: int = 0
    detectable: int = 0
    used: int = 0
    """of them, those in use after two rounds"""
    read: int = 0
    """losses"""
    worthless: int = 0
    """updates of random numbers that were offered"""
    taken: int = 0
    """of them, those in the head after two rounds"""
    gained: list[float] = field(default_factory=list)
    """Δ of both rounds on the 4,096 texts, nats"""


@dataclass
class Life:
    """Two rounds of one draw."""

    world: ModelWorld
    rng: np.random.Generator
    totals: Totals

    def __post_init__(self) -> None:
        drawn = self.rng.permutation(len(self._losses(Composition(genesis=self.world.genesis))))
        self._search, self._guest = drawn[:_TEXTS], drawn[_TEXTS : 2 * _TEXTS]
        self._head, self._budget = Composition(genesis=self.world.genesis), RoundBudget(ALPHA_PPM)
        self._refused = set[str]()

    def play(self, honest: Sequence[OfferedUpdate], worthless: Sequence[OfferedUpdate]) -> None:
        """Make both rounds, and count."""
        start, totals = self._head, self.totals
        sure = [one.adapter for one in honest if self._finds(one)]
        shown = self._round([*honest, *worthless])
        taken = {term.adapter for term in self._head.terms}
        left = [one for one in (*honest, *worthless) if one.adapter not in taken]
        still = {one.adapter for one in left if self._finds(one)}
        if shown and taken and left:  # for the same head nothing is considered again
            self._round(left)
        used = {term.adapter for term in self._head.terms}
        totals.worthless += len(worthless)
        totals.taken += sum(one.adapter in used for one in worthless)
        names = [name for name in sure if name in taken or name in still]
        totals.lives += 1
        totals.detectable += len(names)
        totals.used += sum(name in used for name in names)
        totals.gained.append(float((self._losses(start) - self._losses(self._head)).mean()))

    def _finds(self, update: OfferedUpdate) -> bool:
        return finds(self.world, self._head, update, self._budget.needed_milli)[0]

    def _losses(self, composed: Composition) -> Array:
        return self.world.losses(composed, self.world.sample)

    def _nano(self, composed: Composition, texts: Array) -> list[int]:
        found: list[int] = (self._losses(composed)[texts] * _NANO).round().astype(np.int64).tolist()
        return found

    def _round(self, updates: Sequence[OfferedUpdate]) -> bool:
        """One round; whether anything was shown."""

        def losses(composed: Composition, places: range) -> list[int]:
            return self._nano(composed, self._search[places.start : places.stop])

        found = proposing.search_round(self._head, updates, losses, _TEXTS, refused=self._refused)
        self.totals.read += found.read
        if not found.steps:
            return False
        before, then = (self._nano(one, self._guest) for one in (self._head, found.composed))
        passed = certified_level(pair_losses(before, then), self._budget.needed_milli) > 0
        self.totals.looks += 1
        self.totals.accepted += passed
        self._budget = RoundBudget(ALPHA_PPM, self._budget.looks + 1, self._budget.kept + passed)
        if passed:
            self._head = found.composed
        else:
            self._refused.add(found.composed.digest)
        return True


def main() -> None:
    """Draw lives for each bar, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--lives", type=int, default=20, help="of each world")
    parser.add_argument("--bars", default="2,16", help="of sure gains, separated by commas")
    parser.add_argument("--worthless", type=int, default=0, help="offers of random numbers, of a life")
    arguments = parser.parse_args()
    bars = [float(bar) for bar in arguments.bars.split(",")]
    counted = {bar: Totals() for bar in bars}
    for seed in range(arguments.worlds):
        with tempfile.TemporaryDirectory() as folder:
            world = ModelWorld(seed, Path(folder))
            stall = Stall(world)
            updates = [world.written(stall.honest(number)) for number in range(HONEST)]
            drawn = np.random.default_rng([seed, len(updates)])
            numbers = [
                world.written(like_noise(stall.honest(number), size, drawn))
                for number in range(FOUR)
                for size in _SIZES
            ]
            for bar in bars:
                proposing._COMPARED = bar  # noqa: SLF001 - what is tried here
                for life in range(arguments.lives):
                    rng = np.random.default_rng([seed, life])
                    chosen = rng.choice(HONEST, FOUR, replace=False)
                    beside = rng.choice(len(numbers), arguments.worthless, replace=False)
                    honest = [updates[number] for number in chosen]
                    Life(world, rng, counted[bar]).play(honest, [numbers[number] for number in beside])
    print(
        "| bar | detectable offers in use | random numbers in use | looks, accepted | Δ of a life, nats "
        "| losses read by a life |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for bar, one in counted.items():
        used = f"{one.used} of {one.detectable} ({100 * one.used / max(1, one.detectable):.1f} %)"
        gained = f"{np.mean(one.gained):.4f}"
        looks, read = f"{one.looks}, {one.accepted}", f"{one.read / one.lives:,.0f}"
        print(f"| {bar:g} | {used} | {one.taken} of {one.worthless} | {looks} | {gained} | {read} |")


if __name__ == "__main__":
    main()
