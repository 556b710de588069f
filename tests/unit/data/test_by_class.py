"""Each class gives a set its share, and whoever has all sets can draw them again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.by_class import DrawnText, draw, is_drawn_by_class, shares_of

COUNTS = st.dictionaries(st.text(max_size=3), st.integers(1, 60), min_size=1, max_size=20)


@given(COUNTS, st.integers(0, 300))
def test_shares_add_up_and_leave_something_of_each_class(counts: dict[str, int], size: int) -> None:
    shares = shares_of(counts, size)
    needed = sum(count >= 3 for count in counts.values())
    most = sum(count // 2 for count in counts.values())
    assert sum(shares.values()) == max(needed, min(size, most))
    for label, share in shares.items():
        assert int(counts[label] >= 3) <= share <= counts[label] // 2


def test_shares_are_in_proportion_and_rounded_by_what_is_missing() -> None:
    assert shares_of({"a": 700, "b": 200, "c": 100}, 100) == {"a": 70, "b": 20, "c": 10}
    assert shares_of({"a": 100, "b": 100, "c": 100}, 100) == {"a": 34, "b": 33, "c": 33}
    assert shares_of({"a": 994, "b": 3, "c": 3}, 100) == {"a": 98, "b": 1, "c": 1}
    assert shares_of({"a": 998, "b": 2}, 100) == {"a": 100, "b": 0}


def texts_of(count: int, seed: int = 0) -> list[DrawnText]:
    made = random.Random(seed)
    return [
        DrawnText.of(f"text {i}", made.choice("aaaabbc"), f"fold {i - (i % 7 == 6)}") for i in range(count)
    ]


def drawn(count: int, sizes: list[int]) -> tuple[list[list[DrawnText]], list[DrawnText]]:
    left = texts_of(count)
    known = {text.key: text for text in left}
    sets = []
    for size in sizes:
        keys, left = draw(left, size)
        sets.append([known[key] for key in keys])
    return sets, left


@pytest.mark.parametrize("sizes", [[40], [40, 40], [40, 30, 40, 40]])
def test_what_was_drawn_is_drawn_again(sizes: list[int]) -> None:
    sets, left = drawn(700, sizes)
    assert list(map(len, sets)) == sizes
    assert is_drawn_by_class(sets, random.Random(1).sample(left, len(left)))
    assert is_drawn_by_class(sets, left, exactly=False)


def test_an_exchanged_text_another_order_and_another_share_are_found() -> None:
    sets, left = drawn(700, [40, 40])
    holdout, audit = sets
    swapped = next(i for i, text in enumerate(left) if text.label == holdout[5].label)
    exchanged = [*holdout[:5], left[swapped], *holdout[6:]]
    rest = [*left[:swapped], holdout[5], *left[swapped + 1 :]]
    assert not is_drawn_by_class([sorted(exchanged, key=lambda text: text.hashed), audit], rest)
    assert not is_drawn_by_class([holdout[::-1], audit], left)
    assert not is_drawn_by_class([audit, holdout], left)
    # the lowest hashes of each class, but more of the easy one than its share
    easy = [text for text in sorted(left, key=lambda t: t.hashed) if text.label == "a"][:4]
    more = sorted([*audit, *easy], key=lambda text: text.hashed)
    fewer = [text for text in more if text not in [t for t in more if t.label == "b"][-4:]]
    rest = [text for text in [*left, *audit] if text not in fewer]
    assert is_drawn_by_class([holdout, fewer], rest, exactly=False)
    assert not is_drawn_by_class([holdout, fewer], rest)
