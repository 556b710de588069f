"""What of all offers to compose, found on a node's own training side: the search of a round.

Greedy: of all proposals the one that shows the largest sure gain is taken, then the best one beside it, and
so on, until none has any. The sure gain is S − √(x·V), with S = Σδᵢ, V = Σδᵢ²: it is above zero where the
evidence S²/V exceeds the bar x. (By evidence alone the smallest of several steps would win, whose gain is the
most even and the least; by a low bar the one that chance favours, or one that overshoots, and whose gain the
guest holdout may not see.) A step needs an evidence of 4; what all of them make of the head has to pass the
bar 2·ln(proposals tried / 0.05). So steps that are too small to be sure alone may be sure together.
Nothing here looks at the guest holdout, which sees what comes of it once.

Compositions are judged, never updates: updates that help alone may harm together, and updates that harm alone
may help in a mean. So each offer is proposed added, in three sizes, and mixed, in four shares, and each
update of the head at other weights.

The cheap comes first. What a step shows for its noise falls as it grows, as long as losses bend upwards
along it. So of each offer the smallest steps are tried, on few examples: where one gains nothing no larger
one is tried, and where it does, larger ones are as long as they show more. The best of all offers is then
read on twice as many examples, and again, until it shows enough or all are read.

After a step, offers are tried again in the order of what they showed last, and the first that still helps is
taken. What showed nothing is tried once more before the search ends, because it may help beside what was
taken meanwhile. At the end what was found is read on all examples, and as many of the last steps are taken
back as it takes for the whole to be sure there.

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
from cryoflux.network.round_losses import LossesByList, packed
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after

ScreenLosses = Callable[[Composition, range], Sequence[int]]
"""losses of a version on some examples of the screen, by their places, nano-nats; raises a `ModelError` where
its list cannot be added up"""
_ADDED = ("1/4", "1/2", "1")
_MIXED = ("1/4", "1/3", "1/2", "1")
"""the last takes the offerer's whole model in the head's place: who joins late needs one look, not 500"""
_LESS, _MORE = ("3/4", "1/2"), ("5/4",)
PROPOSALS = len(_ADDED) + len(_MIXED)
"""that are made of an offer, at most, each time it is tried"""
FEW = 128
"""examples that a proposal is tried on first"""
MOST_BROUGHT = 96
"""terms of all lists that the steps of a round bring: its record is one entry, and names them all"""
_COMPARED = 16.0
"""bar of the sure gains that proposals are compared by on these: four standard errors, so that a small step
whose gain is even comes before a large one whose gain is not, which the guest holdout might not see"""
_HELPFUL = 4.0
"""evidence that a step needs, on as many examples as it takes"""
_CHANCE = 0.05
"""of the bar that the whole needs"""
_MOST_REWEIGHTED = 8
"""updates of the head, the newest, that are tried at other weights: a head may have many more"""

Ladder = tuple[ListStep, ...]
"""steps along one line, the smallest first"""


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
    """of each offer, whether a proposal of it ever showed enough; none where the search did not reach it"""


@dataclass(slots=True)
class _Waiting:
    """An update that may still be taken, and what it showed when it was last tried."""

    number: int
    ladders: tuple[Ladder, ...]
    shown: float = math.inf
    """its largest sure gain on few examples, nano-nats; −∞ where it showed none, or none that lasted"""
    step: ListStep | None = None
    """that showed it"""

    @property
    def adapter(self) -> str:
        """Of the update."""
        return self.ladders[0][0].update.adapter

    @property
    def brings(self) -> int:
        """Terms of the list that it was trained on."""
        return len(self.ladders[0][0].update.parent)


@dataclass(slots=True)
class _Search:
    losses: ScreenLosses
    count: int
    goes_on: Callable[[], bool]
    refused: Collection[str]
    known: LossesByList
    tried: int = 0
    read: int = 0
    helped: dict[int, bool] = field(default_factory=dict)
    """number of an offer → whether it ever showed enough"""

    def of(self, composed: Composition, count: int) -> Sequence[int]:
        """Losses of the first so many examples; those that are known are not computed again."""
        held = self.known.setdefault(composed.digest, packed())
        if missing := range(len(held), count):
            held.extend(self.losses(composed, missing))
            self.read += len(missing)
        return held[:count]

    @property
    def bar(self) -> float:
        """Evidence above which a gain is sure, by how much was tried."""
        return 2 * math.log(max(1, self.tried) / _CHANCE)

    def is_refused(self, head: Composition, step: ListStep) -> bool:
        """Whether a step makes what the guest holdout has refused."""
        try:
            return after(head, [step]).digest in self.refused
        except ModelError:  # it cannot be taken at all
            return False

    def shown(self, head: Composition, step: ListStep, count: int) -> Evidence | None:
        """What a step shows on the first so many examples; none where it cannot be taken."""
        try:
            new = self.of(after(head, [step]), count)
            return pair_losses(self.of(head, count), new)
        except (ModelError, EvaluationFailedError):  # it cannot be added up, or what it makes is broken
            return None

    def is_broken(self, composed: Composition) -> bool:
        """Whether a version has losses that are no numbers, or absurd, on one of all examples."""
        try:
            self.of(composed, self.count)
        except EvaluationFailedError:
            return True
        return False

    def try_few(self, head: Composition, one: _Waiting) -> None:
        """Let an update show on few examples what it adds to a head."""
        one.shown, one.step = -math.inf, None
        self.helped.setdefault(one.number, False)
        for ladder in one.ladders:
            least = -math.inf
            for step in ladder:
                if self.is_refused(head, step):
                    continue
                self.tried += 1
                shown = self.shown(head, step, min(FEW, self.count))
                if shown is None or shown.delta <= 0 or (gain := _sure_gain(shown, _COMPARED)) <= least:
                    break
                least = gain
                self.helped[one.number] |= _sure_gain(shown, _HELPFUL) > 0
                if gain > one.shown:
                    one.shown, one.step = gain, step

    def lasts(self, head: Composition, number: int, step: ListStep) -> bool:
        """Whether a step of an update shows enough on more and more examples, all of them at last."""
        count = min(FEW, self.count)
        while (shown := self.shown(head, step, count)) is not None and shown.delta > 0:
            if _sure_gain(shown, _HELPFUL) > 0:
                self.helped[number] = True
                return True
            if count == self.count:
                break
            count = min(2 * count, self.count)
        return False


def _sure_gain(shown: Evidence, bar: float) -> float:
    """S − √(x·V), nano-nats: above zero where the evidence exceeds the bar."""
    return shown.delta - math.sqrt(bar * shown.delta_squared)


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
    unmixed: Collection[str] = frozenset(),
    known: LossesByList | None = None,
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
        unmixed: adapters of offers that are added alone: a mixture would bring back what was recalled.
        known: losses that searches before this one have read, which it does not read again and adds to.
    """
    search = _Search(losses, count, goes_on, refused, known if known is not None else {})
    broken, steps = set[str](), list[ListStep]()
    while True:
        gone = {*broken, *(step.update.adapter for step in steps)}
        made = _go_on(search, head, _waiting(head, offers, unmixed, gone), steps, most, taken)
        if not steps or not search.is_broken(made[-1]):
            break
        # On few examples it was sound: what breaks on others is left out, and the rest searched on without.
        sound = next(at for at, one in enumerate(made[1:]) if search.is_broken(one))
        broken.add(steps[sound].update.adapter)
        del steps[sound:]
    evidence = pair_losses(search.of(head, count), search.of(made[-1], count))
    while steps and (_sure_gain(evidence, search.bar) <= 0 or made[-1].digest in refused):
        del steps[-1], made[-1]
        evidence = pair_losses(search.of(head, count), search.of(made[-1], count))
    helped = tuple(search.helped.get(number) for number in range(len(offers)))
    return FoundSteps(tuple(steps), made[-1], evidence, search.tried, search.read, helped)


def _waiting(
    head: Composition, offers: Sequence[OfferedUpdate], unmixed: Collection[str], gone: Collection[str]
) -> list[_Waiting]:
    """What may be taken: offers, and updates of the head at other weights, but for some adapters."""
    waiting = [
        _Waiting(number, _ladders(offer, mixed=offer.adapter not in unmixed))
        for number, offer in enumerate(offers)
    ]
    # Not a list that was folded: without an update in it that is recalled, it would be another one.
    own = (term.adapter for term in reversed(head.terms) if not term.is_list)
    newest = list(dict.fromkeys(own))[:_MOST_REWEIGHTED]
    waiting += [
        _Waiting(len(offers) + number, _other_weights(head, adapter)) for number, adapter in enumerate(newest)
    ]
    return [one for one in waiting if one.adapter not in gone]


def _go_on(
    search: _Search,
    head: Composition,
    waiting: list[_Waiting],
    steps: list[ListStep],
    most: int,
    taken: Callable[[Composition], None],
) -> list[Composition]:
    """Add to some steps what still helps behind them; the head, and the list after each of them."""
    made = [head]
    for known in steps:
        made.append(after(made[-1], [known]))
    while waiting and len(steps) < most and (step := _best(search, made[-1], waiting)) is not None:
        steps.append(step)
        made.append(after(made[-1], [step]))
        taken(made[-1])
        left = MOST_BROUGHT - sum(len(one.update.parent) for one in steps)
        waiting = [one for one in waiting if one.brings <= left]
    return made


def _best(search: _Search, head: Composition, waiting: list[_Waiting]) -> ListStep | None:
    """The step that shows most and lasts, whose update waits no longer; none where there is none."""
    tried = set[int]()
    while search.goes_on():
        first = min(waiting, key=lambda one: (-one.shown, one.number in tried, one.number))
        if first.number not in tried:
            tried.add(first.number)
            unseen = first.shown == math.inf
            search.try_few(head, first)
            if unseen or first.step is None:
                continue
        if first.step is None:
            break
        if search.lasts(head, first.number, first.step):
            waiting.remove(first)
            return first.step
        first.shown, first.step = -math.inf, None
    return None


def _ladders(offer: OfferedUpdate, *, mixed: bool) -> tuple[Ladder, ...]:
    added = _steps(StepKind.ADD, offer, _ADDED)
    return (added, _steps(StepKind.MIX, offer, _MIXED)) if mixed else (added,)


def _other_weights(head: Composition, adapter: str) -> tuple[Ladder, ...]:
    update = OfferedUpdate(adapter=adapter, genesis=head.genesis)
    return tuple(_steps(StepKind.REWEIGHT, update, amounts) for amounts in (_LESS, _MORE))


def _steps(kind: StepKind, update: OfferedUpdate, amounts: Sequence[str]) -> Ladder:
    return tuple(ListStep(kind=kind, update=update, amount=amount) for amount in amounts)
