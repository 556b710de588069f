"""A copy stays a copy under every change that leaves what an update does as it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.similarity import Alikeness, Direction, alikeness, is_copy
from cryoflux.registry.compose import LowRank, low_rank_update

SEEDS = st.integers(0, 2**32 - 1)


def update(rng: np.random.Generator, rank: int = 4) -> Direction:
    return Direction(
        {
            name: LowRank(
                rng.normal(size=(rank, 12)).astype("f4"), rng.normal(size=(9, rank)).astype("f4"), 2.0
            )
            for name in ("q", "v")
        },
        {"head": rng.normal(size=(3, 9))},
        rng.normal(size=(20, 3)),
    )


def changed(one: Direction, change: "object") -> Direction:
    return Direction({name: change(factors) for name, factors in one.low_rank.items()}, one.whole, one.logits)


@given(SEEDS)
def test_cosines_are_those_of_the_products_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = update(rng), update(rng, rank=3)
    flat = [
        np.concatenate([low_rank_update(two.low_rank[name]).ravel() for name in ("q", "v")])
        for two in (one, other)
    ]
    due = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert alikeness(one, other).low_rank == pytest.approx(due, abs=1e-6)
    both = [np.concatenate([a, two.whole["head"].ravel()]) for a, two in zip(flat, (one, other), strict=True)]
    due = both[0] @ both[1] / np.linalg.norm(both[0]) / np.linalg.norm(both[1])
    assert alikeness(one, other).whole == pytest.approx(due, abs=1e-6)


@given(SEEDS, st.floats(0.01, 100))
def test_gauge_order_of_ranks_and_scale_do_not_hide_a_copy(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    one = update(rng)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    gauge = turn * rng.uniform(0.5, 2, size=4)
    order = rng.permutation(4)
    copies = [
        changed(
            one,
            lambda f: LowRank((np.linalg.inv(gauge) @ f.a).astype("f4"), (f.b @ gauge).astype("f4"), f.scale),
        ),
        changed(one, lambda f: LowRank(f.a[order], f.b[:, order], f.scale)),
        changed(one, lambda f: LowRank(f.a, f.b, f.scale * scale)),
    ]
    for copy in copies:
        assert alikeness(one, copy).low_rank == pytest.approx(1, abs=1e-5)
        assert is_copy(alikeness(one, copy))


@given(SEEDS)
def test_adding_a_constant_to_the_logits_of_each_text_hides_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = update(rng)
    shifted = Direction({}, {}, one.logits + 1_000 * rng.normal(size=(20, 1)))
    assert alikeness(one, shifted).function == pytest.approx(1, abs=1e-6)


@given(SEEDS)
def test_independent_and_opposite_updates_are_no_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = update(rng)
    assert not is_copy(alikeness(one, update(rng)))
    flipped = Direction(
        {name: LowRank(f.a, -f.b, f.scale) for name, f in one.low_rank.items()},
        {name: -moved for name, moved in one.whole.items()},
        -one.logits,
    )
    assert alikeness(one, flipped).whole == pytest.approx(-1)
    assert not is_copy(alikeness(one, flipped))


def test_noise_that_no_text_sees_is_found_by_what_the_update_does() -> None:
    rng = np.random.default_rng(1)
    one = update(rng)
    noise = update(rng)
    hidden = Direction(
        {name: LowRank(f.a, f.b, f.scale * 10) for name, f in noise.low_rank.items()},
        {},
        one.logits + 0.01 * noise.logits,
    )
    found = alikeness(one, hidden)
    assert found.low_rank < 0.6
    assert found.whole < 0.7
    assert is_copy(found)


def test_an_update_that_does_nothing_is_a_copy_of_nothing() -> None:
    still = Direction({"q": LowRank(np.zeros((1, 2), "f4"), np.zeros((2, 1), "f4"), 1.0)})
    assert not is_copy(alikeness(still, still))


@pytest.mark.parametrize(
    ("whole", "low_rank", "function", "copied"),
    [
        (0.31, 0.48, 0.89, False),  # the same data under other seeds, the most alike of all
        (0.52, 0.63, 0.88, False),  # three quarters of the data and the same seed
        (0.71, 0.71, 0.98, True),  # noise of its own norm
        (0.79, 0.65, 0.78, True),  # trained on for 100 steps
        (0.75, 0.75, 0.85, True),  # half of it and half of another's
        (0.14, 0.09, 0.99, True),  # hidden noise of ten times its norm
        (0.60, 1.00, 0.00, True),  # its products alone
        (0.45, 0.45, 0.92, False),  # noise of twice its norm, which costs what it was worth: missed
    ],
)
def test_the_bounds_lie_between_what_was_measured(
    whole: float, low_rank: float, function: float, copied: bool
) -> None:
    assert is_copy(Alikeness(whole, low_rank, function)) == copied
