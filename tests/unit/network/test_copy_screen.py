"""A copy is found whoever offers it, and nobody copies himself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    committed_s: int


def offered(number: int, origin: str, committed_s: int = 0) -> Offered:
    return Offered(OfferedUpdate(adapter=f"{number:064x}", genesis=GENESIS), origin, committed_s)


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
    return find_copies(known, offers, lambda update: MOVES[update.adapter])


def test_the_later_commitment_is_the_copy() -> None:
    found = copies([], [offered(1, "north"), offered(2, "rogue"), offered(3, "south")])
    assert found == {f"{2:064x}": f"{1:064x}"}
    assert copies([], [offered(2, "rogue"), offered(1, "north")]) == {f"{1:064x}": f"{2:064x}"}


def test_a_copy_of_what_is_here_already_is_one() -> None:
    assert copies([offered(1, "south")], [offered(2, "rogue")]) == {f"{2:064x}": f"{1:064x}"}


def test_an_original_that_came_later_is_no_copy_of_its_copy() -> None:
    """A partition, or somebody who withholds the original, does not turn the two round."""
    assert copies([offered(2, "rogue", 99)], [offered(1, "north", 10)]) == {}
    assert copies([offered(1, "north", 10)], [offered(2, "rogue", 99)]) == {f"{2:064x}": f"{1:064x}"}


def test_whoever_goes_on_from_his_own_update_has_not_copied_it() -> None:
    assert copies([], [offered(1, "north"), offered(2, "north")]) == {}


def test_a_copy_of_a_copy_is_one_of_the_first() -> None:
    MOVES[f"{4:064x}"] = direction(2 * A, B)
    found = copies([], [offered(1, "north"), offered(2, "rogue"), offered(4, "third")])
    assert found[f"{4:064x}"] == f"{1:064x}"
