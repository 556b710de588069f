"""Whole lives of a holdout: is anything kept that is no improvement, and how much is kept of what is one?

A life is 40 candidates, each with its screen and its look, if the rule takes one. Candidates are drawn
independently of each other: there is then as little overlap of errors as there can be, the worst case for a
rule that bounds the chance of *any*. Lives are judged many at a time by twins of the rules, arrays in place
of integers; ``tests/unit/decision/test_holdout_lives.py`` holds each twin to `due_look` and `decide`.

Alpha-investing and LOND are here beside them, at 0.01, by the p-values of the paired z-test
and without a screen. They promise something else, a share of false ones among what is kept:

- alpha-investing (Foster and Stine 2008, *J. R. Statist. Soc. B* 70(2)), which bounds mFDR: a test at
  the level αⱼ pays αⱼ/(1 − αⱼ) of its wealth where it does not reject and earns ω where it does. A wealth of
  W(0) = α·(1 − α) to begin with, ω = α and the levels αⱼ = W(j − 1)/(1 + j − k), k the last rejection, are
  a choice made here and not checked against the paper: one half of the wealth at first and after each
  rejection, less and less after that.
- LOND (Javanmard and Montanari 2015, arXiv:1502.06197), which bounds FDR: αⱼ = βⱼ·(D(j − 1) + 1) with D
  rejections before, and βⱼ = 6α/(π²j²), which sum to α.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import numpy as np

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import Thresholds
from cryoflux.decision.stakes import ENOUGH, STAKES, WHOLE, StakedBudget, least_stake

Array = np.ndarray[Any, Any]
LOOKS = 40
"""candidates of a life"""
COUNTS = (64, 128, 256, 512, 1024)
"""examples of a holdout"""
SCREENED = 512
"""examples of a screen"""
SPREAD = 0.35
"""standard deviation of δ, nats: large, so that the smallest Δ (0.002) keeps nothing away by itself"""
FLIPS = 0.14
"""share of examples whose class flips, by fair coins"""
ALPHA_PPM = 10_000
ALPHA = ALPHA_PPM / 1_000_000
USUAL = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)
LEAST = USUAL.min_delta / 1e9
_Z = USUAL.z_milli / 1000
_SHRUNK = 0.9
_QUANTILES = (-1.6449, -1.2816, -0.8416, -0.3853, 0.0, 0.3853, 0.8416)
_BARS = 70_000
"""beyond x² = 70 the bound is below one unit of the budget"""


@dataclass(frozen=True)
class Scenario:
    """What a life consists of."""

    name: str
    effect: float = 0.0
    """Δ of a real improvement, in spreads of δ"""
    share: float = 0.0
    """of candidates that are real"""
    first: int = LOOKS
    """only so many of the first candidates may be"""
    screen: str = "honest"
    """honest; ``lies``: it always shows z = 8; ``least``: it lies as little as makes v3 stake the smallest
    share; ``none``: there are no screening examples"""


SCENARIOS = (
    Scenario("all null"),
    Scenario("all null, no screen", screen="none"),
    Scenario("all null, the screen lies (z 8)", screen="lies"),
    Scenario("all null, the screen lies a little each time", screen="least"),
    Scenario("4 real, then null, the screen lies (z 8)", 6 / 32, 1.0, 4, "lies"),
    Scenario("half real", 4.5 / 32, 0.5),
    Scenario("9 of 10 real", 6 / 32, 0.9),
    Scenario("half real, weak", 3 / 32, 0.5),
)


@dataclass(frozen=True)
class Shown:
    """What is shown of one candidate in each life: arrays over lives."""

    count: int
    sums: Array
    """Σδ, nats"""
    squares: Array
    """Σδ², nats²"""
    gained: Array
    lost: Array
    screened: Array
    """z of the screening examples"""
    screen: str
    """as in `Scenario`"""

    @property
    def z(self) -> Array:
        """Mean Δ over its standard error."""
        scatter = self.squares - self.sums**2 / self.count
        return self.sums * np.sqrt((self.count - 1) / self.count / scatter)

    def gives_delta(self) -> Array:
        """Whether Δ is as large as the smallest that counts."""
        return self.sums >= LEAST * self.count

    def gives_accuracy(self) -> Array:
        """Whether so many more are right."""
        return (self.gained - self.lost) * 1_000_000 >= USUAL.min_accuracy_gain_ppm * self.count

    def passes(self, needed: Array) -> Array:
        """Whether S²/V exceeds a bar, thousandths."""
        return (self.sums > 0) & (self.sums**2 * 1000 > needed * self.squares)

    def accuracy_passes(self, needed: Array) -> Array:
        """The same of discordant examples."""
        gain = self.gained - self.lost
        return (gain > 0) & (gain**2 * 1000 > needed * (self.gained + self.lost))

    def screen_gives_delta(self) -> Array:
        """Whether the screen's mean Δ is as large as the smallest that counts."""
        return self.screened * SPREAD / math.sqrt(SCREENED - 1) >= LEAST


class Judge(Protocol):
    """A rule with many holdouts, one a life."""

    def kept(self, shown: Shown) -> Array:
        """Which lives keep their candidate; the rule remembers what it has to."""


class Whitepaper:
    """``whitepaper/v1``."""

    def __init__(self, lives: int) -> None:
        """Remembers nothing."""

    def kept(self, shown: Shown) -> Array:
        """Δ ≥ 0.002 or one point of accuracy."""
        return shown.gives_delta() | shown.gives_accuracy()


class Fixed:
    """``evidence/v1``."""

    def __init__(self, lives: int) -> None:
        """Remembers nothing."""

    def kept(self, shown: Shown) -> Array:
        """The thresholds, and more than 3.09 standard errors."""
        gain, flips = shown.gained - shown.lost, shown.gained + shown.lost
        sure = (gain > 0) & (gain**2 > _Z**2 * flips) & (shown.sums >= 0)
        found = (shown.gives_delta() & (shown.z > _Z)) | (shown.gives_accuracy() & sure)
        if shown.screen == "none":
            return found
        return found & shown.screen_gives_delta() & (shown.screened > 1.645)


@cache
def _counted(looks: int, kept: int) -> int:
    return ErrorBudget(ALPHA_PPM, looks, kept).needed_milli


class Counted:
    """``evidence/v2``."""

    def __init__(self, lives: int) -> None:
        """A fresh holdout a life."""
        self.looks, self.accepted = np.zeros(lives, int), np.zeros(lives, int)

    def kept(self, shown: Shown) -> Array:
        """The thresholds, and the evidence that this look needs."""
        needed = _of_pairs(_counted, self.looks, self.accepted)
        due = np.ones(len(needed), bool)
        if shown.screen != "none":
            asked = np.array([_asked(int(bar), shown.count) for bar in needed]) / 1000
            due = shown.screen_gives_delta() & (shown.screened > asked)
        found = shown.gives_delta() & shown.passes(needed)
        found |= shown.gives_accuracy() & shown.accuracy_passes(needed) & (shown.sums >= 0)
        found &= due
        self.looks += due
        self.accepted += found
        return found


def _of_pairs(value: Any, ones: Array, others: Array) -> Array:
    table = np.array(
        [[value(one, min(one, other)) for other in range(LOOKS + 1)] for one in range(LOOKS + 1)]
    )
    return table[ones, others]


@cache
def _asked(needed: int, count: int) -> int:
    bar = math.isqrt(needed * 1000) - 1282
    return max(1645, math.isqrt(max(0, bar) ** 2 * SCREENED // count))


@cache
def _smallest_levels() -> Array:
    """Of each bar from 0 on, thousandths, minus the smallest level that allows it: in rising order."""
    square = np.arange(_BARS) / 1000
    tail = np.array([math.erfc(math.sqrt(x / 2)) for x in square]) / math.erfc(1) / 4
    return -np.ceil(tail * WHOLE)


def needed_of(levels: Array) -> Array:
    """The bar of each level, as `cryoflux.decision.stakes.needed_at`."""
    return np.searchsorted(_smallest_levels(), -levels.astype(float), side="left")


class Staked:
    """``evidence/v3``."""

    def __init__(self, lives: int) -> None:
        """A fresh holdout a life."""
        self.left = np.full(lives, StakedBudget.fresh(ALPHA_PPM).left, dtype=np.int64)

    def kept(self, shown: Shown) -> Array:
        """What was staked of the budget decides what is needed."""
        stakes = self.stakes(shown)
        level = self.left * stakes * min(shown.count, ENOUGH) // (1000 * ENOUGH)
        due = level > 0
        found = due & shown.gives_delta() & shown.passes(needed_of(np.maximum(level, 1)))
        after = self.left * np.where(found, stakes, 1000 - stakes) // 1000
        self.left = np.where(due, after, self.left)
        return found

    def stakes(self, shown: Shown) -> Array:
        """What is staked in each life; 0 where there is no look."""
        least = least_stake(shown.count)
        if shown.screen == "none":
            return np.full(len(self.left), max(500, least))
        if shown.screen == "least":
            return np.full(len(self.left), least)
        ratio = shown.count / SCREENED
        mean, spread = _SHRUNK * shown.screened * math.sqrt(ratio), math.sqrt(1 + _SHRUNK**2 * ratio)
        found = np.zeros(len(self.left), int)
        for stake, quantile in zip(STAKES, _QUANTILES, strict=True):
            level = self.left * stake * min(shown.count, ENOUGH) // (1000 * ENOUGH)
            bar = np.sqrt(needed_of(np.maximum(level, 1)) / 1000)
            found[(found == 0) & (level > 0) & (bar - mean <= quantile * spread)] = stake
        due = (found >= least) & (shown.screened > 0) & shown.screen_gives_delta()
        return np.where(due, found, 0)


class Investing:
    """Alpha-investing with the best foot forward."""

    def __init__(self, lives: int) -> None:
        """W(0) = α·(1 − α)."""
        self.wealth, self.since = np.full(lives, ALPHA * (1 - ALPHA)), np.ones(lives)

    def kept(self, shown: Shown) -> Array:
        """Rejections pay α, what is not rejected costs αⱼ/(1 − αⱼ)."""
        level = self.wealth / (1 + self.since)
        found = p_values(shown.z) <= level
        self.wealth = np.where(found, self.wealth + ALPHA, self.wealth - level / (1 - level))
        self.since = np.where(found, 1, self.since + 1)
        return found


class Lond:
    """Levels by the number of discoveries."""

    def __init__(self, lives: int) -> None:
        """No discovery, the first test."""
        self.number, self.found = 1, np.zeros(lives)

    def kept(self, shown: Shown) -> Array:
        """αⱼ = βⱼ·(D + 1)."""
        level = 6 * ALPHA / (math.pi * self.number) ** 2 * (self.found + 1)
        found = p_values(shown.z) <= level
        self.number, self.found = self.number + 1, self.found + found
        return found


def p_values(z: Array) -> Array:
    """P(N ≥ z)."""
    return np.asarray(np.frompyfunc(math.erfc, 1, 1)(z / math.sqrt(2)), dtype=float) / 2


JUDGES: dict[str, Any] = {
    "whitepaper/v1": Whitepaper,
    "evidence/v1": Fixed,
    "evidence/v2": Counted,
    "evidence/v3": Staked,
    "alpha-investing": Investing,
    "LOND": Lond,
}


@dataclass
class Draws:
    """What chance brings to many lives, the same for all scenarios and rules; rows are candidates."""

    count: int
    sums: Array = field(repr=False)
    """Σ of δ without its mean, in spreads"""
    squares: Array = field(repr=False)
    gained: Array = field(repr=False)
    lost: Array = field(repr=False)
    screens: Array = field(repr=False)
    """of the screen's z"""
    chances: Array = field(repr=False)

    def shown(self, number: int, scenario: Scenario) -> tuple[Shown, Array]:
        """A candidate in each life, and where it is real."""
        real = (self.chances[number] < scenario.share) & (number < scenario.first)
        mean = scenario.effect * real
        sums = self.sums[number] + self.count * mean
        squares = self.squares[number] + 2 * mean * self.sums[number] + self.count * mean**2
        screened = self.screens[number] + math.sqrt(SCREENED) * mean
        if scenario.screen in {"lies", "least"}:
            screened = np.full(len(mean), 8.0)
        gained, lost = self.gained[number], self.lost[number]
        one = Shown(self.count, SPREAD * sums, SPREAD**2 * squares, gained, lost, screened, scenario.screen)
        return one, real


def drawn(seed: int, lives: int, count: int, *, skewed: bool) -> Draws:
    """So many lives with Gaussian δ, or with δ that mostly help a little and rarely harm (skewness −2)."""
    rng = np.random.default_rng(seed)
    shape = (LOOKS, lives)
    sums, squares = np.empty(shape), np.empty(shape)
    for number in range(LOOKS):
        if skewed:
            for start in range(0, lives, 1000):
                part = slice(start, min(lives, start + 1000))
                deltas = 1 - rng.standard_exponential((part.stop - start, count))
                sums[number, part] = deltas.sum(1)
                squares[number, part] = np.einsum("ij,ij->i", deltas, deltas)
        else:
            sums[number] = math.sqrt(count) * rng.standard_normal(lives)
            squares[number] = rng.chisquare(count - 1, lives) + sums[number] ** 2 / count
    flips = rng.binomial(count, FLIPS, shape)
    gained = rng.binomial(flips, 0.5)
    return Draws(count, sums, squares, gained, flips - gained, rng.standard_normal(shape), rng.random(shape))


@dataclass(frozen=True)
class Ended:
    """How lives ended under one rule."""

    lives: int
    false: int
    """lives in which anything was kept that is no improvement"""
    kept: int
    """real ones that were kept"""
    real: int

    @property
    def per_thousand(self) -> float:
        """Lives with a false acceptance, of 1,000."""
        return 1000 * self.false / self.lives

    @property
    def error(self) -> float:
        """Standard error of that."""
        share = self.false / self.lives
        return 1000 * math.sqrt(share * (1 - share) / self.lives)


def live(name: str, draws: Draws, scenario: Scenario) -> Ended:
    """All lives under one rule."""
    lives = draws.sums.shape[1]
    judge: Judge = JUDGES[name](lives)
    false, kept, real = np.zeros(lives, bool), 0, 0
    for number in range(LOOKS):
        shown, is_real = draws.shown(number, scenario)
        found = judge.kept(shown)
        false |= found & ~is_real
        kept, real = kept + int((found & is_real).sum()), real + int(is_real.sum())
    return Ended(lives, int(false.sum()), kept, real)
