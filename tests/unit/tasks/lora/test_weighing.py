"""What a class weighs while an update learns."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from cryoflux.tasks.lora.recipe import WEIGHTINGS
from cryoflux.tasks.lora.weighing import class_weights, training_loss

COUNTS = st.lists(st.integers(1, 300), min_size=2, max_size=6)


def classes_of(counts: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


@given(COUNTS, st.sampled_from([how for how, power in WEIGHTINGS.items() if power]))
def test_weights_have_the_mean_1_over_the_examples(counts: list[int], how: str) -> None:
    weights = class_weights(how, classes_of(counts), len(counts))
    assert weights is not None
    assert float(weights[classes_of(counts)].mean()) == pytest.approx(1, rel=1e-5)


@given(COUNTS)
def test_balanced_classes_weigh_the_same_in_all_and_sqrt_is_half_way_there(counts: list[int]) -> None:
    there = torch.tensor(counts)
    balanced, root = (class_weights(how, classes_of(counts), len(counts)) for how in ("balanced", "sqrt"))
    assert balanced is not None
    assert root is not None
    each = balanced * there
    assert torch.allclose(each, each[0].expand_as(each), rtol=1e-4)
    halves = root * there.sqrt()
    assert torch.allclose(halves, halves[0].expand_as(halves), rtol=1e-4)


def test_a_class_that_nothing_was_of_weighs_nothing() -> None:
    weights = class_weights("balanced", classes_of([3, 1]), 3)
    assert weights is not None
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])


def test_without_weights_it_is_the_loss_that_it_always_was() -> None:
    logits, classes = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    assert class_weights("none", classes, 3) is None
    assert torch.equal(training_loss(logits, classes, None), cross_entropy(logits, classes))


@given(st.integers(2, 40), st.integers(1, 5))
def test_batches_together_are_what_all_examples_are(count: int, size: int) -> None:
    """The mean over batches of the weighted loss is that over all examples: no batch counts for more."""
    torch.manual_seed(count)
    logits, classes = torch.randn(count * size, 2), torch.randint(0, 2, (count * size,))
    weights = torch.tensor([0.5, 30.0])
    parts = [
        training_loss(logits[at : at + size], classes[at : at + size], weights)
        for at in range(0, count * size, size)
    ]
    whole = training_loss(logits, classes, weights)
    assert float(torch.stack(parts).mean()) == pytest.approx(float(whole), rel=1e-4)
