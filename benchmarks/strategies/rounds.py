"""Layer S1, *rounds*: whole rounds of a node with what eight others offer, four of them cheats.

Real are the copy screen (`alikeness` and `is_copy`), the search (`search_round`) with its steps and lists,
the error budget and the certified level. Drawn are the losses: a model is one matrix, an update a product of
two thin ones, and the loss of an example is how far the matrix is from a goal, with noise. So what everything
is truly worth is known, and so is what it was copied from.

Candidates come in the order in which their receipts were committed, and the later of two that are alike is a
duplicate before anything is composed.
"""

from __future__ import annotations

__all__ = ["CHEATS", "Counted", "Federation", "Offered"]

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.levels import RoundBudget, certified_level
from cryoflux.decision.power import detectable
from cryoflux.errors import ModelError
from cryoflux.network.proposing import search_round
from cryoflux.network.similarity import Direction, alikeness, is_copy
from cryoflux.registry.compose import LowRank
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from strategies.looks import ALPHA_PPM
from strategies.world import SIGMA, Array

_SIDE, _RANK = 12, 4
_REACH = 1.3
"""how far the goal is: 0.85 nats can be gained"""
_NANO = 1_000_000_000
_GENESIS = "00" * 32
_TEXTS, _CLASSES = 240, 5
_CPU_S_A_LOSS = 0.233e-3
"""of the embedded model, top layer alone, adding up included (`benchmarks/round_cost.py`)"""
_SCREEN_CHANCE = 0.05


@dataclass(frozen=True)
class Offered:
    """What somebody offers."""

    update: OfferedUpdate
    factors: LowRank
    kind: str
    copy_of: str = ""
    """adapter of the original"""
    withheld: bool = False
    """whether its bytes, or its parent's, cannot be had"""
    late: bool = False
    """whether it is shown after the first round, though it was committed before"""

    @property
    def move(self) -> Array:
        """What it adds to the matrix."""
        added: Array = self.factors.scale * (self.factors.b.astype(float) @ self.factors.a.astype(float))
        return added


@dataclass
class Counted:
    """What was counted over many federations."""

    federations: int = 0
    harmful: int = 0
    """in which a head was adopted whose true Δ is not above zero"""
    accepted: int = 0
    """rounds"""
    members: int = 0
    """of accepted rounds"""
    negative: int = 0
    """of them, those without which the head would be better"""
    flagged: int = 0
    """copies that the screen called duplicates"""
    unflagged: int = 0
    wrong_rank: int = 0
    """originals that were called copies of their own copy"""
    honest_flagged: int = 0
    """honest ones that were called copies of another's"""
    instead: int = 0
    """copies that the screen missed and that were taken while their original was not"""
    detectable: int = 0
    """honest capsules that screen and holdout detect with a power of 95 %, in two rounds"""
    used: int = 0
    """of them, those in use after two rounds"""
    offers: int = 0
    looks: int = 0
    losses_read: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    """cheats that were adopted, by kind"""

    @property
    def cpu_s_an_offer(self) -> float:
        """What looking at an offer costs with a model of the embedded size."""
        return self.losses_read * _CPU_S_A_LOSS / max(1, self.offers)


class Federation:
    """One judging node, and what it makes of offers in two rounds."""

    def __init__(
        self,
        seed: int,
        kinds: Sequence[str],
        *,
        count: int = 512,
        screen: int = 512,
        copies: bool = True,
        apart: float = 1.0,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._count, self._copies, self._apart = count, copies, apart
        self._goal = self._low(_REACH)
        self._head = Composition(genesis=_GENESIS)
        self._moves: dict[str, Offered] = {}
        self._screen = self._rng.normal(size=(screen, _SIDE * _SIDE))
        self._guest = self._rng.normal(size=(count, _SIDE * _SIDE))
        self._read_out = self._rng.normal(size=(_TEXTS * _CLASSES, _SIDE * _SIDE))
        self._budget = RoundBudget(ALPHA_PPM)
        self._kinds = kinds
        self._looked: set[str] = set()
        """heads whose losses on the guest holdout are known"""

    def _low(self, size: float) -> Array:
        found = self._rng.normal(size=(_SIDE, _RANK)) @ self._rng.normal(size=(_RANK, _SIDE))
        scaled: Array = found * (size / np.linalg.norm(found))
        return scaled

    def two_rounds(self, counted: Counted) -> None:
        """Play, and count."""
        counted.federations += 1
        offers = self._offers()
        counted.offers += len(offers)
        start = {one.update.adapter: self._detectable(one) for one in offers if one.kind == "honest"}
        self._round([one for one in offers if not one.late], counted)
        taken = self._adopted()
        again = [one for one in offers if one.update.adapter not in taken]
        again.sort(key=lambda one: not one.late)  # what is shown late was committed first
        still = {one.update.adapter: self._detectable(one) for one in again if one.kind == "honest"}
        self._round(again, counted)
        used = self._adopted()
        due = [name for name, found in start.items() if found and (name in taken or still.get(name))]
        counted.detectable += len(due)
        counted.used += sum(name in used for name in due)
        for one in offers:
            if one.kind != "honest" and one.update.adapter in used:
                counted.by_kind[one.kind] = counted.by_kind.get(one.kind, 0) + 1
            if one.copy_of and one.copy_of not in used and one.update.adapter in used:
                counted.instead += 1

    def _adopted(self) -> set[str]:
        return {term.adapter for term in self._head.terms}

    def _offers(self) -> list[Offered]:
        honest = [self.offered(self.trained(), "honest") for _ in range(4)]
        cheats = [CHEATS[kind](self, kind, honest) for kind in self._kinds]
        return [*honest, *cheats]  # a copy's receipt is later than its original's

    def trained(self) -> LowRank:
        """Honest work: a part of the way to the goal, seen through data of one's own.

        Two of them have a cosine of about 0.3, as independent updates of the embedded model do.
        """
        seen = self._goal + self._low(_REACH * self._apart * float(self._rng.uniform(1.2, 1.8)))
        u, s, v = np.linalg.svd(float(self._rng.uniform(0.15, 0.5)) / self._apart * seen)
        return LowRank(_f4(v[:_RANK]), _f4(u[:, :_RANK] * s[:_RANK]), 1.0)

    def offered(
        self, factors: LowRank, kind: str, copy_of: str = "", *, withheld: bool = False, late: bool = False
    ) -> Offered:
        """Under a name of its own."""
        name = f"{len(self._moves) + 1:064x}"
        update = OfferedUpdate(adapter=name, genesis=_GENESIS, parent=self._head.terms)
        self._moves[name] = Offered(update, factors, kind, copy_of, withheld, late)
        return self._moves[name]

    @property
    def rng(self) -> np.random.Generator:
        """Where cheats get their chance from."""
        return self._rng

    @property
    def goal(self) -> Array:
        """Where honest training goes."""
        return self._goal

    def _point(self, composed: Composition) -> Array:
        point = np.zeros((_SIDE, _SIDE))
        for term in composed.terms:
            if self._moves[term.adapter].withheld:
                raise ModelError("not here", why="withheld", hint="")
            point += float(term.weight) * self._moves[term.adapter].move
        return point

    def _losses(self, composed: Composition, noise: Array) -> list[int]:
        point = self._point(composed)
        mean = 10 + 0.5 * float(((point - self._goal) ** 2).sum())
        found = mean + SIGMA * (noise @ point.ravel())
        return np.rint(_NANO * found).astype(np.int64).tolist()  # type: ignore[no-any-return]

    def truly(self, composed: Composition) -> float:
        """True Δ of a composition against the head, nats."""
        before, then = (((self._point(one) - self._goal) ** 2).sum() for one in (self._head, composed))
        return 0.5 * float(before - then)

    def _screened(self, offers: Sequence[Offered], counted: Counted) -> Iterator[Offered]:
        """Without copies of what was committed before, offered or adopted."""
        if not self._copies:
            yield from offers
            return
        before = [self._moves[name] for name in sorted(self._adopted())]
        for one in offers:
            where = self._direction(one)
            found = next((two for two in before if is_copy(alikeness(where, self._direction(two)))), None)
            counted.flagged += bool(found and one.copy_of)
            counted.unflagged += bool(not found and one.copy_of)
            counted.wrong_rank += bool(found and found.copy_of == one.update.adapter)
            counted.honest_flagged += bool(found and one.kind == "honest")
            if found is None:
                before.append(one)
                yield one

    def _direction(self, one: Offered) -> Direction:
        logits = (self._read_out @ one.move.ravel()).reshape(_TEXTS, _CLASSES)
        return Direction({"matrix": one.factors}, {}, logits)

    def _round(self, offers: Sequence[Offered], counted: Counted) -> None:
        candidates = [one.update for one in self._screened(offers, counted)]

        def losses(composed: Composition, places: range) -> list[int]:
            return self._losses(composed, self._screen[places.start : places.stop])

        found = search_round(self._head, candidates, losses, len(self._screen))
        counted.losses_read += found.read
        if not found.steps:
            return
        counted.looks += 1
        counted.losses_read += self._count * (2 - (self._head.digest in self._looked))
        self._looked |= {self._head.digest, found.composed.digest}
        shown = pair_losses(self._losses(self._head, self._guest), self._losses(found.composed, self._guest))
        level = certified_level(shown, self._budget.needed_milli)
        self._budget = self._budget.after(accepted=level > 0)
        if level:
            counted.accepted += 1
            counted.harmful += self.truly(found.composed) <= 0
            self._members(found.steps, found.composed, counted)
            self._head = found.composed

    def _members(self, steps: Sequence[ListStep], composed: Composition, counted: Counted) -> None:
        """Each new member of an accepted round: would the head be better without it?"""
        whole = self.truly(composed)
        for place, step in enumerate(steps):
            if step.kind is StepKind.REWEIGHT:
                continue
            counted.members += 1
            counted.negative += self.truly(after(self._head, [*steps[:place], *steps[place + 1 :]])) > whole

    def _detectable(self, one: Offered) -> bool:
        """Whether some step with it has a true Δ that screen and holdout both find 95 times of 100."""
        tried = 2 * math.log(60 / _SCREEN_CHANCE) * 1000
        bar = max(self._budget.needed_milli, round(tried))
        for kind, amount in [(StepKind.ADD, a) for a in ("1", "1/2", "1/4")]:
            composed = after(self._head, [ListStep(kind=kind, update=one.update, amount=amount)])
            delta = self.truly(composed)
            spread = SIGMA * float(Fraction(amount)) * float(np.linalg.norm(one.move))
            count = min(self._count, len(self._screen))
            if delta >= detectable(count, spread, bar, power=0.95**0.5):
                return True
        return False


def _f4(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float32)


def _noise(play: Federation, kind: str, _honest: Sequence[Offered]) -> Offered:
    a, b = play.rng.normal(size=(_RANK, _SIDE)), play.rng.normal(size=(_SIDE, _RANK))
    return play.offered(LowRank(_f4(a), _f4(b * (1.0 / np.linalg.norm(b @ a))), 1.0), kind)


def _flipped(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    """Minus an honest update of its own, so that it is no copy of anybody's."""
    found = honest[0].factors
    return play.offered(LowRank(found.a, -found.b, found.scale), kind)


def _shuffled(play: Federation, kind: str, _honest: Sequence[Offered]) -> Offered:
    goal = np.roll(play.goal, 5, axis=0)
    u, s, v = np.linalg.svd(0.5 * goal)
    return play.offered(LowRank(_f4(v[:_RANK]), _f4(u[:, :_RANK] * s[:_RANK]), 1.0), kind)


def _turned(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    one = honest[int(play.rng.integers(len(honest)))]
    turn = np.linalg.qr(play.rng.normal(size=(_RANK, _RANK)))[0] * play.rng.uniform(0.3, 3, _RANK)
    factors = LowRank(_f4(np.linalg.inv(turn) @ one.factors.a), _f4(one.factors.b @ turn), one.factors.scale)
    return play.offered(factors, kind, one.update.adapter)


def _scaled(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    one = honest[int(play.rng.integers(len(honest)))]
    factor = float(play.rng.uniform(0.3, 2))
    return play.offered(LowRank(one.factors.a, _f4(factor * one.factors.b), 1.0), kind, one.update.adapter)


def _noisy(size: float) -> Callable[[Federation, str, Sequence[Offered]], Offered]:
    def made(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
        one = honest[int(play.rng.integers(len(honest)))]
        a, b = play.rng.normal(size=(_RANK, _SIDE)), play.rng.normal(size=(_SIDE, _RANK))
        b *= size * np.linalg.norm(one.move) / np.linalg.norm(b @ a)
        both = LowRank(
            _f4(np.concatenate([one.factors.a, a])), _f4(np.concatenate([one.factors.b, b], axis=1)), 1.0
        )
        return play.offered(both, kind, one.update.adapter)

    return made


def _same(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    one = honest[int(play.rng.integers(len(honest)))]
    return play.offered(one.factors, kind, one.update.adapter)


def _permuted(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    one, order = honest[int(play.rng.integers(len(honest)))], play.rng.permutation(_RANK)
    return play.offered(LowRank(one.factors.a[order], one.factors.b[:, order], 1.0), kind, one.update.adapter)


def _trained_on(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    """An original, and a part of the way that it had left."""
    one = honest[int(play.rng.integers(len(honest)))]
    u, s, v = np.linalg.svd(one.move + 0.2 * (play.goal - one.move))
    factors = LowRank(_f4(v[: 2 * _RANK]), _f4(u[:, : 2 * _RANK] * s[: 2 * _RANK]), 1.0)
    return play.offered(factors, kind, one.update.adapter)


def _mixed(play: Federation, kind: str, honest: Sequence[Offered]) -> Offered:
    one, two = (honest[int(place)] for place in play.rng.choice(len(honest), 2, replace=False))
    both = LowRank(
        _f4(np.concatenate([one.factors.a, two.factors.a])),
        _f4(np.concatenate([0.5 * one.factors.b, 0.5 * two.factors.b], axis=1)),
        1.0,
    )
    return play.offered(both, kind, one.update.adapter)


def _withheld(play: Federation, kind: str, _honest: Sequence[Offered]) -> Offered:
    return play.offered(_worthy(play), kind, withheld=True)


def _revealed_late(play: Federation, kind: str, _honest: Sequence[Offered]) -> Offered:
    """Work of its own, committed before all others and shown when they are in."""
    return play.offered(play.trained(), kind, late=True)


def _worthy(play: Federation) -> LowRank:
    u, s, v = np.linalg.svd(0.5 * play.goal)
    return LowRank(_f4(v[:_RANK]), _f4(u[:, :_RANK] * s[:_RANK]), 1.0)


CHEATS: dict[str, Callable[[Federation, str, Sequence[Offered]], Offered]] = {
    "noise": _noise,
    "sign flip": _flipped,
    "shuffled labels": _shuffled,
    "bytes": _same,
    "gauge": _turned,
    "scale": _scaled,
    "noise of its norm": _noisy(1.0),
    "noise of twice its norm": _noisy(2.0),
    "permuted": _permuted,
    "trained on": _trained_on,
    "two-way mix": _mixed,
    "withheld adapter": _withheld,
    "withheld parent": _withheld,
    "late reveal": _revealed_late,
}
"""name → what makes the offer; a parent that cannot be had withholds an update as its own bytes would"""
