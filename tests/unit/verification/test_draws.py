"""Which examples a seed draws, and that a forgery escapes a draw as seldom as is said."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate, chain, combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.verification.draws import CHANCES, draw, escapes_by_gain, escapes_evenly

GAINS = st.lists(st.integers(-3, 9).map(lambda gain: gain * 10**7), min_size=1, max_size=9)


@given(st.binary(max_size=40), st.binary(max_size=40), GAINS, st.integers(1, 12))
def test_draws_are_different_examples_that_anyone_draws_again(
    seed: bytes, leaf: bytes, gains: list[int], wanted: int
) -> None:
    drawn = draw(seed, leaf, gains, wanted)
    assert len(set(drawn.positions)) == len(drawn.positions) == min(len(gains), wanted)
    assert all(0 <= position < len(gains) for position in drawn.positions)
    assert draw(seed, leaf, gains, wanted) == drawn


def test_the_draw_is_as_documented_and_differs_from_receipt_to_receipt() -> None:
    gains = [3, 0, -5, 9, 1] * 200
    sums = list(accumulate(max(0, gain) for gain in gains))

    def numbers(kind: bytes) -> list[int]:
        digests = [hashlib.sha256(b"seedleaf" + kind + bytes(7) + bytes([k])).digest() for k in range(9)]
        return [int.from_bytes(one, "big") for one in digests]

    by_gain = [bisect_right(sums, number % sums[-1]) for number in numbers(b"\x01")[:3]]
    evenly = [number % 1000 for number in numbers(b"\x00")]
    assert draw(b"seed", b"leaf", gains, 6).positions == tuple(dict.fromkeys([*by_gain, *evenly]))[:6]
    assert draw(b"seed", b"other", gains, 6) != draw(b"seed", b"leaf", gains, 6)


def test_what_did_not_gain_is_drawn_by_no_gain_and_everything_evenly() -> None:
    alone = [0] * 63 + [10**9]
    drawn = [draw(bytes([k]), b"", alone, 4) for k in range(100)]
    assert all(one.positions[0] == 63 for one in drawn)
    assert {position for one in drawn for position in one.positions} == set(range(64))
    nothing_gained = draw(b"", b"", [-1] * 64, 4)
    assert (nothing_gained.evenly, nothing_gained.by_gain) == (4, 0)
    assert nothing_gained.missed(CHANCES[0]).gain == 0


@pytest.mark.parametrize("forged", [range(3), range(61, 64), range(20, 40)])
def test_a_chosen_forgery_escapes_as_seldom_as_is_said(forged: range) -> None:
    """By simulation: the largest gains, the smallest, and many in the middle."""
    gains = sorted((10**7 * (3 + i % 7) for i in range(64)), reverse=True)
    gains[:3] = [9 * 10**8] * 3
    trials, wanted = 4000, 12
    escaped = sum(
        set(forged).isdisjoint(draw(i.to_bytes(2, "big"), b"", gains, wanted).positions)
        for i in range(trials)
    )
    share = sum(gains[i] for i in forged) / sum(gains)
    said = float(escapes_evenly(64, len(forged), wanted // 2)) * escapes_by_gain(share, wanted // 2)
    spread = 4 * (said * (1 - said) / trials) ** 0.5
    assert escaped / trials <= said + spread
    assert escaped / trials > 0.6 * said - spread, "what is said should not be far above what happens"


@settings(max_examples=60, deadline=None)
@given(GAINS, st.integers(1, 8), st.sampled_from(CHANCES))
def test_no_forgery_that_escapes_so_often_is_larger_than_is_said(
    gains: list[int], wanted: int, chance: Fraction
) -> None:
    """All forgeries of a few examples, with the chance of each as exact as can be."""
    drawn = draw(b"", b"", gains, wanted)
    most, total = drawn.missed(chance), sum(drawn.gains)
    everyone = range(len(gains))
    for forged in chain.from_iterable(combinations(everyone, size) for size in range(1, len(gains) + 1)):
        gained = sum(drawn.gains[i] for i in forged)
        evenly = Fraction(comb(len(gains) - len(forged), drawn.evenly), comb(len(gains), drawn.evenly))
        by_gain = (1 - Fraction(gained, total)) ** drawn.by_gain if total else Fraction(1)
        if evenly * by_gain >= chance:
            assert len(forged) <= most.examples
            assert gained <= most.gain
