"""Duplicates are told apart from what was left out for other reasons."""

from __future__ import annotations

import pytest

from cryoflux.report.dropped_words import dropped_words

UNSEARCHED = "could not be held against all that judge (too long, or too many alike)"


@pytest.mark.parametrize(
    ("dropped", "said"),
    [
        (
            {"train": 3, "holdout": 1, "conflicting": 2},
            "4 duplicates dropped, 2 of them with another label",
        ),
        (
            {"train": 3, "unsaid": 1},
            "3 duplicates dropped; 1 documents of which nothing is left to say once cut",
        ),
        (
            {"train": 0, "unsaid": 0, "near": 5},
            "0 duplicates dropped; 5 training documents left out that answer as one that judges",
        ),
        (
            {"train": 2, "near": 0, "unsearched": 4},
            f"2 duplicates dropped; 4 training documents {UNSEARCHED}",
        ),
    ],
)
def test_each_reason_is_counted_by_itself(dropped: dict[str, int], said: str) -> None:
    assert dropped_words(dropped) == said
