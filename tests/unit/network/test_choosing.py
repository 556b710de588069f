"""Whom a node looks at is a pure function of what is known and a seed, and strangers get a hundredth."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.network.choosing import StandingOffer, chosen_offers, drawn_strangers

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


def test_strangers_get_a_hundredth_of_the_joules_whatever_their_number() -> None:
    joules, each = 20_000_000_000, 3_300_000
    crowd = [f"log{n}" for n in range(10_000)]
    drawn = drawn_strangers(crowd, joules, each, 3)
    assert len(drawn) == 60
    assert len(drawn) * each <= joules // 100
    assert drawn_strangers([*crowd, *crowd][::-1], joules, each, 3) == drawn
    assert drawn_strangers(crowd, joules, each, 4) != drawn
    assert drawn_strangers(crowd, 0, each, 3) == drawn_strangers(crowd, joules, 0, 3) == []


def test_a_log_has_one_ticket_however_much_it_offers() -> None:
    many = ["loud"] * 1000 + [f"log{n}" for n in range(9)]
    won = sum("loud" in drawn_strangers(many, 100, 1, seed)[:1] for seed in range(1000))
    assert 50 < won < 160
