"""The sum of a list, held to exact rationals; and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryoflux.errors import ModelError
from cryoflux.registry.compose import Adapter, LowRank, WeightSums, compose, low_rank_update
from cryoflux.registry.composition import (
    MOST_DEPTH,
    MOST_TERMS,
    Composition,
    Term,
    beginnings,
    list_digest,
)
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.registry.parent_lists import updates_of

EMPTY = list_digest(())
# Few digits: then float64 holds every product and sum exactly, and rationals say what is due to the bit.
EIGHTHS = st.integers(-64, 64).map(lambda n: n / 8)


def of_shape(*shape: int) -> st.SearchStrategy[Any]:
    return arrays(np.float32, shape, elements=EIGHTHS)


def any_shape(*shape: int) -> st.SearchStrategy[Any]:
    numbers = st.floats(-1e6, 1e6, width=32, allow_nan=False)
    return arrays(np.float32, shape, elements=numbers)


GENESIS = st.fixed_dictionaries({"w": of_shape(3, 2), "c": of_shape(2)})
UPDATES = st.builds(
    lambda a, b, c, scale: Adapter({"w": LowRank(a, b, scale)}, {"c": c}),
    of_shape(2, 2), of_shape(3, 2), of_shape(2), st.sampled_from([1.0, 2.0, 0.5, 1.25]),
)  # fmt: skip
WEIGHTS = st.sampled_from(["1", "0.5", "0.25", "-1", "0.75"])


def chain(updates: list[Adapter], weights: list[str]) -> tuple[Composition, dict[str, Adapter]]:
    """Each update trained on the version before it."""
    terms: tuple[Term, ...] = ()
    files = {f"{i:064x}": update for i, update in enumerate(updates)}
    for adapter, weight in zip(files, weights, strict=False):
        terms = (*terms, Term(weight=weight, adapter=adapter, parent=list_digest(terms)))
    return Composition(genesis="0" * 64, terms=terms), files


def rational(values: Any) -> list[Any]:
    return [Fraction(float(x)) for x in np.asarray(values).ravel()]


def exact(
    genesis: Mapping[str, Any], updates: list[Adapter], weights: list[str]
) -> dict[str, list[Fraction]]:
    """The same in rationals; the parent is the version before, rounded to float32 as it was written."""
    found = {name: rational(tensor) for name, tensor in genesis.items()}
    for update, weight in zip(updates, weights, strict=True):
        one, scale = update.low_rank["w"], Fraction(update.low_rank["w"].scale)
        a, b = one.a.astype(object), one.b.astype(object)
        for i in range(b.shape[0]):
            for j in range(a.shape[1]):
                step = sum(Fraction(float(b[i, r])) * Fraction(float(a[r, j])) for r in range(a.shape[0]))
                found["w"][i * a.shape[1] + j] += Fraction(weight) * step * scale
        before = [Fraction(float(np.float32(float(x)))) for x in found["c"]]
        after = rational(update.whole["c"])
        found["c"] = [
            x + Fraction(weight) * (v - p) for x, v, p in zip(found["c"], after, before, strict=True)
        ]
    return found


@settings(max_examples=60)
@given(GENESIS, st.lists(st.tuples(UPDATES, WEIGHTS), max_size=4))
def test_a_list_is_its_sum_in_rationals(genesis: dict[str, Any], said: list[tuple[Adapter, str]]) -> None:
    updates, weights = [one for one, _ in said], [weight for _, weight in said]
    composed, files = chain(updates, weights)
    sums, due = compose(composed, genesis, files.__getitem__), exact(genesis, updates, weights)
    for name, tensor in genesis.items():
        wanted = np.array([np.float32(float(x)) for x in due[name]]).reshape(tensor.shape)
        assert np.array_equal(sums.value(name), wanted), name


@settings(max_examples=60)
@given(st.lists(any_shape(3, 2), min_size=1, max_size=1), any_shape(4, 2), any_shape(3, 4))
def test_the_order_is_the_one_that_is_written_down(genesis: list[Any], a: Any, b: Any) -> None:
    found = low_rank_update(LowRank(a, b, 16 / 3))
    for i in range(3):
        for j in range(2):
            total = 0.0
            for r in range(4):
                total = total + float(b[i, r]) * float(a[r, j])
            assert found[i, j] == total * (16 / 3)
    wide = WeightSums({"w": genesis[0]}).adding(Adapter({"w": LowRank(a, b, 1.0)}))
    due = genesis[0].astype(np.float64) + low_rank_update(LowRank(a, b, 1.0))
    assert np.array_equal(wide.value("w"), due.astype(np.float32))


@given(GENESIS)
def test_an_empty_list_is_the_genesis(genesis: dict[str, Any]) -> None:
    sums = compose(Composition(genesis="0" * 64), genesis, {}.__getitem__)
    assert sums.names == []
    assert sums.rounded() == {}
    assert np.array_equal(sums.value("w"), genesis["w"])


@given(GENESIS, UPDATES, UPDATES)
def test_a_second_full_module_does_not_erase_the_first(
    genesis: dict[str, Any], one: Adapter, other: Adapter
) -> None:
    """Both were trained on the genesis; each acts as its difference from it."""
    files = {"1" * 64: one, "2" * 64: other}
    terms = tuple(Term(weight="1", adapter=name, parent=EMPTY) for name in files)
    sums = compose(Composition(genesis="0" * 64, terms=terms), genesis, files.__getitem__)
    assert np.array_equal(sums.value("c"), one.whole["c"] + other.whole["c"] - genesis["c"])


@given(GENESIS, st.lists(UPDATES, min_size=1, max_size=5))
def test_adding_to_what_is_in_memory_is_the_sum_anew(genesis: dict[str, Any], updates: list[Adapter]) -> None:
    composed, files = chain(updates, ["1"] * len(updates))
    grown = WeightSums(genesis)
    for update in updates:
        grown = grown.adding(update)
    anew = compose(composed, genesis, files.__getitem__)
    assert all(np.array_equal(grown.value(name), anew.value(name)) for name in genesis)


def test_a_large_update_is_the_same_however_it_is_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    a, b = (draw.standard_normal(shape).astype(np.float32) for shape in ((5, 700), (130, 5)))
    whole = low_rank_update(LowRank(a, b, 0.3))
    for block in (1, 700, 1401, 10**9):
        monkeypatch.setattr("cryoflux.registry.compose._BLOCK", block)
        assert np.array_equal(low_rank_update(LowRank(a, b, 0.3)), whole)


def update(**changes: Any) -> Adapter:
    said = {"a": np.ones((1, 2), np.float32), "b": np.ones((3, 1), np.float32), **changes}
    return Adapter({"w": LowRank(said["a"], said["b"], 1.0)})


@pytest.mark.parametrize(
    "bad",
    [
        update(a=np.array([[np.nan, 1]], np.float32)),
        update(b=np.array([[np.inf], [1], [1]], np.float32)),
        update(a=np.ones((2, 2), np.float32)),
        update(a=np.ones((1, 3), np.float32)),
        update(a=np.ones((1, 3_000_000), np.float32), b=np.ones((3_000_000, 1), np.float32)),
        update(a=np.ones((5000, 2), np.float32), b=np.ones((3, 5000), np.float32)),
        update(a=np.ones((0, 2), np.float32), b=np.ones((3, 0), np.float32)),
        update(a=np.ones((1, 2), np.float64)),
        update(a=np.full((1, 2), 3e38, np.float32), b=np.full((3, 1), 3e38, np.float32)),
        Adapter(whole={"c": np.ones(3, np.float32)}),
        Adapter(whole={"c": np.array([np.nan, 0], np.float32)}),
        Adapter(whole={"nowhere": np.ones(2, np.float32)}),
        Adapter({"w": update().low_rank["w"]}, {"w": np.ones((3, 2), np.float32)}),
    ],
)
def test_what_does_not_fit_or_is_no_number_is_refused(bad: Adapter) -> None:
    genesis = {"w": np.zeros((3, 2), np.float32), "c": np.zeros(2, np.float32)}
    with pytest.raises(ModelError):
        WeightSums(genesis).adding(bad).rounded()


GROUND = {"c": np.zeros(2, np.float32)}


def step(_adapter: str) -> Adapter:
    return Adapter(whole={"c": np.ones(2, np.float32)})


def composed(lists: dict[str, tuple[Term, ...]], terms: tuple[Term, ...]) -> WeightSums:
    return compose(Composition(genesis="0" * 64, terms=terms), GROUND, step, lists.__getitem__)


def below(parent: str) -> tuple[Term, ...]:
    return (Term(weight="1", adapter="1" * 64, parent=parent),)


def test_parents_hang_below_one_another_sixteen_deep_and_no_deeper() -> None:
    lists: dict[str, tuple[Term, ...]] = {}
    top = below(EMPTY)
    for depth in range(1, MOST_DEPTH + 2):
        if depth <= MOST_DEPTH:
            assert np.isfinite(composed(lists, top).value("c")).all()
        else:
            with pytest.raises(ModelError, match="hang below"):
                composed(lists, top)
        lists[list_digest(top)] = top
        top = below(list_digest(top))


def test_a_list_that_is_given_for_another_one_is_refused_and_so_is_a_circle() -> None:
    with pytest.raises(ModelError, match="another one"):
        composed({"5" * 64: below(EMPTY)}, below("5" * 64))
    terms = below("5" * 64)
    with pytest.raises(ModelError, match="not known"):
        compose(Composition(genesis="0" * 64, terms=terms), GROUND, step)


def test_lists_that_fan_out_do_not_cost_without_end() -> None:
    lists: dict[str, tuple[Term, ...]] = {}
    parents = [EMPTY]
    for level in range(4):
        made = []
        for number in range(MOST_TERMS):
            name = f"{level * 100 + number:064x}"
            terms = tuple(Term(weight="1", adapter=name, parent=p) for p in parents)
            lists[list_digest(terms)] = terms
            made.append(list_digest(terms))
        parents = made
    top = tuple(Term(weight="1", adapter="9" * 64, parent=p) for p in parents)
    with pytest.raises(ModelError, match="too many lists"):
        composed(lists, top)


def own(count: int, first: int = 0) -> Composition:
    """Updates of one node, each trained on the one before."""
    made = Composition(genesis="0" * 64)
    for number in range(first, first + count):
        made = made.adopting(f"{number:064x}")
    return made


def rough(digest: str) -> Adapter:
    """An update with all the digits that a float32 has."""
    rng = np.random.default_rng(int(digest, 16))
    low_rank = LowRank(rng.normal(size=(2, 2)).astype("f4"), rng.normal(size=(3, 2)).astype("f4"), 0.7)
    return Adapter({"w": low_rank}, {"c": rng.normal(size=2).astype("f4")})


ROUGH = {"w": np.full((3, 2), 0.1, np.float32), "c": np.full(2, -0.3, np.float32)}


def kept(*made: Composition) -> dict[str, tuple[Term, ...]]:
    return {digest: terms for one in made for digest, terms in beginnings(one.terms).items()}


def test_folding_what_a_head_is_the_sum_of_changes_no_bit() -> None:
    lists, sums = kept(own(64), own(127)), WeightSums(ROUGH)
    for number in range(140):
        sums = sums.adding(rough(f"{number:064x}"))
    found = compose(own(140), ROUGH, rough, lists.__getitem__)
    assert len(own(140).terms) == 14
    for name in ROUGH:
        assert np.array_equal(found.unrounded(name), sums.unrounded(name))


def test_a_share_of_a_list_is_that_share_of_what_it_adds() -> None:
    ours, theirs = own(64), own(64, 1000)
    terms = (
        Term(weight="0.75", adapter=ours.digest, parent=ours.digest),
        Term(weight="0.25", adapter=theirs.digest, parent=theirs.digest),
    )
    lists, mixed = kept(ours, theirs), Composition(genesis=ours.genesis, terms=terms)
    found = compose(mixed, ROUGH, rough, lists.__getitem__)
    for name, start in ROUGH.items():
        due = start.astype("f8")
        for composed, weight in ((ours, 0.75), (theirs, 0.25)):
            sums = compose(composed, ROUGH, rough, lists.__getitem__)
            due = due + (sums.unrounded(name) - start.astype("f8")) * weight
        assert np.array_equal(found.unrounded(name), due)


def test_another_node_list_of_64_that_was_mixed_in_can_be_added_up() -> None:
    """Each of its updates hangs on a list of its own, and all of these are beginnings of one."""
    theirs = own(63)
    offered = OfferedUpdate(adapter="f" * 64, genesis=theirs.genesis, parent=theirs.terms)
    step = ListStep(kind=StepKind.MIX, update=offered, amount="1/2")
    mixed = after(Composition(genesis=theirs.genesis), [step])
    found = compose(mixed, ROUGH, rough, kept(theirs).__getitem__)
    whole = compose(offered.made, ROUGH, rough, kept(theirs).__getitem__)
    half = (whole.value("c").astype("f8") + ROUGH["c"]) / 2
    assert np.allclose(found.value("c"), half, rtol=0, atol=1e-6)


def test_lists_that_fold_each_other_do_not_cost_without_end() -> None:
    """Of a few lines: each list names the two below it, so that the first one would be read 2¹⁵ times."""
    lists: dict[str, tuple[Term, ...]] = {}
    below: list[tuple[str, str]] = [("9" * 64, EMPTY)]
    for _ in range(MOST_DEPTH):
        made = []
        for weight in ("0.5", "0.25"):
            terms = tuple(Term(weight=weight, adapter=one, parent=parent) for one, parent in below)
            lists[list_digest(terms)] = terms
            made.append((list_digest(terms), list_digest(terms)))
        below = made
    top = lists[below[0][0]]
    with pytest.raises(ModelError, match="too many lists"):
        compose(Composition(genesis="0" * 64, terms=top), ROUGH, rough, lists.__getitem__)
    assert [one.adapter for one in updates_of(top, lists.__getitem__)] == ["9" * 64]


def test_what_hangs_below_a_list_is_bounded() -> None:
    assert len(updates_of(own(1009).terms, kept(*(own(64 + 63 * n) for n in range(16))).__getitem__)) == 1009
    with pytest.raises(ModelError, match="16 lists"):
        updates_of(own(1010).terms, kept(*(own(64 + 63 * n) for n in range(16))).__getitem__)


def test_a_list_of_more_than_64_is_refused() -> None:
    terms = below(EMPTY) * (MOST_TERMS + 1)
    with pytest.raises(ModelError):
        composed({}, terms)


def spread(count: int, *shape: int) -> Any:
    """Numbers in (-1, 1) that any language makes the same: multiples of 2⁻²³."""
    numbers = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(2**24)
    return ((numbers.astype(np.float64) - 2**23) / 2**23).astype(np.float32).reshape(shape)


def test_the_digest_is_the_one_of_every_machine() -> None:
    """Pinned: a change of the formula, or a machine that computes it otherwise, gives another one."""
    genesis = {"w": spread(48 * 40, 48, 40), "c": spread(5 * 40, 5, 40)}
    update = LowRank(spread(7 * 40, 7, 40), spread(48 * 7, 48, 7), 16 / 7)
    files = {"1" * 64: Adapter({"w": update}, {"c": -genesis["c"]}), "2" * 64: Adapter({"w": update})}
    terms: tuple[Term, ...] = ()
    for weight, adapter in (("1", "1" * 64), ("0.3", "2" * 64), ("-0.25", "1" * 64)):
        terms = (*terms, Term(weight=weight, adapter=adapter, parent=list_digest(terms)))
    listed = Composition(genesis="0" * 64, terms=terms)
    assert listed.digest == "7a394c389866b8aacb4c1d4b6d88d0571d1b08d630646034d2ffc92a7dec3d92"
    rounded = compose(listed, genesis, files.__getitem__).rounded()
    content = b"".join(rounded[name].astype("<f4").tobytes() for name in sorted(rounded))
    assert (
        hashlib.sha256(content).hexdigest()
        == "cc5929ccc11ced2994afe0082af375e19ea6e4ce7369f7cc8e28ec6ed74f2b76"
    )
