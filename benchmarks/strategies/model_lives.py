"""Layer S3, *models*: lives of a judging node among honest offers and cheats, and what came of them."""

from __future__ import annotations

__all__ = ["Counted", "Living", "finds", "living", "two_rounds"]

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from cryoflux.decision.levels import RoundBudget
from cryoflux.decision.power import detectable
from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.runs.adopting import due_offers
from strategies.model_node import JudgingNode, Offered
from strategies.model_texts import Labelled, labelled
from strategies.model_world import ModelWorld

GUESTS = SEARCHED = 512
_SCREEN_CHANCE = 0.05
_NANO = 1e9
_HALF = 0.95**0.5
"""power of search and look each, so that both together have 95 %"""
_WAYS = [(StepKind.ADD, a) for a in ("1", "1/2", "1/4")] + [(StepKind.MIX, s) for s in ("1/2", "1/3", "1/4")]


@dataclass
class Counted:
    """What was counted over lives."""

    lives: int = 0
    harmful: int = 0
    """lives in which a head was adopted whose true Δ is not above zero"""
    unsure: int = 0
    """lives in which one was adopted whose true Δ is less than three of its standard errors from zero"""
    overstated: int = 0
    """lives in which a level was certified that the true Δ does not reach"""
    rounds: int = 0
    looks: int = 0
    accepted: int = 0
    members: int = 0
    """of accepted rounds"""
    negative: int = 0
    """of them, those without which the head would be better"""
    detectable: int = 0
    """honest offers that search and holdout find with 95 %, within two rounds"""
    used: int = 0
    """of them, those in use after two rounds"""
    marginals: list[float] = field(default_factory=list)
    """true Δ of honest offers at their best step, before the first round, nats"""
    gained: list[float] = field(default_factory=list)
    """true Δ of accepted rounds, nats"""
    flagged: int = 0
    """copies that the screen called duplicates"""
    missed: int = 0
    honest_flagged: int = 0
    """honest offers that were called copies"""
    instead: int = 0
    """copies that were taken while their original was not"""
    cheats: int = 0
    taken: int = 0
    """cheats in the head at the end"""
    verdicts: dict[str, int] = field(default_factory=dict)
    """of cheats, the first one each"""
    by_kind: dict[str, int] = field(default_factory=dict)
    """cheats in the head at the end, by kind"""

    def __add__(self, other: Counted) -> Counted:
        found = Counted()
        for name, mine in vars(self).items():
            theirs = getattr(other, name)
            if isinstance(mine, dict):
                both = {key: mine.get(key, 0) + theirs.get(key, 0) for key in {**mine, **theirs}}
                setattr(found, name, both)
            else:
                setattr(found, name, mine + theirs)
        return found


_names = count()


class Living:
    """A life of a node in a world, with a guest holdout and a search set that nobody else has."""

    def __init__(self, world: ModelWorld, node: JudgingNode, counted: Counted) -> None:
        self.world, self.node, self.counted = world, node, counted
        self._head = node.composed
        counted.lives += 1
        self._wrong = self._unsure = self._over = False
        self.stopped = 0
        """rounds that a guard set stopped"""

    def round(self, offers: Sequence[Offered]) -> RoundResult:
        """Make a round, and hold what it adopted against the population."""
        record = self.node.round(offers).record
        self.judge(record)
        return record

    def judge(self, record: RoundResult) -> None:
        """Hold what the newest round adopted against the population."""
        before, counted = self._head, self.counted
        self._head = self.node.composed
        counted.rounds += 1
        counted.looks += record.look is not None
        self.stopped += not all(guard.passed for guard in record.guards)
        if record.outcome is RoundOutcome.ACCEPTED and record.look is not None:
            delta, error = self.world.truly(before, self.node.composed)
            self._wrong |= delta <= 0
            self._unsure |= abs(delta) < 3 * error
            self._over |= delta <= record.look.level / _NANO
            counted.accepted += 1
            counted.gained.append(delta)
            self._members(before, record.steps)

    def _members(self, before: Composition, steps: Sequence[ListStep]) -> None:
        """Each new member of an accepted round: would the head be better without it?"""
        for step in steps:
            if step.kind is not StepKind.REWEIGHT:
                without = after(before, steps, {step.update.adapter})
                self.counted.members += 1
                self.counted.negative += self.world.truly(without, self.node.composed)[0] < 0

    def ended(self) -> None:
        """Count what the life has come to."""
        self.counted.harmful += self._wrong
        self.counted.unsure += self._unsure
        self.counted.overstated += self._over

    def finds(self, one: Offered) -> tuple[bool, float]:
        """Whether search and holdout find an offer with 95 %, and its true Δ at its best step."""
        return finds(self.world, self.node.composed, one.update, self._budget.needed_milli)

    @property
    def _budget(self) -> RoundBudget:
        tally = self.node.tally
        return tally.budget if tally is not None else RoundBudget(1)


def finds(
    world: ModelWorld, head: Composition, update: OfferedUpdate, needed_milli: int
) -> tuple[bool, float]:
    """Whether search and holdout of 512 texts each find an update with 95 %, and its true Δ at its best step.

    Args:
        world: whose updates.
        head: what it is added to.
        update: that is offered.
        needed_milli: what the next look needs, thousandths.
    """
    bar = max(needed_milli, round(2000 * math.log(60 / _SCREEN_CHANCE)))
    sure, best = False, -math.inf
    for kind, amount in _WAYS:
        step = ListStep(kind=kind, update=update, amount=amount)
        gained = world.gained(head, after(head, [step]), world.sample)
        delta = float(gained.mean())
        best = max(best, delta)
        sure |= delta >= detectable(GUESTS, float(gained.std()), bar, power=_HALF)
    return sure, best


@contextmanager
def living(
    world: ModelWorld,
    counted: Counted,
    rng: np.random.Generator,
    *,
    guest: Sequence[Labelled] = (),
    search: Sequence[Labelled] = (),
    guards: Mapping[str, Sequence[Labelled]] | None = None,
) -> Iterator[Living]:
    """A life of its own, whose files are gone after it.

    Args:
        world: whose genesis and offers.
        counted: what it is counted in.
        rng: draws its guest holdout and its search set.
        guest: in place of what is drawn: somebody else has it.
        search: the same.
        guards: name of a guard set → its texts.
    """
    path = world.state(str(next(_names))).path
    shutil.copytree(world.node, path, symlinks=True, ignore=shutil.ignore_patterns("network"))
    (path / "network").mkdir()
    (path / "network" / "incoming").symlink_to(world.node / "network" / "incoming")
    try:
        node = JudgingNode(path)
        with closing(node):
            node.enter(search or labelled(rng, SEARCHED), guest or labelled(rng, GUESTS))
            node.guard(guards or {})
            life = Living(world, node, counted)
            yield life
            life.ended()
    finally:
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(path.with_name(f"{path.name}-machine"), ignore_errors=True)


def two_rounds(life: Living, honest: Sequence[Offered], cheats: Sequence[Offered]) -> None:
    """Two rounds of all that is offered, as a run would make them; what is shown late comes to the second."""
    counted, node = life.counted, life.node
    offers = [*honest, *cheats]
    found = {one.adapter: life.finds(one) for one in honest}
    counted.marginals += [best for _, best in found.values()]
    first = life.round(offers)
    _note_verdicts(counted, offers, first)
    shown = [replace(one, absent="") if one.kind == "late reveal" else one for one in offers]
    taken = node.adopted
    still = {one.adapter: life.finds(one)[0] for one in honest if one.adapter not in taken}
    due = {one.update.adapter for one in due_offers(node.said, [o.here for o in shown], node.head, "judge")}
    if due and node.tally is not None:
        life.round([one for one in shown if one.adapter in due])
    used = node.adopted
    names = [name for name, (sure, _) in found.items() if sure and (name in taken or still[name])]
    counted.detectable += len(names)
    counted.used += sum(name in used for name in names)
    for one in cheats:
        counted.cheats += 1
        if one.adapter in used:
            counted.taken += 1
            counted.by_kind[one.kind] = counted.by_kind.get(one.kind, 0) + 1
        counted.instead += bool(one.copy_of and one.adapter in used and one.copy_of not in used)


def _note_verdicts(counted: Counted, offers: Sequence[Offered], record: RoundResult) -> None:
    verdicts = {member.capsule: member.verdict for member in record.members}
    for one in offers:
        verdict = verdicts[one.adapter]
        copied = verdict is MemberVerdict.DUPLICATE
        if one.kind == "honest":
            counted.honest_flagged += copied
            continue
        counted.verdicts[verdict.value] = counted.verdicts.get(verdict.value, 0) + 1
        if one.copy_of:
            counted.flagged += copied
            counted.missed += not copied
