"""Nothing that judges was ever trained on, whatever is given and in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.examples import Example, normalise
from cryoflux.data.split import split
from cryoflux.errors import DataError

WORDS = st.text(alphabet="abcé ÀÅ\u00a0\t", min_size=1).filter(str.strip)


def numbered(count: int, start: int = 0) -> list[Example]:
    return [Example(f"text number {i}", "xy"[i % 2]) for i in range(start, start + count)]


def keys(examples) -> set[str]:
    return {normalise(e.text) for e in examples}


@given(st.lists(WORDS, max_size=60), st.lists(WORDS, max_size=60), st.randoms())
def test_the_three_sets_never_share_a_text(extra: list[str], held: list[str], rng) -> None:
    train = numbered(400) + [Example(text, "x") for text in extra]
    holdout = numbered(40, start=1000) + [Example(text, "y") for text in held]
    rng.shuffle(train)
    splits = split(train, holdout, None, holdout_size=50)
    sets = [keys(s) for s in (splits.train, splits.holdout, splits.audit)]
    assert sum(map(len, sets)) == len(set.union(*sets))
    kept = len(splits.train) + len(splits.audit)
    assert kept + splits.dropped["train"] == len(train)


def test_copies_that_differ_in_case_width_or_white_space_are_one_example() -> None:
    train = [*numbered(100), Example("Ｔext  NUMBER\u00a05", "x"), Example("text\nnumber 6", "y")]
    assert split(train, numbered(40, 900), numbered(40, 800), holdout_size=30).dropped["train"] == 2


def test_a_split_does_not_depend_on_the_order_of_the_file() -> None:
    forward = split(numbered(400), None, None, holdout_size=50)
    backward = split(numbered(400)[::-1], None, None, holdout_size=50)
    assert keys(forward.holdout) == keys(backward.holdout)
    assert keys(forward.audit) == keys(backward.audit)
    assert len(forward.holdout) == len(forward.audit) == 50


def test_training_examples_that_the_holdout_has_are_dropped_and_counted() -> None:
    splits = split(numbered(200), [*numbered(10), *numbered(40, 500)], numbered(40, 600), holdout_size=30)
    assert splits.dropped["train"] == 10
    assert len(splits.train) == 190


def test_copies_with_another_label_are_dropped_and_counted_apart() -> None:
    train = [*numbered(100), Example("text number 5", "other"), Example("text number 6", "x")]
    dropped = split(train, numbered(40, 900), numbered(40, 800), holdout_size=30).dropped
    assert (dropped["train"], dropped["conflicting"]) == (2, 1)


@pytest.mark.parametrize(
    ("train", "holdout", "message"),
    [
        (numbered(200), numbered(50), "also a training example"),
        (numbered(200), numbered(29, 500), "29 examples"),
        ([Example(f"text {i}", "only") for i in range(300)], None, "only one class"),
        (numbered(100), None, "holdout set has 15 examples"),
        (numbered(200), [Example(f"held {i}", "new") for i in range(40)], "'new', which the training set"),
    ],
)
def test_sets_that_cannot_judge_are_refused(train, holdout, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(train, holdout, numbered(40, 900), holdout_size=30)


@given(st.integers(150, 1500), st.integers(0, 4), st.integers(30, 60))
def test_spare_holdouts_share_nothing_and_leave_enough_to_train_on(
    count: int, spares: int, size: int
) -> None:
    alone = split(numbered(count + 250), None, None, holdout_size=size)
    splits = split(numbered(count + 250), None, None, holdout_size=size, spare_holdouts=spares)
    assert (splits.holdout, splits.audit) == (alone.holdout, alone.audit)
    sets = [splits.train, splits.holdout, splits.audit, *splits.spares]
    assert sum(map(len, sets)) == len(set.union(*map(keys, sets))) == count + 250
    size = len(splits.holdout)
    assert all(len(spare) == size for spare in splits.spares)
    assert len(splits.spares) == min(spares, max(0, len(alone.train) // size - 7))


def test_a_spare_holdout_stays_the_same_whatever_the_order_of_the_file() -> None:
    forward = split(numbered(900), numbered(40, 2000), None, holdout_size=50, spare_holdouts=2)
    backward = split(numbered(900)[::-1], numbered(40, 2000), None, holdout_size=50, spare_holdouts=2)
    assert [keys(s) for s in forward.spares] == [keys(s) for s in backward.spares]
    assert [len(s) for s in forward.spares] == [40, 40]


def test_a_class_is_never_shown_by_a_spare_holdout_alone() -> None:
    shown = set()
    for n in range(60):
        try:
            splits = split([*numbered(600), Example(f"rare {n}", "rare")], None, None, holdout_size=40)
            more = split(
                [*numbered(600), Example(f"rare {n}", "rare")], None, None, holdout_size=40, spare_holdouts=3
            )
        except DataError:  # it fell to the holdout
            continue
        assert more.labels == splits.labels == ("rare", "x", "y")
        shown.add(len(more.spares))
    assert shown == {0, 1, 2, 3}
