"""A copy is found whoever offers it, and nobody copies himself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryoflux.network.head_times import SeenBy
from cryoflux.network.screening import find_copies
from cryoflux.network.similarity import Direction
from cryoflux.registry.compose import LowRank
from cryoflux.registry.mixture import OfferedUpdate

GENESIS = "00" * 32
RNG = np.random.default_rng(7)


@dataclass(frozen=True)
class Offered:
    update: OfferedUpdate
    origin: str
    seen: SeenBy | None


def offered(number: int, origin: str, committed_s: int | None = None) -> Offered:
    """Of what has no time the number is in the place of it."""
    time_s = number if committed_s is None else committed_s
    return Offered(OfferedUpdate(adapter=f"{number:064x}", genesis=GENESIS), origin, SeenBy(time_s))


def here(number: int, origin: str) -> Offered:
    """What was in the head before anything was offered."""
    return Offered(OfferedUpdate(adapter=f"{number:064x}", genesis=GENESIS), origin, None)


def direction(a: np.ndarray, b: np.ndarray) -> Direction:
    low_rank = LowRank(a.astype(np.float32), b.astype(np.float32), 1.0)
    return Direction({"w": low_rank}, {}, RNG.normal(size=(40, 3)))


A, B = RNG.normal(size=(4, 16)), RNG.normal(size=(16, 4))
GAUGE = RNG.normal(size=(4, 4))
MOVES = {
    f"{1:064x}": direction(A, B),
    f"{2:064x}": direction(GAUGE @ A, B @ np.linalg.inv(GAUGE)),
    f"{3:064x}": direction(RNG.normal(size=(4, 16)), RNG.normal(size=(16, 4))),
}


def copies(known: list[Offered], offers: list[Offered]) -> dict[str, str]:
    found = find_copies(known, offers, lambda update: MOVES[update.adapter])
    assert not found.contested
    return found.of


def test_the_later_commitment_is_the_copy() -> None:
    found = copies([], [offered(1, "north"), offered(2, "rogue"), offered(3, "south")])
    assert found == {f"{2:064x}": f"{1:064x}"}
    assert copies([], [offered(2, "rogue", 1), offered(1, "north", 2)]) == {f"{1:064x}": f"{2:064x}"}


def test_a_copy_of_what_is_here_already_is_one() -> None:
    for original in (offered(1, "south"), here(1, "south")):
        assert copies([original], [offered(2, "rogue")]) == {f"{2:064x}": f"{1:064x}"}


def test_where_nobody_can_tell_which_was_first_neither_is_a_copy() -> None:
    north, rogue = offered(1, "north"), offered(2, "rogue")
    for known, new in (([], [north, offered(3, "south"), rogue]), ([rogue], [north])):
        found = find_copies(known, new, lambda update: MOVES[update.adapter], lambda _one, _other: False)
        told = {f"{1:064x}": f"{2:064x}", f"{2:064x}": f"{1:064x}"}
        assert found.of == {}
        assert found.contested == {one: other for one, other in told.items() if known == [] or one[-1] == "1"}


def test_what_is_surely_a_copy_of_one_is_not_contested_with_another() -> None:
    MOVES[f"{4:064x}"] = direction(2 * A, B)
    surely = {(1, 4), (2, 4)}

    def before(one: SeenBy, other: SeenBy) -> bool:
        return (one.time_s, other.time_s) in surely

    some = [offered(number, f"log {number}") for number in (1, 2, 4)]
    found = find_copies([], some, lambda update: MOVES[update.adapter], before)
    assert found.of == {f"{4:064x}": f"{1:064x}"}
    assert set(found.contested) == {f"{1:064x}", f"{2:064x}"}


def test_an_original_that_came_later_is_no_copy_of_its_copy() -> None:
    """A partition, or somebody who withholds the original, does not turn the two round."""
    assert copies([offered(2, "rogue", 99)], [offered(1, "north", 10)]) == {}
    assert copies([offered(1, "north", 10)], [offered(2, "rogue", 99)]) == {f"{2:064x}": f"{1:064x}"}


def test_an_original_whose_copy_is_in_the_head_is_told_to_be_copied_and_not_searched() -> None:
    rogue, north = offered(2, "rogue", 99), offered(1, "north", 10)
    moves, held = (lambda update: MOVES[update.adapter]), {f"{2:064x}"}
    found = find_copies([rogue], [north, offered(3, "south")], moves, held=held)
    assert (found.of, found.contested, found.copied) == ({}, {}, {f"{1:064x}": f"{2:064x}"})
    assert find_copies([rogue], [offered(1, "rogue", 10)], moves, held=held).copied == {}, "his own"
    MOVES[f"{4:064x}"] = direction(2 * A, B)
    first = offered(4, "east", 5)
    found = find_copies([rogue, first], [north], moves, held=held)
    assert (found.of, found.copied) == ({f"{1:064x}": f"{4:064x}"}, {}), "a copy itself"


def test_whoever_goes_on_from_his_own_update_has_not_copied_it() -> None:
    assert copies([], [offered(1, "north"), offered(2, "north")]) == {}


def test_a_copy_of_a_copy_is_one_of_the_first() -> None:
    MOVES[f"{4:064x}"] = direction(2 * A, B)
    found = copies([], [offered(1, "north"), offered(2, "rogue"), offered(4, "third")])
    assert found[f"{4:064x}"] == f"{1:064x}"
