"""Every text is in exactly one batch, and a batch is padded to its longest text only."""

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.batching import bucketed, padded


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(1, 9))
def test_buckets_hold_each_text_once_and_sorted_by_length(lengths: list[int], size: int) -> None:
    batches = bucketed(lengths, size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths)
    assert all(len(batch) == size for batch in batches[:-1])


def test_padding_is_masked() -> None:
    assert padded([[5, 6], [7]], 0) == ([[5, 6], [7, 0]], [[1, 1], [1, 0]])
