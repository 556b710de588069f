"""The search of a round takes what helps together, and not what helps alone or what is noise."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.levels import RoundBudget, certified_level
from cryoflux.errors import ModelError
from cryoflux.evaluation.losses import EvaluationFailedError
from cryoflux.network.proposing import FEW, MOST_BROUGHT, search_round
from cryoflux.network.round_losses import LossesByList
from cryoflux.registry.composition import Composition, folded
from cryoflux.registry.mixture import OfferedUpdate, StepKind

GENESIS = "00" * 32
BASE = Composition(genesis=GENESIS)
COUNT, WIDTH = 256, 6
ALL = range(COUNT)


def named(number: int) -> str:
    return f"{number:064x}"


def offer(number: int, parent: Composition = BASE) -> OfferedUpdate:
    return OfferedUpdate(adapter=named(number), genesis=GENESIS, parent=parent.terms)


class World:
    """A model is a point, an update moves it, and a loss is how far it is from the goal of an example."""

    def __init__(self, moves: Mapping[int, np.ndarray], *, spread: float = 0.3, seed: int = 5) -> None:
        self.moves = {named(number): move for number, move in moves.items()}
        goal = np.ones(WIDTH)
        self.goals = goal + spread * np.random.default_rng(seed).normal(size=(COUNT, WIDTH))
        self.read = 0
        self.lists: dict[str, Composition] = {}

    def knows(self, composed: Composition) -> None:
        """Of a list that may be folded."""
        self.lists[composed.digest] = composed

    def point(self, composed: Composition) -> np.ndarray:
        found = np.zeros(WIDTH)
        for term in composed.terms:
            moved = self.point(self.lists[term.adapter]) if term.is_list else self.moves[term.adapter]
            found = found + float(term.weight) * moved
        return found

    def losses(self, composed: Composition, places: range = ALL) -> list[int]:
        point = self.point(composed)
        self.read += len(places)
        goals = self.goals[places.start : places.stop]
        return [round(1e8 * float(((point - one) ** 2).sum())) for one in goals]


def axis(*places: int, length: float = 1.0) -> np.ndarray:
    return length * np.isin(np.arange(WIDTH), places).astype(float)


def test_updates_that_help_different_things_are_added_up() -> None:
    world = World({1: axis(0, 1), 2: axis(2, 3), 3: axis(4, 5)})
    found = search_round(BASE, [offer(1), offer(2), offer(3)], world.losses, COUNT)
    assert {step.update.adapter for step in found.steps} == {named(1), named(2), named(3)}
    assert found.evidence.delta_mean == pytest.approx(0.6, abs=0.1)


def test_four_that_each_help_alone_and_harm_in_a_sum_are_not_summed() -> None:
    world = World({number: np.full(WIDTH, 0.9) for number in (1, 2, 3, 4)})
    every = [offer(number) for number in (1, 2, 3, 4)]
    summed = Composition(genesis=GENESIS, terms=tuple(one.term for one in every))
    assert sum(world.losses(summed)) > sum(world.losses(BASE))
    found = search_round(BASE, every, world.losses, COUNT)
    assert found.evidence.delta_mean > 0.4
    assert sum(float(term.weight) for term in found.composed.terms) < 1.6


def test_what_harms_as_it_is_may_help_in_a_smaller_part() -> None:
    world = World({1: axis(0, length=2.6)})
    found = search_round(BASE, [offer(1)], world.losses, COUNT)
    assert found.composed.terms[0].weight in {"0.5", "0.25", "0.333333333333"}
    assert found.evidence.delta > 0


@pytest.mark.parametrize("seed", range(8))
def test_noise_and_what_was_flipped_is_left_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moves = {1: -axis(0, 1, 2), 2: -axis(3), **{n: rng.normal(size=WIDTH) * 20 for n in range(3, 9)}}
    found = search_round(BASE, [offer(n) for n in moves], World(moves, seed=seed).losses, COUNT)
    assert {named(1), named(2)}.isdisjoint(step.update.adapter for step in found.steps)
    assert found.evidence.delta >= 0


def test_an_update_of_the_head_that_went_too_far_is_taken_back_a_part() -> None:
    head = Composition(genesis=GENESIS, terms=(offer(1).term,))
    found = search_round(head, [], World({1: axis(0, 1, 2, length=1.9)}).losses, COUNT)
    assert [step.kind.value for step in found.steps] == ["reweight"]
    assert found.composed.terms[0].weight == "0.5"


def test_the_same_losses_give_the_same_result_and_each_is_computed_once() -> None:
    rng = np.random.default_rng(2)
    moves = {number: rng.normal(size=WIDTH) * 0.4 + 0.1 for number in range(1, 9)}
    world = World(moves)
    found = search_round(BASE, [offer(n) for n in moves], world.losses, COUNT)
    assert found == search_round(BASE, [offer(n) for n in moves], World(moves).losses, COUNT)
    assert found.read == world.read


def test_a_search_reads_nothing_that_one_before_it_has_read_and_keeps_eight_bytes_a_loss() -> None:
    world = World({1: axis(0), 2: axis(1), 3: -axis(2)})
    known: LossesByList = {}
    offers = [offer(1), offer(2), offer(3)]
    first = search_round(BASE, offers, world.losses, COUNT, known=known)
    assert sum(map(len, known.values())) == first.read == world.read
    again = search_round(BASE, offers, world.losses, COUNT, known=known)
    assert (again.steps, again.evidence, again.tried) == (first.steps, first.evidence, first.tried)
    assert (again.read, world.read) == (0, first.read)
    assert {one.itemsize for one in known.values()} == {8}


def test_what_cannot_be_added_up_is_passed_over() -> None:
    world = World({1: axis(0, 1)})

    def losses(composed: Composition, places: range) -> list[int]:
        if any(term.adapter == named(2) for term in composed.terms):
            raise ModelError("it does not fit")
        return world.losses(composed, places)

    found = search_round(BASE, [offer(2), offer(1)], losses, COUNT)
    assert [step.update.adapter for step in found.steps] == [named(1)]


def test_what_makes_losses_that_are_no_numbers_has_no_gain_and_stops_nobody() -> None:
    world = World({1: axis(0, 1), 2: axis(2, 3)})
    sound = world.losses

    def losses(composed: Composition, places: range) -> Sequence[int]:
        if any(term.adapter == named(2) for term in composed.terms):
            raise EvaluationFailedError("A loss is absurd.")
        return sound(composed, places)

    found = search_round(BASE, [offer(2), offer(1)], losses, COUNT)
    assert {one.update.adapter for one in found.steps} == {named(1)}
    assert found.helped == (False, True)


def test_who_joins_late_takes_another_whole_list_in_one_step() -> None:
    """Over a bare head, and over one that went the wrong way."""
    world = World({**{number: axis(number % WIDTH, length=0.1) for number in range(60)}, 99: -axis(0, 1)})
    theirs = BASE
    for number in range(60):
        theirs = theirs.adopting(named(number))
    offered = OfferedUpdate(adapter=theirs.terms[-1].adapter, genesis=GENESIS, parent=theirs.terms[:-1])
    for head in (BASE, BASE.adopting(named(99))):
        found = search_round(head, [offered], world.losses, COUNT)
        assert found.composed == theirs
        assert [step.amount for step in found.steps] == ["1"]


def test_what_would_bring_back_what_was_recalled_is_added_and_never_mixed() -> None:
    below = Composition(genesis=GENESIS).adopting(named(1))
    world = World({1: axis(0, 1, 2), 2: axis(3)})
    free = search_round(BASE, [offer(2, below)], world.losses, COUNT)
    held = search_round(BASE, [offer(2, below)], world.losses, COUNT, unmixed={named(2)})
    assert [step.kind for step in free.steps] == [StepKind.MIX]
    assert [step.kind for step in held.steps] == [StepKind.ADD]


def test_a_list_that_was_folded_is_not_tried_at_another_weight() -> None:
    below = Composition(genesis=GENESIS).adopting(named(1))
    world = World({1: axis(0, 1, 2, length=1.9)})
    world.knows(below)
    head = Composition(genesis=GENESIS, terms=folded(below.terms))
    assert search_round(head, [], world.losses, COUNT).steps == ()


def test_lists_that_steps_bring_fit_into_the_record_of_a_round() -> None:
    world = World({number: axis(number % WIDTH, length=0.02) for number in range(400)})
    offers = []
    for first in range(0, 400, 40):
        theirs = BASE
        for number in range(first, first + 39):
            theirs = theirs.adopting(named(number))
        world.knows(theirs)
        offers.append(offer(first + 39, theirs))
    found = search_round(BASE, offers, world.losses, COUNT, taken=world.knows)
    assert len(found.steps) == MOST_BROUGHT // 39
    assert len(found.composed.terms) < 64


def test_nothing_offered_is_nothing_found() -> None:
    found = search_round(BASE, [], World({}).losses, COUNT)
    assert (found.steps, found.tried, found.composed) == ((), 0, BASE)


def test_what_shows_no_promise_in_its_smallest_step_costs_no_more_than_that() -> None:
    moves = {number: -axis(number % WIDTH, length=2.0) for number in range(1, 7)}
    found = search_round(BASE, [offer(number) for number in moves], World(moves).losses, COUNT)
    assert (found.steps, found.helped) == ((), (False,) * 6)
    assert found.read <= COUNT + 6 * FEW


def test_what_only_the_first_examples_bear_out_is_taken_back() -> None:
    world = World({1: axis(0, 1, 2)})
    world.goals[FEW:, :3] = -2.0
    assert search_round(BASE, [offer(1)], world.losses, FEW).steps
    found = search_round(BASE, [offer(1)], world.losses, COUNT)
    assert (found.steps, found.composed, found.evidence.delta) == ((), BASE, 0)


def test_of_a_long_list_only_the_newest_updates_are_tried_at_other_weights() -> None:
    moves = {number: axis(number % WIDTH, length=0.5) for number in range(1, 31)}
    head = Composition(genesis=GENESIS, terms=tuple(offer(number).term for number in moves))
    world = World(moves)
    asked: list[Composition] = []

    def losses(composed: Composition, places: range) -> list[int]:
        asked.append(composed)
        return world.losses(composed, places)

    found = search_round(head, [], losses, COUNT)
    touched = {one.adapter for composed in asked for one in composed.terms if one.weight != "1"}
    assert found.steps
    assert touched == {named(number) for number in range(23, 31)}


def test_what_is_too_small_to_be_sure_alone_may_be_sure_together() -> None:
    world = World({number: axis(number - 1, length=0.5) for number in range(1, 7)}, spread=6)
    every = [offer(number) for number in range(1, 7)]
    sure = [one for one in every if search_round(BASE, [one], world.losses, COUNT).steps]
    together = search_round(BASE, every, world.losses, COUNT)
    assert len(sure) < len(together.steps)


def test_what_is_composed_is_small_enough_to_be_seen_on_other_examples() -> None:
    """Four updates whose gain is uneven: half of one gains more than a quarter, and is seen less often."""
    count, seen = 512, 0
    for seed in range(60):
        uneven = np.random.default_rng(seed).normal(size=(5, 2 * count))

        def losses(composed: Composition, places: range, uneven: np.ndarray = uneven) -> list[int]:
            weights = np.zeros(4)
            for term in composed.terms:
                weights[int(term.adapter, 16) - 1] += float(term.weight)
            whole = weights.sum()
            gained = 0.3 * whole - 0.32 * whole**2 + 0.84 * 0.7 * (weights @ (uneven[:4] + uneven[4]))
            return [round(1e9 * (5 - one)) for one in gained[places.start : places.stop]]

        found = search_round(BASE, [offer(number) for number in (1, 2, 3, 4)], losses, count)
        others = range(count, 2 * count)
        shown = pair_losses(losses(BASE, others), losses(found.composed, others))
        seen += certified_level(shown, RoundBudget(10_000).needed_milli) > 0
    assert seen >= 50  # 43 where steps are compared by a bar of 2
