"""How far an update moves a tensor is what its product says, and the bound is that of what was adopted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import ModelError
from cryoflux.network.norms import NormBounds, norm_bounds, update_norms
from cryoflux.registry.compose import Adapter, LowRank, low_rank_update

NORMS = st.floats(0.001, 1_000)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(-8, 8))
def test_a_norm_is_that_of_the_product_written_out(seed: int, rank: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    one = LowRank(rng.normal(size=(rank, 11)).astype("f4"), rng.normal(size=(7, rank)).astype("f4"), scale)
    due = float(np.linalg.norm(low_rank_update(one)))
    assert update_norms(Adapter({"q": one}))["q"] == pytest.approx(due, rel=1e-6, abs=1e-9)


def test_what_cancels_does_not_move() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(1, 9)).astype("f4"), rng.normal(size=(6, 1)).astype("f4")
    twice = LowRank(np.vstack([a, a]), np.hstack([b, -b]), 1.0)
    assert update_norms(Adapter({"q": twice}))["q"] == pytest.approx(0, abs=1e-5)


def test_what_was_trained_in_full_moves_from_its_parent_and_without_one_is_not_told() -> None:
    values, before = np.full((2, 2), 3, "f4"), np.full((2, 2), 1, "f4")
    adapter = Adapter(whole={"head": values})
    assert update_norms(adapter) == {}
    assert update_norms(adapter, {"head": before}.__getitem__) == {"head": 4.0}
    with pytest.raises(ModelError, match="has the shape"):
        update_norms(adapter, {"head": before[:1]}.__getitem__)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), NORMS, min_size=1), min_size=1, max_size=40))
def test_what_was_adopted_is_itself_within_the_bounds(adopted: list[dict[str, float]]) -> None:
    bounds = norm_bounds(adopted)
    for norms in adopted:
        for name, norm in norms.items():
            assert norm <= bounds.of(name)
    most = 3 * max(max(norms.values()) for norms in adopted) if len(adopted) >= 8 else math.inf
    assert bounds.of("none of them") <= most


def test_one_far_one_of_two_hundred_does_not_stretch_the_bound() -> None:
    adopted = [{"q": 1.0}] * 199 + [{"q": 1_000.0}]
    assert norm_bounds(adopted).of("q") == 3.0


def test_nothing_bounds_where_little_was_adopted() -> None:
    assert norm_bounds([]) == norm_bounds([{"q": 1.0}] * 7) == NormBounds()
    assert NormBounds().of("q") == math.inf
