"""The window of training data moves on, and comes round only when all of it was drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.tasks.pool import make_pool, slice_digest

COUNTS = st.integers(1, 300)
SIZES = st.integers(0, 120)


@given(COUNTS, SIZES, SIZES, st.integers(0, 2**53))
def test_attempts_draw_the_whole_pool_before_any_example_twice(
    count: int, screen: int, size: int, seed: int
) -> None:
    pool = make_pool(count, seed, most_screened=screen)
    assert sorted([*pool.order, *pool.screen]) == list(range(count))
    assert len(pool.screen) == min(screen, int(count * 0.15))
    drawn, whole = 0, []
    while size and drawn + size <= len(pool.order):
        fresh = pool.fresh(drawn, size)
        assert len(fresh) == size
        whole += fresh
        drawn += size
    assert len(set(whole)) == len(whole)
    assert not set(whole) & set(pool.screen)


@given(COUNTS, SIZES, SIZES, st.integers(0, 1000), st.integers(0, 2**53))
def test_a_window_holds_what_was_drawn_last_then_what_is_fresh_and_nothing_twice(
    count: int, size: int, window: int, drawn: int, seed: int
) -> None:
    pool = make_pool(count, seed, most_screened=20)
    fresh, seen = pool.fresh(drawn, size), pool.seen(drawn, window)
    assert len(set(fresh)) == len(fresh) == min(size, len(pool.order))
    assert len(set(seen)) == len(seen) == min(window, drawn, len(pool.order))
    history = [pool.order[i % len(pool.order)] for i in range(drawn + len(fresh))]
    assert history[drawn - len(seen) :] == seen + fresh
    assert not set(pool.screen) & {*seen, *fresh}
    if drawn + len(fresh) <= len(pool.order):
        assert not set(seen) & set(fresh)


def test_the_order_depends_on_the_seed_alone_and_a_digest_on_every_index() -> None:
    assert make_pool(1000, 7) == make_pool(1000, 7)
    assert make_pool(1000, 7).order != make_pool(1000, 8).order
    assert slice_digest([1, 2]) != slice_digest([12])
    assert slice_digest([1, 2]) != slice_digest([2, 1])
