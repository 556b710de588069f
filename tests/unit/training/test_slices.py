"""The slice of training data moves on, and comes round only when all of it was seen."""

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.training.slices import slice_digest, training_slice


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**53))
def test_consecutive_attempts_see_the_whole_pool_before_any_example_twice(
    pool: int, size: int, seed: int
) -> None:
    size = min(size, pool)
    whole = [i for attempt in range(pool // size) for i in training_slice(pool, size, attempt, seed)]
    assert len(set(whole)) == len(whole)
    assert set(whole) <= set(range(pool))


def test_a_slice_is_reproducible_and_another_attempt_has_another() -> None:
    assert training_slice(1000, 100, 3, 7) == training_slice(1000, 100, 3, 7)
    assert not set(training_slice(1000, 100, 3, 7)) & set(training_slice(1000, 100, 4, 7))
    assert training_slice(1000, 100, 12, 7) != training_slice(1000, 100, 2, 7)
    assert slice_digest([1, 2]) != slice_digest([12])
