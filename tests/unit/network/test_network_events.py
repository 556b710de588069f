"""The simulated network keeps its bounds, can be made again by its seed, and is whole again after a cut."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from cryoflux.network.choosing import StandingOffer, chosen_offers
from network_events import Network, RealLog, Setting, found_table

SMALL = Setting("small", nodes=40, days=2, cheats=0.2, newcomers=5, sybils=200)
JOULES_A_CHECK = 3.3


@pytest.fixture(scope="module")
def lived() -> Network:
    network = Network(SMALL, 1)
    network.lived()
    return network


def test_checks_and_strangers_get_no_more_than_their_share_of_the_joules(lived: Network) -> None:
    told = lived.told
    assert told.checks > 5_000
    assert (told.checks + told.on_strangers) * JOULES_A_CHECK <= 0.1 * told.joules
    assert 0 < told.on_strangers * JOULES_A_CHECK <= 0.01 * told.joules


def test_nothing_of_a_cheat_is_adopted_and_nobody_looks_twice_or_at_their_own(lived: Network) -> None:
    offers, cheat = lived.offers, lived.cheats
    of_cheats = cheat[offers.owner[: offers.count]]
    assert offers.looked[: offers.count][of_cheats].sum() == lived.told.on_cheats > 0
    assert offers.used[: offers.count][of_cheats].sum() == 0
    assert offers.looked.max() < SMALL.nodes
    assert offers.looked.sum() == lived.told.checks


def test_the_same_seed_gives_the_same_network_and_another_one_another() -> None:
    small = replace(SMALL, nodes=20)
    one, again, other = (Network(small, seed).lived() for seed in (4, 4, 5))
    assert one == again
    assert one.checks != other.checks


def test_a_cut_network_sees_its_own_side_and_catches_up() -> None:
    cut = Network(replace(SMALL, nodes=30, days=3, cut_days=(1, 2)), 1)
    told = cut.lived()
    assert told.other_side > 0
    whole = cut.offers.praise[:, : cut.offers.count]
    assert (whole[0] == whole[1]).all()
    assert whole.sum() > 0
    until = replace(SMALL, nodes=30, cut_days=(1, 5))
    parted = Network(until, 1)
    parted.lived()
    made = np.flatnonzero(parted.offers.side[: parted.offers.count] >= 0)
    known = parted.offers.praise[:, made]
    assert known[0][parted.offers.side[made] == 1].sum() == 0
    assert known[1][parted.offers.side[made] == 0].sum() == 0
    assert known.sum() > 0


def test_praise_finds_what_is_of_worth_among_many_cheats() -> None:
    praised, blind = (Network(replace(SMALL, quorum=quorum), 1).lived() for quorum in (1, 0))
    assert praised.adopted / praised.checks > 1.3 * blind.adopted / blind.checks


@pytest.mark.parametrize(("most", "quorum"), [(4, 1), (9, 2), (14, 2), (40, 3)])
def test_a_node_chooses_as_the_real_choice_does(most: int, quorum: int) -> None:
    network = Network(replace(SMALL, quorum=quorum), 3)
    offers, rng = network.offers, np.random.default_rng(most)
    offers.add(0.0, 1, np.zeros(most * 2), -1)
    count = offers.count
    for said in (offers.praise, offers.refused):
        said[:, :count] = rng.integers(0, 5, count) * (rng.random(count) < 0.4)
    network.look_around(1.0)
    told = [
        StandingOffer(str(row), "log", row, int(offers.praise[0, row]), int(offers.refused[0, row]))
        for row in range(count)
    ]

    def kinds(rows: Iterable[int]) -> Counter[str]:
        return Counter(
            "praised"
            if told[row].praised_by >= quorum
            else "heard"
            if told[row].praised_by or told[row].refused_by
            else "new"
            for row in rows
        )

    real = [int(one.capsule) for one in chosen_offers(told, most, quorum, 5)]
    simulated = network.chosen(1.0, 0, most).tolist()
    assert kinds(simulated) == kinds(real)
    by_praise = sorted(told[row].praised_by for row in real if told[row].praised_by >= quorum)
    assert by_praise == sorted(told[row].praised_by for row in simulated if told[row].praised_by >= quorum)


def test_a_log_that_was_rewritten_is_not_consistent() -> None:
    log = RealLog()
    for number in range(5):
        log.enter("offer", number, number)
        log.sign()
    assert log.consistent(1) == 5
    log.heads[2] = (3, bytes(32))
    with pytest.raises(AssertionError, match="size 3"):
        log.consistent(1)


def test_a_check_finds_more_of_what_is_worth_more_and_nothing_of_what_is_worth_nothing() -> None:
    found = found_table()
    assert found[0] == 0
    assert (np.diff(found) >= 0).all()
    assert found[-1] > 0.99
