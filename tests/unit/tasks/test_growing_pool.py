"""The order of a pool that grows: what came before keeps its place."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.tasks.pool import make_pool

BATCHES = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@given(BATCHES, st.integers(0, 1000))
def test_the_first_form_of_a_pool_is_the_beginning_of_every_later_one(batches: list[int], seed: int) -> None:
    counts = [*accumulate(batches)]
    pool = make_pool(counts, seed)
    for number, count in enumerate(counts, start=1):
        before = make_pool(counts[:number], seed)
        assert pool.order[: len(before.order)] == before.order
        assert pool.screen == before.screen
        assert pool.first(count) == before


@given(BATCHES, st.integers(0, 1000))
def test_every_example_has_one_place(batches: list[int], seed: int) -> None:
    counts = [*accumulate(batches)]
    pool = make_pool(counts, seed)
    assert sorted((*pool.order, *pool.screen)) == list(range(counts[-1]))
    assert pool.ends[-1] == len(pool.order)
    assert max(pool.screen, default=0) < counts[0]


@given(st.integers(1, 300), st.integers(0, 1000))
def test_a_pool_that_did_not_grow_is_what_it_always_was(count: int, seed: int) -> None:
    assert make_pool(count, seed) == make_pool([count], seed)


@given(BATCHES, st.integers(0, 100), st.integers(1, 50))
def test_nothing_that_was_set_aside_is_drawn(batches: list[int], drawn: int, size: int) -> None:
    pool = make_pool([*accumulate(batches)], 1)
    assert not set(pool.fresh(drawn, size)) & set(pool.screen)
