"""The order of a pool that grows: what came before keeps its place."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.task_tallies import PoolParts
from cryoflux.tasks.pool import make_pool

BATCHES = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@given(BATCHES, st.integers(0, 1000))
def test_the_first_form_of_a_pool_is_the_beginning_of_every_later_one(batches: list[int], seed: int) -> None:
    counts = tuple(accumulate(batches))
    pool = make_pool(PoolParts(counts), seed)
    for number, count in enumerate(counts, start=1):
        before = make_pool(PoolParts(counts[:number]), seed)
        assert pool.order[: len(before.order)] == before.order
        assert pool.screen == before.screen
        assert pool.first(count) == before


@given(BATCHES, st.integers(0, 1000))
def test_every_example_has_one_place(batches: list[int], seed: int) -> None:
    counts = tuple(accumulate(batches))
    pool = make_pool(PoolParts(counts), seed)
    assert sorted((*pool.order, *pool.screen)) == list(range(counts[-1]))
    assert pool.ends[-1] == len(pool.order)
    assert max(pool.screen, default=0) < counts[0]


@given(st.integers(1, 300), st.integers(0, 1000))
def test_a_pool_that_did_not_grow_is_what_it_always_was(count: int, seed: int) -> None:
    assert make_pool(count, seed) == make_pool(PoolParts((count,)), seed)


@given(BATCHES, st.integers(0, 100), st.integers(1, 50))
def test_nothing_that_was_set_aside_is_drawn(batches: list[int], drawn: int, size: int) -> None:
    pool = make_pool(PoolParts(tuple(accumulate(batches))), 1)
    assert not set(pool.fresh(drawn, size)) & set(pool.screen)


@given(BATCHES, st.sets(st.integers(1, 5)), st.integers(0, 1000))
def test_a_quarantined_batch_is_left_out_and_moves_no_other(
    batches: list[int], numbers: set[int], seed: int
) -> None:
    counts = tuple(accumulate(batches))
    quarantined = tuple(count for number, count in enumerate(counts) if number in numbers)
    parts = PoolParts(counts, quarantined)
    whole, pool = make_pool(PoolParts(counts), seed), make_pool(parts, seed)
    before = (0, *counts)
    left_out = {index for start, end in pairwise(before) if end in quarantined for index in range(start, end)}
    assert pool.order == tuple(index for index in whole.order if index not in left_out)
    assert (pool.screen, parts.examples_quarantined) == (whole.screen, len(left_out))
    kept = [count for count in counts if count not in quarantined]
    for count in kept:
        earlier = tuple(one for one in counts if one <= count)
        assert pool.first(count) == make_pool(PoolParts(earlier, quarantined), seed)
