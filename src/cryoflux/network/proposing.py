"""What of all offers to compose, found on a node's own training side: the search of a round.

Greedy: of all proposals the one with the largest sure gain on the screen is taken, then the best one beside
it, and so on, until none has any. The sure gain is S − √(x·V), with S = Σδᵢ, V = Σδᵢ² and the bar x =
2·ln(proposals tried / 0.05): it is above zero where the evidence S²/V exceeds the bar. (By evidence alone the
smallest of several steps would win, whose gain is the most even and the least.) Nothing here looks at the
guest holdout, which sees what comes of it once.

Compositions are judged, never updates: updates that help alone may harm together, and updates that harm alone
may help in a mean. So each offer is proposed added, in three sizes, and mixed, in four shares, and each
update of the head at other weights.

The cheap comes first. All proposals are tried on few examples, and the best of each offer on all of them,
if it shows any promise.
After a step, offers are tried again in the order of what they showed last, and the search ends there as soon
as one shows more than the next one did: what an offer adds to a composition is rarely more than what it added
to a smaller one.

The search is a pure function of the losses that it is given, so whoever has those has its result.
"""

from __future__ import annotations

__all__ = ["FEW", "MOST_BROUGHT", "PROPOSALS", "FoundSteps", "ScreenLosses", "search_round"]

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.errors import ModelError
from cryoflux.evaluation.losses import EvaluationFailedError
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after

ScreenLosses = Callable[[Composition, int], Sequence[int]]
"""losses of a version on the first so many examples of the screen, nano-nats; raises a `ModelError` where its
list cannot be added up"""
_ADDED = ("1", "1/2", "1/4")
_MIXED = ("1", "1/2", "1/3", "1/4")
"""the first takes the offerer's whole model in the head's place: who joins late needs one look, not 500"""
PROPOSALS = len(_ADDED) + len(_MIXED)
"""that are made of an offer"""
_REWEIGHTED = ("1/2", "3/4", "5/4")
FEW = 128
"""examples that a proposal is tried on first"""
_PROMISING = 1.0
"""evidence on these from which on a proposal is tried on all: what is missed there is not seen again"""
MOST_BROUGHT = 96
"""terms of all lists that the steps of a round bring: its record is one entry, and names them all"""
_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class FoundSteps:
    """What a search came to."""

    steps: tuple[ListStep, ...]
    """none where nothing that was offered helps"""
    composed: Composition
    """what the steps make of the head"""
    evidence: Evidence
    """of it against the head, on the whole screen"""
    tried: int
    """proposals that were looked at"""
    read: int
    """losses that were computed"""
    helped: tuple[bool | None, ...]
    """of each offer, whether a proposal of it ever had a sure gain; none where the search did not reach it"""


@dataclass(slots=True)
class _Search:
    losses: ScreenLosses
    count: int
    goes_on: Callable[[], bool]
    refused: Collection[str]
    known: dict[str, list[int]] = field(default_factory=dict)
    """list → losses on the examples that were read for it, from the first on"""
    tried: int = 0
    read: int = 0
    helped: dict[int, bool] = field(default_factory=dict)
    """number of an offer → whether it ever had a sure gain"""

    def of(self, composed: Composition, count: int) -> list[int]:
        """Losses of the first so many examples; those that are known are not computed again."""
        held = self.known.get(composed.digest, [])
        if len(held) < count:
            self.read += count - len(held)
            held = list(self.losses(composed, count))
            self.known[composed.digest] = held
        return held[:count]

    def gain(
        self, head: Composition, step: ListStep, count: int, bar: float
    ) -> tuple[float, Composition] | None:
        """The sure gain of a step on the first so many examples, nano-nats, and what it makes.

        None where it has none: where its evidence is no larger than the bar.
        """
        try:
            composed = after(head, [step])
            if composed.digest in self.refused:
                return None
            new = self.of(composed, count)
        except (ModelError, EvaluationFailedError):  # it cannot be added up, or what it makes is broken
            return None
        shown = pair_losses(self.of(head, count), new)
        sure = shown.delta - math.sqrt(bar * shown.delta_squared)
        return (sure, composed) if sure > 0 else None


def search_round(
    head: Composition,
    offers: Sequence[OfferedUpdate],
    losses: ScreenLosses,
    count: int,
    *,
    most: int = 16,
    goes_on: Callable[[], bool] = lambda: True,
    taken: Callable[[Composition], None] = lambda _: None,
    refused: Collection[str] = frozenset(),
) -> FoundSteps:
    """Search for what to compose of the head and what is offered.

    Args:
        head: what the head is composed of.
        offers: updates, in the order in which they were committed.
        losses: what evaluates on the screen.
        count: examples of the screen.
        most: steps.
        goes_on: asked before each offer is tried; where it is false, what was found until then counts.
        taken: is told of each list that a step makes: the next one may fold it.
        refused: digests of lists that the guest holdout has refused to put in this head's place: showing it
            one of them again would be a look for nothing.
    """
    search, at, steps = _Search(losses, count, goes_on, refused), head, list[ListStep]()
    waiting = [(math.inf, number, _proposals(offer)) for number, offer in enumerate(offers)]
    own = {term.adapter for term in head.terms}
    waiting += [
        (math.inf, len(offers) + number, _other_weights(head, adapter))
        for number, adapter in enumerate(sorted(own))
    ]
    while waiting and len(steps) < most:
        if (best := _best(search, at, waiting)) is None:
            break
        _, number, step, at = best
        steps.append(step)
        taken(at)
        left = MOST_BROUGHT - sum(len(one.update.parent) for one in steps)
        waiting = [one for one in waiting if one[1] != number and len(one[2][0].update.parent) <= left]
    evidence = pair_losses(search.of(head, count), search.of(at, count))
    helped = tuple(search.helped.get(number) for number in range(len(offers)))
    return FoundSteps(tuple(steps), at, evidence, search.tried, search.read, helped)


def _best(
    search: _Search, head: Composition, waiting: list[tuple[float, int, list[ListStep]]]
) -> tuple[float, int, ListStep, Composition] | None:
    """The step with the largest sure gain; ``waiting`` keeps what each offer showed, the most first."""
    best: tuple[float, int, ListStep, Composition] | None = None
    waiting.sort(key=lambda one: (-one[0], one[1]))
    for place, (before, number, proposals) in enumerate(waiting):
        if (best is not None and best[0] >= before) or not search.goes_on():
            break
        found = _best_of(search, head, proposals)
        search.helped[number] = search.helped.get(number, False) or found is not None
        waiting[place] = (found[0] if found is not None else 0.0, number, proposals)
        if found is not None and (best is None or found[0] > best[0]):
            best = (found[0], number, *found[1:])
    return best


def _best_of(
    search: _Search, head: Composition, proposals: Sequence[ListStep]
) -> tuple[float, ListStep, Composition] | None:
    """The best of the proposals that are made of one update; none where none of them helps."""
    few = min(FEW, search.count)
    shown = []
    for step in proposals:
        search.tried += 1
        if (found := search.gain(head, step, few, _PROMISING)) is not None:
            shown.append((found[0], step))
    if not shown:
        return None
    step = max(shown, key=lambda one: one[0])[1]
    found = search.gain(head, step, search.count, 2 * math.log(search.tried / _CHANCE))
    return (found[0], step, found[1]) if found is not None else None


def _proposals(offer: OfferedUpdate) -> list[ListStep]:
    return [
        ListStep(kind=kind, update=offer, amount=amount)
        for kind, amounts in ((StepKind.ADD, _ADDED), (StepKind.MIX, _MIXED))
        for amount in amounts
    ]


def _other_weights(head: Composition, adapter: str) -> list[ListStep]:
    update = OfferedUpdate(adapter=adapter, genesis=head.genesis)
    return [ListStep(kind=StepKind.REWEIGHT, update=update, amount=amount) for amount in _REWEIGHTED]
