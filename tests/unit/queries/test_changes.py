"""How single examples changed: nothing is lost between the bins, and each lies on its side of zero."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.quantities import NANO
from cryoflux.queries.changes import HARDLY, changes_of
from cryoflux.verification.pairing import Pairing

_LOSSES = st.lists(
    st.tuples(st.integers(0, 20 * NANO), st.integers(0, 20 * NANO), st.booleans(), st.booleans()),
    min_size=1,
    max_size=300,
)


def pairing(rows: list[tuple[int, int, bool, bool]]) -> Pairing:
    return Pairing(*(list(column) for column in zip(*rows, strict=True)))  # type: ignore[arg-type]


@given(rows=_LOSSES)
def test_every_example_is_counted_once_and_on_its_side(rows: list[tuple[int, int, bool, bool]]) -> None:
    found = changes_of(pairing(rows), hits=True)
    assert sum(found.bins) == found.count == len(rows)
    assert found.better + found.worse + found.hardly == len(rows)
    assert found.first <= 0 <= found.first + len(found.bins)
    left = sum(found.bins[: -found.first])
    assert left == sum(base < new for base, new, _, _ in rows)
    assert len(found.bins) <= 60


def test_what_moved_enough_is_better_or_worse() -> None:
    by = round(HARDLY * NANO)
    rows = [(NANO, NANO - by, False, True), (NANO, NANO + by, True, False), (NANO, NANO + by - 1, True, True)]
    found = changes_of(pairing(rows), hits=True)
    assert (found.better, found.worse, found.hardly) == (1, 1, 1)
    assert (found.newly_right, found.newly_wrong) == (1, 1)


def test_a_few_far_away_do_not_squeeze_the_others() -> None:
    rows = [(NANO + 1000 * place, NANO, True, True) for place in range(-500, 500)]
    far = [(200 * NANO, 0, True, True), (0, 200 * NANO, True, True)]
    found = changes_of(pairing(rows + far), hits=False)
    assert found.above
    assert found.below
    assert found.step < 1e-4
    assert found.bins[0] >= 1


def test_examples_that_did_not_move_at_all_have_a_picture_too() -> None:
    found = changes_of(pairing([(5, 5, True, True)] * 3), hits=True)
    assert found.hardly == sum(found.bins) == 3
