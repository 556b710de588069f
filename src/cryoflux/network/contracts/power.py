"""Whether a guest holdout is large enough for the terms of a contract, before anybody signs them.

A window keeps its clause where the mean of δᵢ − c is above zero beyond doubt: S²/V of δᵢ − c exceeds the bar
2·ln(m/α) for m windows, with c = θ·J the Δ that the joules J were to buy at the least, or c = θ of a clause
on Δ alone. With a true mean Δ and a spread s of Δ between examples that takes

    n ≥ ((√bar + z)·s / (Δ − c))²,    z the normal quantile of the power,

examples. Terms that need more than there are would be breached by bad luck. They are refused, with the
alternatives that are not: settle once at the end, measure joules at a better tier, ask for less, or take more
examples. The normal approximation plans; what is decided later is decided exactly, by `evaluation`.
"""

from __future__ import annotations

__all__ = ["Alternative", "ContractTerms", "Planned", "alternatives", "asked_of", "plan", "planned_terms"]

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist

from cryoflux.errors import UsageError
from cryoflux.expression import Quantity, parse_promise
from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.contract_parts import AgreedTerms, CountedJoules

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """What a contract asks of each of its windows, and what is known of who has to keep it."""

    count: int
    """examples of the guest holdout"""
    windows: int
    """that are settled one by one"""
    alpha: float
    """probability that a window is called kept which is not, over all windows"""
    power: float
    """probability that a window is called kept which is"""
    delta: float
    """mean Δ that is expected in a window, nats"""
    spread: float
    """standard deviation of Δ between examples, nats"""
    theta: float = 0.0
    """Δ for each joule that is asked for, nats/J; 0 for a clause on Δ alone"""
    joules_upper: float = 0.0
    """that a window is expected to be charged at most, J"""
    joules_point: float = 0.0
    """of that, the point estimate: what a meter that counts would come to, J"""
    least: float = 0.0
    """mean Δ that is asked for in a window, nats; 0 for a clause on Δ for each joule alone"""

    @property
    def bar(self) -> float:
        """What S²/V has to exceed."""
        return 2 * math.log(self.windows / self.alpha)

    @property
    def cost(self) -> float:
        """The mean Δ that has to be exceeded, nats."""
        return max(self.least, self.theta * self.joules_upper)


@dataclass(frozen=True, slots=True)
class Planned:
    """Whether terms can be kept by who does what is expected of him."""

    needed: int | None
    """examples; none where no number is enough, as what is expected does not exceed what is asked for"""
    enough: bool
    chance: float
    """probability that a window which is as expected is called kept"""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Terms that are not under-powered, and how they differ."""

    terms: ContractTerms
    words: str
    planned: Planned


def planned_terms(terms: AgreedTerms) -> ContractTerms | None:
    """What a contract asks of each window; none where it asks for nothing that is measured.

    Raises:
        UsageError: a clause is none.
    """
    ppm = terms.alpha_ppm, terms.power_ppm
    nano = terms.expected_delta_nano_nat, terms.spread_nano_nat
    return asked_of(terms.clauses, terms.count, terms.windows.count, ppm, nano, terms.joules)


def asked_of(
    clauses: Iterable[str],
    count: int,
    windows: int,
    ppm: tuple[int, int],
    nano: tuple[int, int],
    joules: CountedJoules,
) -> ContractTerms | None:
    """What clauses ask of each window; none where they ask for nothing that is measured.

    Args:
        clauses: as a contract spells them.
        count: examples of the guest holdout.
        windows: that are settled one by one.
        ppm: α and power, parts per million.
        nano: mean Δ that is expected, and its spread between examples, nano-nats.
        joules: that a window is expected to take.

    Raises:
        UsageError: a clause is none, or what decides whether it can be kept is not said.
    """
    least, theta = list[float](), list[float]()
    for clause in map(parse_promise, clauses):
        if clause is None or not isinstance(clause.bound, Fraction):
            continue
        per_joule = clause.quantity is Quantity.ETA
        # one nano-nat a microjoule is a thousand nats a megajoule: θ is in nats a joule
        (theta if per_joule else least).append(float(clause.bound / (1000 if per_joule else NANO)))
    if not least and not theta:
        return None
    if theta and not joules.upper_microjoules:
        raise UsageError(
            "A clause on η needs the joules that a window is expected to take.",
            why="It asks for so much Δ a joule, and of no joules that is nothing.",
            hint="Say the most that a window takes, as in --joules 700J.",
        )
    if not nano[1]:
        raise UsageError(
            "The spread of Δ between examples is not said.",
            why="How many examples a window needs goes by it: without any spread one would be enough.",
            hint="Say it in nats, as in --spread 0.8; a round of this log measures it: "
            "cryoflux contract new --spread-from HASH.",
        )
    return ContractTerms(
        count=count,
        windows=windows,
        alpha=ppm[0] / _MILLION,
        power=ppm[1] / _MILLION,
        delta=nano[0] / NANO,
        spread=nano[1] / NANO,
        theta=max(theta, default=0.0),
        joules_upper=joules.upper_microjoules / MICRO,
        joules_point=joules.point_microjoules / MICRO,
        least=max(least, default=0.0),
    )


def plan(terms: ContractTerms) -> Planned:
    """Whether a guest holdout is large enough for some terms.

    Raises:
        ValueError: a number is out of range.
    """
    _check(terms)
    room = terms.delta - terms.cost
    chance = _chance(terms, room)
    if room <= 0:
        return Planned(None, False, chance)
    quantile = NormalDist().inv_cdf(terms.power)
    needed = math.ceil(((math.sqrt(terms.bar) + quantile) * terms.spread / room) ** 2)
    return Planned(needed, needed <= terms.count, chance)


def alternatives(terms: ContractTerms) -> list[Alternative]:
    """Terms near those that were asked for, for which the guest holdout is large enough."""
    found = []
    for other, words in _others(terms):
        planned = plan(other)
        if planned.enough:
            found.append(Alternative(other, words, planned))
    return found


def _others(terms: ContractTerms) -> Iterator[tuple[ContractTerms, str]]:
    planned = plan(terms)
    if planned.needed is not None:
        more = replace(terms, count=planned.needed)
        yield more, f"the same terms with a guest holdout of {planned.needed:,} examples"
    if terms.windows > 1:
        # the spread of a sum of windows grows with its root, if they are alike
        once = replace(
            terms,
            windows=1,
            delta=terms.windows * terms.delta,
            spread=math.sqrt(terms.windows) * terms.spread,
            joules_upper=terms.windows * terms.joules_upper,
            joules_point=terms.windows * terms.joules_point,
            least=terms.windows * terms.least,
        )
        yield once, f"settled once after {terms.windows} windows"
    if 0 < terms.joules_point < terms.joules_upper and terms.theta > 0:
        counted = replace(terms, joules_upper=terms.joules_point)
        yield counted, f"joules by a meter that counts, {terms.joules_point:g} J a window at most"
    yield from _asking_less(terms)


def _asking_less(terms: ContractTerms) -> Iterator[tuple[ContractTerms, str]]:
    """The most that can be asked for with the examples that there are."""
    quantile = NormalDist().inv_cdf(terms.power)
    room = (math.sqrt(terms.bar) + quantile) * terms.spread / math.sqrt(terms.count)
    cost = _rounded_down(terms.delta - room)
    if cost <= 0:
        return
    if terms.theta > 0 and terms.joules_upper > 0:
        theta = _rounded_down(cost / terms.joules_upper)
        least = min(terms.least, cost)
        yield replace(terms, theta=theta, least=least), f"eta >= {theta * 1000:g} nats/kJ"
    else:
        yield replace(terms, least=cost), f"delta >= {cost:g} nats"


def _rounded_down(value: float) -> float:
    """To two digits, towards zero; what is negative is 0."""
    if value <= 0:
        return 0.0
    size = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / size * (1 + 1e-12)) * size


def _chance(terms: ContractTerms, room: float) -> float:
    if terms.spread == 0:
        return float(room > 0)
    error = terms.spread / math.sqrt(terms.count)
    return NormalDist().cdf(room / error - math.sqrt(terms.bar))


def _check(terms: ContractTerms) -> None:
    within = {
        "count": terms.count >= 1,
        "windows": terms.windows >= 1,
        "alpha": 0 < terms.alpha < 1,
        "power": 0 < terms.power < 1,
        "spread": terms.spread >= 0,
    }
    numbers = (terms.delta, terms.spread, terms.theta, terms.joules_upper, terms.least)
    if wrong := [name for name, fits in within.items() if not fits]:
        raise ValueError(f"{wrong[0]} = {getattr(terms, wrong[0])!r} is out of range")
    if not all(map(math.isfinite, numbers)):
        raise ValueError("terms are finite numbers")
