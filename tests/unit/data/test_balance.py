"""Frequent classes are cut by the hash of their texts; nothing else changes."""

from cryoflux.data.balance import balanced
from cryoflux.data.examples import Example

OFTEN = [Example(f"often {at}", "often") for at in range(100)]
SELDOM = [Example(f"seldom {at}", "seldom") for at in range(7)]


def test_no_class_has_more_than_so_many_times_the_smallest() -> None:
    kept = balanced([*OFTEN, *SELDOM], 3)
    assert [one for one in kept if one.label == "seldom"] == SELDOM
    often = [one for one in kept if one.label == "often"]
    assert len(often) == 21
    assert often == [one for one in OFTEN if one in often]  # in their order


def test_which_ones_does_not_hang_on_their_order() -> None:
    assert {*balanced([*OFTEN, *SELDOM], 3)} == {*balanced([*SELDOM, *OFTEN[::-1]], 3)}


def test_nothing_is_left_out_where_nobody_asks_or_nothing_is_frequent() -> None:
    assert balanced([*OFTEN, *SELDOM], 0) == [*OFTEN, *SELDOM]
    assert balanced([*OFTEN, *SELDOM], 15) == [*OFTEN, *SELDOM]
    assert balanced([], 3) == []
