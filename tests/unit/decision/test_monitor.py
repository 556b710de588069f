"""The evidence against a head: whatever the losses are, noise reaches the bar as seldom as it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.monitor import (
    BETS,
    cap_of,
    cut_mean_nano,
    evidence_milli,
    find_degradation,
    needed_milli,
)
from cryoflux.quantities import NANO, NATS

CAP = cap_of(NATS)
LOSSES = st.lists(st.tuples(*[st.integers(0, 20 * NANO)] * 2), max_size=40)


def split(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [head for head, _ in pairs], [other for _, other in pairs]


def evidence(pairs: list[tuple[int, int]]) -> int:
    return evidence_milli(*split(pairs), CAP)


@given(LOSSES, st.randoms(use_true_random=False))
def test_the_order_of_the_examples_does_not_matter(pairs, random) -> None:
    other = list(pairs)
    random.shuffle(other)
    assert evidence(pairs) == evidence(other)


@given(LOSSES, st.integers(0, 20 * NANO))
def test_an_example_that_gets_worse_adds_evidence_and_a_better_one_takes_some(pairs, loss) -> None:
    assert (
        evidence([*pairs, (loss + NANO, loss)]) >= evidence(pairs) >= evidence([*pairs, (loss, loss + NANO)])
    )
    assert evidence([*pairs, (loss, loss)]) == evidence(pairs)


@given(LOSSES)
def test_one_example_counts_no_more_than_its_cap(pairs) -> None:
    assert evidence([*pairs, (900 * NANO, 0)]) == evidence([*pairs, (CAP, 0)])
    most = math.ceil(1000 * len(pairs) * math.log1p(max(BETS)))
    assert evidence(pairs) <= most


@given(LOSSES)
def test_a_head_is_no_degradation_of_itself_nor_of_nothing(pairs) -> None:
    head, _ = split(pairs)
    asked = {"cap_nano": CAP, "alpha_ppm": 10_000, "head_number": 2}
    assert find_degradation(head, {"same": head}, **asked).back_to is None
    assert find_degradation(head, {}, **asked).back_to is None


def test_all_heads_together_have_the_error_budget_and_no_more() -> None:
    spent = sum(5 * math.exp(-needed_milli(10_000, number, 5) / 1000) for number in range(1, 5_000))
    assert 0.0099 < spent <= 0.01


def test_a_version_that_was_freed_does_not_make_the_others_cheaper() -> None:
    asked = {"cap_nano": CAP, "alpha_ppm": 10_000, "head_number": 3}
    one = find_degradation([NANO], {"a": [0]}, among=5, **asked)
    assert one.needed_milli == needed_milli(10_000, 3, 5) > needed_milli(10_000, 3, 1)


def test_of_those_that_it_is_worse_than_the_head_goes_back_to_the_best() -> None:
    head = [3 * NANO] * 400
    others = {"good": [NANO] * 400, "best": [NANO // 2] * 400, "alike": head}
    found = find_degradation(head, others, cap_nano=CAP, alpha_ppm=10_000, head_number=2)
    assert found.back_to is not None
    assert found.back_to.version == "best"
    assert found.back_to.worse_nano == cut_mean_nano(head, others["best"], CAP) == 5 * NANO // 2


@pytest.mark.parametrize("forged", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_price_of_nothing_is_refused(forged: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        needed_milli(*forged)


def test_losses_of_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="each example"):
        evidence_milli([1], [1, 2], CAP)


DRAWS = {
    "symmetric": lambda rng, shape: rng.normal(0, 0.2, shape),
    "rare and dear": lambda rng, shape: np.where(rng.random(shape) < 0.02, 3.92, -0.08),
    "often and cheap": lambda rng, shape: np.where(rng.random(shape) < 0.02, -3.92, 0.08),
}
"""differences whose mean is zero; the first two are cut off nowhere that matters, the others never"""


@pytest.mark.parametrize("name", DRAWS)
def test_noise_reaches_the_bar_as_seldom_as_it_promises(name: str) -> None:
    rng, looks, alpha = np.random.default_rng(5), range(20, 401, 20), 0.05
    draws = DRAWS[name](rng, (400, 400))
    bar, crossed = 1000 * -math.log(alpha), 0
    for row in draws:
        head = np.round((5 + np.clip(row, -4, 4)) * NANO).astype(np.int64)
        other = np.full(400, 5 * NANO)
        crossed += any(evidence_milli(head[:n], other[:n], CAP) >= bar for n in looks)
    # Ville promises 20 of 400 in the mean; 20 + 3 standard deviations of such a count is 33.
    assert crossed <= 33


def test_a_true_degradation_is_found() -> None:
    rng = np.random.default_rng(6)
    other = np.round(rng.exponential(0.7, 2_000) * NANO).astype(np.int64)
    head = other + np.round(np.clip(rng.normal(0.2, 0.4, 2_000), 0, None) * NANO).astype(np.int64)
    assert evidence_milli(head, other, CAP) >= needed_milli(10_000, 5, 5)
