"""Every text is in at most one batch of a pass, and a batch is padded to its longest text only."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.batching import bucketed, mixed_buckets, padded

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 9))
def test_buckets_hold_each_text_once_and_sorted_by_length(lengths: list[int], size: int) -> None:
    batches = bucketed(lengths, size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths)
    assert all(len(batch) == size for batch in batches[:-1])


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200))
def test_long_texts_share_a_bucket_with_fewer(lengths: list[int], size: int, most: int) -> None:
    batches = bucketed(lengths, size, most)
    assert [i for batch in batches for i in batch] == [i for batch in bucketed(lengths, size) for i in batch]
    assert all(len(batch) == 1 or len(batch) * lengths[batch[-1]] <= most for batch in batches)
    assert bucketed(lengths, size, size * max(lengths)) == bucketed(lengths, size), (
        "none is cut up for nothing"
    )


def test_padding_is_masked() -> None:
    assert padded([[5, 6], [7]], 0) == ([[5, 6], [7, 0]], [[1, 1], [1, 0]])


def batches_of(lengths: list[int], size: int, seed: int) -> Iterator[list[int]]:
    return mixed_buckets(lengths, size, random.Random(seed))


def batches_a_pass(count: int, size: int) -> int:
    size = min(size, count)
    return count // size + (count % size > size // 2)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 99))
def test_a_pass_covers_every_text_at_most_once_and_leaves_out_half_a_batch_at_most(
    count: int, size: int, seed: int
) -> None:
    lengths = random.Random(seed).choices(range(1, 50), k=count)
    batches, number = batches_of(lengths, size, seed), batches_a_pass(len(lengths), size)
    for _ in range(3):
        covered = [i for batch in islice(batches, number) for i in batch]
        assert len(set(covered)) == len(covered)
        assert len(lengths) - len(covered) <= size // 2


@given(LENGTHS, st.integers(1, 40), st.integers(0, 99))
def test_the_seed_alone_decides_the_order(lengths: list[int], size: int, seed: int) -> None:
    first, second = (list(islice(batches_of(lengths, size, seed), 30)) for _ in range(2))
    assert first == second


def test_texts_of_a_batch_are_about_equally_long_and_its_company_changes() -> None:
    lengths = [random.Random(1).randint(1, 100) for _ in range(640)]
    batches = batches_of(lengths, 16, 5)
    passes = [list(islice(batches, 40)) for _ in range(2)]
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in passes[0]]
    assert sum(spread) / len(spread) < 20
    assert not {frozenset(b) for b in passes[0]} & {frozenset(b) for b in passes[1]}


def test_no_text_is_left_out_for_ever_because_it_is_long() -> None:
    lengths = list(range(1, 205))
    seen = Counter(i for batch in islice(batches_of(lengths, 32, 5), 6 * 40) for i in batch)
    assert len(seen) == 204
    assert min(seen.values()) > 25


def test_the_first_texts_are_gone_through_as_often_as_is_asked_before_others_come() -> None:
    lengths = [1 + number % 7 for number in range(100)]
    batches = mixed_buckets(lengths, 4, random.Random(3), first_as_given=True, first_passes=3)
    drawn = [text for batch in islice(batches, 24 + 17) for text in batch]
    assert sorted(drawn[:96]) == sorted([*range(32)] * 3)
    assert sorted(drawn[96:]) == [*range(32, 100)]
    others = mixed_buckets(lengths, 4, random.Random(3), first_as_given=True)
    assert list(islice(others, 8)) == list(
        islice(mixed_buckets(lengths, 4, random.Random(3), first_as_given=True, first_passes=3), 8)
    )
