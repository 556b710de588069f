"""Nothing that judges was ever trained on, whatever is given and in whatever order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.examples import Example, normalise
from cryoflux.data.fold import fold
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


def test_a_class_is_never_shown_by_a_spare_holdout_alone_in_an_older_state() -> None:
    shown = set()
    for n in range(60):
        pool = [*numbered(600), Example(f"rare {n}", "rare")]
        try:
            splits = split(pool, None, None, holdout_size=40, by_class=False)
            more = split(pool, None, None, holdout_size=40, spare_holdouts=3, by_class=False)
        except DataError:  # it fell to the holdout
            continue
        assert more.labels == splits.labels == ("rare", "x", "y")
        shown.add(len(more.spares))
    assert shown == {0, 1, 2, 3}


def of_classes(classes: int, each: int) -> list[Example]:
    return [Example(f"text {i} of class {c}", f"c{c}") for c in range(classes) for i in range(each)]


def labels(examples) -> Counter[str]:
    return Counter(example.label for example in examples)


def test_many_small_classes_are_all_trained_on_and_judged() -> None:
    pool = of_classes(150, 4)
    assert len(labels(split(pool, None, None, holdout_size=512, by_class=False).holdout)) < 100
    splits = split(pool, None, None, holdout_size=512, spare_holdouts=3)
    assert labels(splits.train) == dict.fromkeys(labels(pool), 2)
    assert labels(splits.holdout) == labels(splits.audit) == dict.fromkeys(labels(pool), 1)
    assert splits.spares == ()


def test_a_set_that_has_no_room_for_all_classes_says_which_size_has() -> None:
    with pytest.raises(DataError, match="150 classes have 3 examples or more") as caught:
        split(of_classes(150, 4), None, None, holdout_size=100)
    assert "--holdout-size 150" in caught.value.hint


@given(st.lists(st.integers(1, 200), min_size=2, max_size=12), st.integers(30, 60), st.integers(0, 3))
def test_every_class_is_trained_on_and_judged_in_proportion(sizes: list[int], size: int, spares: int) -> None:
    pool = [Example(f"{c} {i}", f"c{c}") for c, count in enumerate([*sizes, 400]) for i in range(count)]
    splits = split(pool, None, None, holdout_size=size, spare_holdouts=spares)
    whole, trained, held = labels(pool), labels(splits.train), labels(splits.holdout)
    assert trained.keys() == whole.keys()
    assert {label for label, count in whole.items() if count >= 3} <= held.keys()
    for label, count in whole.items():
        share = count * len(splits.holdout) / len(pool)
        assert held[label] <= max(1, share + len(whole))
        assert held[label] >= min(count // 2, int(share)) - len(whole)
    assert sum(map(len, (splits.train, splits.holdout, splits.audit, *splits.spares))) == len(pool)


def test_texts_without_fellows_are_said_to_stay_where_they_are() -> None:
    with pytest.raises(DataError, match="holdout set has 0 examples") as caught:
        split(of_classes(300, 1), None, None, holdout_size=40)
    assert "300 are the only ones of their class" in caught.value.hint


def test_copies_of_what_is_drawn_are_dropped_and_counted() -> None:
    pool = [*numbered(400), *(Example(f"text number\u200b {i}", "xy"[i % 2]) for i in range(400))]
    splits = split(pool, None, None, holdout_size=40, spare_holdouts=1)
    sets = [splits.train, splits.holdout, splits.audit, *splits.spares]
    folds = [{fold(example.text) for example in examples} for examples in sets]
    assert sum(map(len, folds)) == len(set.union(*folds)) == 400
    assert splits.dropped["train"] == len(pool) - sum(map(len, sets)) == 120
