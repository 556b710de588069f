"""Steps of a round are the sums that they say, to the bit, and leaving one out undoes it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import ModelError
from cryoflux.registry.compose import Adapter, LowRank, compose
from cryoflux.registry.composition import MOST_TERMS, Composition, Term, parse_list
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after

GENESIS = "00" * 32
BASE = Composition(genesis=GENESIS)


def named(number: int) -> str:
    return f"{number:064x}"


def step(kind: StepKind, number: int, amount: str, parent: Composition = BASE) -> ListStep:
    return ListStep(
        kind=kind,
        update=OfferedUpdate(adapter=named(number), genesis=parent.genesis, parent=parent.terms),
        amount=amount,
    )


def add(number: int, amount: str = "1", parent: Composition = BASE) -> ListStep:
    return step(StepKind.ADD, number, amount, parent)


@st.composite
def new_steps(draw: st.DrawFn, *, first: int, most: int) -> list[ListStep]:
    """Additions and mixtures of updates that no other step names."""
    found = []
    for number in range(first, first + draw(st.integers(0, most))):
        kind = draw(st.sampled_from([StepKind.ADD, StepKind.MIX]))
        amount = draw(st.sampled_from(["1", "1/2", "1/4"] if kind is StepKind.ADD else ["1/2", "1/3", "1/4"]))
        parent = after(BASE, [add(other) for other in draw(st.sets(st.integers(1, 4), max_size=2))])
        found.append(step(kind, number, amount, parent))
    return found


@given(new_steps(first=10, most=8))
def test_every_list_that_steps_make_can_be_written_and_read_back(steps: list[ListStep]) -> None:
    found = after(BASE, steps)
    assert parse_list("".join(term.line for term in found.terms).encode()) == found.terms


@given(new_steps(first=10, most=5), st.sampled_from(["1/2", "1/3", "1/4"]))
def test_a_mixture_with_ones_own_head_leaves_what_is_in_both(steps: list[ListStep], share: str) -> None:
    head = after(BASE, steps)
    found = {t.adapter: Fraction(t.weight) for t in after(head, [step(StepKind.MIX, 99, share, head)]).terms}
    for term in head.terms:
        assert abs(found[term.adapter] - Fraction(term.weight)) <= Fraction(2, 10**12)
    assert abs(found[named(99)] - Fraction(share)) <= Fraction(1, 10**12)


def test_a_mixture_of_two_models_is_their_weighted_mean() -> None:
    rng = np.random.default_rng(3)
    genesis = {"w": rng.normal(size=(4, 5)).astype("f4")}
    adapters = {
        named(at): Adapter(
            {"w": LowRank(rng.normal(size=(2, 5)).astype("f4"), rng.normal(size=(4, 2)).astype("f4"), 2.0)}
        )
        for at in (1, 2, 3)
    }
    head, parent = after(BASE, [add(1)]), after(BASE, [add(2)])
    theirs = after(parent, [add(3, parent=parent)])

    def weights(composed: Composition) -> np.ndarray:
        lists = {one.digest: one.terms for one in (BASE, head, parent)}
        return compose(composed, genesis, adapters.__getitem__, lists.__getitem__).value("w").astype("f8")

    found = after(head, [step(StepKind.MIX, 3, "1/4", parent)])
    due = 0.75 * weights(head) + 0.25 * weights(theirs)
    assert np.allclose(weights(found), due, rtol=0, atol=2e-6)


def test_reweighting_to_a_half_and_back_is_nothing_and_to_zero_takes_it_away() -> None:
    head = after(BASE, [add(1), add(2)])
    halved = after(head, [step(StepKind.REWEIGHT, 1, "1/2")])
    assert Fraction(halved.terms[0].weight) == Fraction(1, 2)
    assert after(halved, [step(StepKind.REWEIGHT, 1, "2")]) == head
    assert after(head, [step(StepKind.REWEIGHT, 1, "0")]) == after(BASE, [add(2)])


def test_what_cannot_be_a_list_is_refused() -> None:
    with pytest.raises(ModelError, match="over the genesis"):
        after(BASE, [add(1, parent=Composition(genesis="11" * 32))])
    with pytest.raises(ModelError, match="no update"):
        after(BASE, [step(StepKind.REWEIGHT, 1, "2")])
    heavy = Composition(genesis=GENESIS, terms=(Term(weight="9999", adapter=named(1), parent=BASE.digest),))
    with pytest.raises(ModelError, match="larger than"):
        after(heavy, [step(StepKind.REWEIGHT, 1, "2")])


def long(count: int, first: int = 0) -> Composition:
    """Updates of one node, each trained on the one before."""
    composed = BASE
    for number in range(count):
        composed = composed.adopting(named(first + number))
    return composed


@pytest.mark.parametrize(
    ("head", "theirs", "terms"),
    [
        (64, 0, "list of the head, theirs"),
        (64, 10, "list of the head, 10 of theirs, theirs"),
        (10, 63, "10 of the head, list of theirs, theirs"),
        (64, 64, "list of the head, list of theirs, theirs"),
        (20, 20, "20 of the head, 20 of theirs, theirs"),
    ],
)
def test_what_would_be_too_long_is_folded_the_longer_list_first(head: int, theirs: int, terms: str) -> None:
    ours, parent, folds = long(head), long(theirs, 1000), dict[str, tuple[Term, ...]]()
    found = after(ours, [step(StepKind.MIX, 5000, "1/4", parent)], folds=folds)
    assert len(found.terms) <= MOST_TERMS
    assert found.genesis == GENESIS
    told, names = [], {ours.digest: "the head", parent.digest: "theirs"}
    for composed, (weight, what) in zip(
        (ours, parent), (("0.75", "the head"), ("0.25", "theirs")), strict=True
    ):
        own = [one for one in found.terms if one.adapter in {term.adapter for term in composed.terms}]
        lists = [one for one in found.terms if one.is_list and names[one.adapter] == what]
        assert {one.weight for one in (*own, *lists)} <= {weight}
        assert all(folds[one.adapter] == composed.terms for one in lists)
        told += [f"list of {what}"] * len(lists) + [f"{len(own)} of {what}"] * bool(own)
    assert f"{', '.join(told)}, theirs" == terms
    assert found.terms[-1].adapter == named(5000)


def test_another_node_whole_is_its_list_to_the_letter() -> None:
    """Who joins late takes a whole list at once, long or short, over whatever it had."""
    for length in (1, 20, 64, 70, 130):
        theirs = long(length)
        *_, newest = theirs.terms
        *_, parent = (long(length - 1).terms,)
        offered = OfferedUpdate(adapter=newest.adapter, genesis=GENESIS, parent=parent)
        assert offered.made == theirs
        whole = ListStep(kind=StepKind.MIX, update=offered, amount="1")
        for own in (BASE, long(3, 500), long(64, 500)):
            assert after(own, [whole]) == theirs


def test_what_is_left_out_comes_in_neither_by_itself_nor_with_what_was_trained_on_it() -> None:
    parent = after(BASE, [add(1)])
    steps = [add(1), step(StepKind.MIX, 2, "1/2", parent)]
    left = after(BASE, steps, {named(1)})
    assert [term.adapter for term in left.terms] == [named(2)]
    assert named(1) in {term.adapter for term in after(BASE, steps).terms}
