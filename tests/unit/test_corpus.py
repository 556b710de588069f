"""What the fuzzer tries without end, for a moment: its seeds, and a few inputs made of them."""

from __future__ import annotations

from itertools import islice

import pytest

from fuzz import inputs
from fuzz_targets import CORPUS, TARGETS, broken, measured, seeds_of

pytestmark = pytest.mark.slow

TRIED = {"export": 12, "database": 30}
"""inputs of a target; 60 where nothing is said"""


def test_every_seed_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()
    assert all(len(content) <= 200_000 for target in TARGETS for content in seeds_of(target))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_an_input_is_read_or_refused_within_its_bounds(target: str) -> None:
    for number, content in enumerate(islice(inputs(target, 1), TRIED.get(target, 60))):
        assert broken(target, content, memory=number % 20 == 0) == "", content[:300]


@pytest.mark.parametrize("target", ["entry", "statement", "checkpoint", "proof", "safetensors", "key"])
def test_a_seed_is_what_the_target_reads(target: str) -> None:
    assert any(TARGETS[target](content) for content in seeds_of(target))
    assert measured(target, seeds_of(target)[0]).error is None
