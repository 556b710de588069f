"""Losses of an opened look beside what was sealed of it: equal, a rounding apart, or others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.levels import certified_level
from cryoflux.receipts.guest_tree import sealed_losses_root
from cryoflux.receipts.losses_tree import loss_leaves
from cryoflux.receipts.network_parts import SealedLook, SealedSums
from cryoflux.receipts.profiles import F32, PROFILE
from cryoflux.verification.levels import Word
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.opened_looks import OpenedSums, hold_look
from plain_log import model

KEY, INTENT, NEEDED = bytes(range(32)), "a" * 64, 12_000
BASE: Found = ([10**9 + 37 * at for at in range(400)], [at % 2 == 0 for at in range(400)])
NEW: Found = ([loss - 3 * 10**8 - 11 * at for at, loss in enumerate(BASE[0])], [True] * 400)


def opened(base: Found = BASE, new: Found = NEW, profile: str = PROFILE) -> OpenedSums:
    found = pair_losses(base[0], new[0])
    sums = SealedSums(
        base=model("base"),
        candidate=model("candidate"),
        profile=profile,
        base_loss_sum=found.base_loss,
        new_loss_sum=found.new_loss,
        delta_squared_sum=str(found.delta_squared),
    )
    leaves = loss_leaves(range(len(base[0])), base[0], new[0], base[1], new[1])
    root = sealed_losses_root(leaves, KEY, INTENT)
    level = certified_level(found, NEEDED)
    look = SealedLook(sealed="b" * 64, losses_root=root, profile=profile, level=level)
    return OpenedSums(INTENT, look, sums, len(base[0]), KEY, NEEDED)


def moved(found: Found, by: int, *places: int) -> Found:
    return [loss + by * (at in places) for at, loss in enumerate(found[0])], found[1]


def test_the_same_losses_are_reproduced_exactly() -> None:
    held = hold_look(opened(), BASE, NEW, PROFILE)
    assert held.word is Word.EXACT
    assert "certify Δ > 0.25" in held.said


def test_losses_that_a_rounding_moved_leave_the_root_open() -> None:
    for base, new in ((moved(BASE, 1, 5), NEW), (BASE, moved(NEW, -1, 5, 9))):
        held = hold_look(opened(), base, new, PROFILE)
        assert held.word is Word.TOLERATED
        assert "not known" in held.said


def test_more_losses_than_a_rounding_moves_are_refuted() -> None:
    held = hold_look(opened(), BASE, moved(NEW, 1, *range(3)), PROFILE)
    assert held.word is Word.REFUTED
    assert held.said.startswith("its losses add up to ")


def test_squares_that_no_losses_near_these_have_are_refuted() -> None:
    said = opened()
    lied = replace(
        said, sums=said.sums.but(delta_squared_sum=str(int(said.sums.delta_squared_sum) * 9 // 10))
    )
    held = hold_look(lied, BASE, NEW, PROFILE)
    assert held.word is Word.REFUTED
    assert held.said.startswith("its squares of Δ add up to ")


@pytest.mark.parametrize("new", [(NEW[0][::-1], NEW[1]), (NEW[0], BASE[1])])
def test_a_root_over_other_losses_of_the_same_sum_is_refuted(new: Found) -> None:
    """Hits are under the root, too."""
    said = opened()
    lied = replace(said, look=said.look.but(losses_root=opened(BASE, new).look.losses_root))
    held = hold_look(lied, BASE, NEW, PROFILE)
    assert held.word is Word.REFUTED
    assert "published root" in held.said


def test_a_level_that_a_rounding_decides_stays_open() -> None:
    said = opened()
    held = hold_look(replace(said, look=said.look.but(level=0)), moved(BASE, 1, 3), NEW, PROFILE)
    assert held.word is Word.OPEN


@given(st.lists(st.integers(-100_000, 100_000), min_size=400, max_size=400), st.booleans())
def test_whatever_float32_may_round_is_not_refuted(by: list[int], both: bool) -> None:
    """Each loss by as much as its profile tolerates, as long as the mean is what it tolerates too."""
    centred = [one - sum(by) // len(by) for one in by]
    noise = [max(-100_000, min(100_000, one)) for one in centred]
    if abs(sum(noise)) > 1_000 * len(noise):
        return
    new = [loss + one for loss, one in zip(NEW[0], noise, strict=True)]
    base = [loss - one for loss, one in zip(BASE[0], noise, strict=True)] if both else BASE[0]
    held = hold_look(opened(profile=F32), (base, BASE[1]), (new, NEW[1]), F32)
    assert held.word is not Word.REFUTED


@given(st.integers(2, 10**9), st.sampled_from([-1, 1]))
def test_sums_further_off_than_float64_rounds_are_refuted(off: int, sign: int) -> None:
    said = opened()
    lied = replace(said, sums=said.sums.but(new_loss_sum=said.sums.new_loss_sum + sign * (off + 1)))
    assert hold_look(lied, BASE, NEW, PROFILE).word is Word.REFUTED
