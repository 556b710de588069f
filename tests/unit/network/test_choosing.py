"""Whom a node looks at is a pure function of what is known and a seed; rounds keep to their share."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.choosing import StandingOffer, chosen_offers, drawn_strangers
from cryoflux.network.round_parts import ChosenOffers, OfferHere
from cryoflux.network_state import ChargedTally, strangers_uj
from cryoflux.registry.mixture import OfferedUpdate

OFFERS = st.lists(
    st.builds(
        StandingOffer,
        capsule=st.integers(0, 60).map(str),
        origin=st.sampled_from("abcd"),
        committed_s=st.integers(0, 5),
        praised_by=st.integers(0, 3),
        refused_by=st.integers(0, 3),
    ),
    max_size=40,
    unique_by=lambda one: (one.capsule, one.origin),
)


@given(OFFERS, st.integers(0, 12), st.integers(1, 3), st.integers(0, 9), st.randoms())
def test_half_are_praised_half_are_drawn_and_order_does_not_matter(
    offers: list[StandingOffer], most: int, quorum: int, seed: int, chance: random.Random
) -> None:
    found = chosen_offers(offers, most, quorum, seed)
    shuffled = [*offers]
    chance.shuffle(shuffled)
    assert chosen_offers(shuffled, most, quorum, seed) == found
    assert found == sorted(found, key=lambda one: (one.committed_s, one.capsule, one.origin))
    assert len(set(found)) == len(found) <= most
    praised = [one for one in offers if one.praised_by >= quorum]
    unseen = [one for one in offers if not one.praised_by and not one.refused_by]
    assert all(one in praised or one.refused_by < quorum for one in found)
    assert sum(one in praised for one in found) >= min(len(praised), -(-most // 2))
    assert sum(one in unseen for one in found) >= min(len(unseen), most // 2)
    takable = [one for one in offers if one in praised or one.refused_by < quorum]
    assert len(found) == min(most, len(takable))
    worst = min((one.praised_by for one in found if one in praised), default=0)
    assert all(one in found or one.praised_by <= worst for one in praised if worst)


def test_chance_depends_on_the_seed_and_on_nothing_else() -> None:
    offers = [StandingOffer(str(n), "log", 0) for n in range(100)]
    draws = {tuple(one.capsule for one in chosen_offers(offers, 4, 1, seed)) for seed in range(50)}
    assert len(draws) > 45
    few = chosen_offers(offers, 4, 1, 7)
    assert chosen_offers(few + [one for one in offers[::3] if one not in few], 4, 1, 7)[0] in few


def test_a_log_has_one_ticket_however_much_it_offers_and_order_does_not_matter() -> None:
    many = ["loud"] * 1000 + [f"log{n}" for n in range(9)]
    won = sum("loud" in drawn_strangers(many, 1, seed) for seed in range(1000))
    assert 50 < won < 160
    assert drawn_strangers(many[::-1], 4, 3) == drawn_strangers(many, 4, 3) != drawn_strangers(many, 4, 4)


@given(st.integers(0, 10**12), st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 48)), max_size=30))
def test_strangers_get_a_hundredth_of_the_joules_however_many_there_are(
    trained_uj: int, rounds: list[tuple[int, int]]
) -> None:
    """Each round is charged half of what it reserves; as many of its candidates are strangers as fit."""
    charged = ChargedTally(all_uj=trained_uj)
    for reserved_uj, known in rounds:
        number = max(n for n in range(49) if charged.strangers_fit(reserved_uj, n, max(1, known + n)))
        spent_uj = reserved_uj // 2
        charged.all_uj += spent_uj
        charged.rounds_uj += spent_uj
        charged.strangers_uj += strangers_uj(spent_uj, number, max(1, known + number))
        assert 100 * charged.strangers_uj <= charged.all_uj + 100, "rounded up once a round"


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 999_999))
def test_a_round_that_costs_what_is_left_keeps_to_the_share(all_uj: int, rounds_uj: int, share: int) -> None:
    charged = ChargedTally(all_uj=all_uj + rounds_uj, rounds_uj=rounds_uj)
    left_uj = charged.left_for_rounds_uj(share)
    then = (rounds_uj + left_uj) * 1_000_000 - share * (all_uj + rounds_uj + left_uj)
    assert then <= 0 or left_uj == 0
    assert then + (1_000_000 - share) > 0, "one µJ more would not"


def at_most(number: int) -> Callable[[int, int], bool]:
    """So many strangers are paid for, whatever else is considered."""
    return lambda strangers, _: strangers <= number


def test_strangers_give_way_until_they_are_paid_for_and_stand_in_the_order_of_commitments() -> None:
    def offer(number: int, *, by_lottery: bool = False) -> OfferHere:
        update = OfferedUpdate(adapter=f"{number:064x}", genesis="0" * 64)
        return OfferHere(update, f"log {number}", "f" * 64, number, by_lottery=by_lottery)

    chosen = ChosenOffers([offer(5)], [offer(9, by_lottery=True), offer(1, by_lottery=True)])
    for most, due in ((0, [5]), (1, [5, 9]), (2, [1, 5, 9])):
        taken = chosen.paid(at_most(most), 48)
        assert [one.committed_s for one in taken] == due
    assert [one.committed_s for one in chosen.paid(lambda *_: True, 2)] == [5, 9]
