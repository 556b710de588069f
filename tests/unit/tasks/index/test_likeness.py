"""The nearest text, in whole numbers: the same whatever the order that sums were taken in."""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest

from cryoflux.tasks.index.likeness import nearest_texts


def test_the_nearest_of_all_blocks_is_found_and_of_equals_the_first() -> None:
    rng = np.random.default_rng(0)
    among = rng.integers(-50, 50, (10_000, 16)).astype(np.int8)
    among[9_999] = among[3]
    wanted = [3, 4095, 4096, 9_998]
    assert nearest_texts(among[wanted], among) == [(row, 1000) for row in wanted]
    assert nearest_texts(among[[9_999]], among) == [(3, 1000)]


@pytest.mark.parametrize("seed", range(20))
def test_a_cosine_is_rounded_down_to_thousandths_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts, among = (rng.integers(-127, 128, (count, 384)).astype(np.int8) for count in (7, 300))
    texts[:3] = (among[:3] + rng.integers(-40, 40, (3, 384))).clip(-127, 127)
    for text, found in zip(texts.tolist(), nearest_texts(texts, among), strict=True):
        cosines = []
        for other in among.tolist():
            dot = sum(a * b for a, b in zip(text, other, strict=True))
            lengths = sum(a * a for a in text) * sum(b * b for b in other)
            cosines.append(isqrt(10**6 * dot * dot // lengths) if dot > 0 else 0)
        assert found.milli == max(cosines) == cosines[found.row]


def test_a_threshold_that_is_reached_exactly_is_reached() -> None:
    """3/5 is a cosine of whole numbers; float32 makes 0.6 of it, which is a little more or less."""
    texts, among = np.array([[3, 4]], np.int8), np.array([[1, 0]], np.int8)
    assert nearest_texts(texts, among) == [(0, 600)]
    assert nearest_texts(-texts, among) == [(0, 0)]
