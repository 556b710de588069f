"""Whether the holdout is looked at follows from what may steer it, and from nothing else."""

import math
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.looking import (
    NO_WORSE_SCREEN,
    STAKING_SCREEN,
    due_look,
    is_at_its_end,
    judged_before,
    screen_of,
)
from cryoflux.decision.rules import BARE, BUDGETED, NO_WORSE, RULES, Thresholds
from cryoflux.decision.screening import SCREEN, screened_out
from cryoflux.decision.stakes import (
    STAKED,
    STAKES,
    WHOLE,
    StakedBudget,
    chosen_stake,
    least_stake,
    left_of_counted,
    needed_at,
)

BAR = Thresholds(2_000_000, 10_000, 3090, 12_000)
OTHERS = sorted(set(RULES) - {STAKED, NO_WORSE})
COUNTS = st.sampled_from((30, 64, 255, 499, 500, 512, 999, 1000, 1024))
LEFT = st.integers(0, 10**13)


@st.composite
def screens(draw: st.DrawFn) -> Evidence:
    """Sums of screening examples that some losses could have."""
    count = draw(st.integers(2, 1024))
    delta = draw(st.integers(-50_000_000, 200_000_000)) * count
    scatter = draw(st.integers(0, 10**18)) * count
    base = 10**12 * count
    return Evidence(count, base, base - delta, delta**2 // count + 1 + scatter, 3, 4, 2, 1)


def look(seen: Evidence | None, left: int, count: int = 512, *, ended: bool, screen: str = STAKING_SCREEN):
    return due_look(STAKED, screen, seen, BAR, left, count, ended=ended)


@given(screens(), LEFT, COUNTS, st.booleans())
def test_the_same_sums_give_the_same_look_whatever_was_asked_before(
    seen: Evidence, left: int, count: int, ended: bool
) -> None:
    first = look(seen, left, count, ended=ended)
    look(replace(seen, new_loss=seen.new_loss + 10**9), left // 2, count, ended=not ended)
    needed_at.cache_clear()
    assert look(seen, left, count, ended=ended) == first


@given(screens(), LEFT, st.booleans())
def test_neither_accuracy_nor_another_rules_bar_changes_a_stake(
    seen: Evidence, left: int, ended: bool
) -> None:
    due = look(seen, left, ended=ended)
    other = replace(seen, base_correct=0, new_correct=9, gained=9, lost=0)
    assert (due.stake_milli, due.needed_milli) == (
        (found := look(other, left, ended=ended)).stake_milli,
        found.needed_milli,
    )
    bar = Thresholds(BAR.min_delta, 1, 1, 99_000)
    assert due_look(STAKED, STAKING_SCREEN, seen, bar, left, 512, ended=ended) == due


@given(screens(), LEFT, COUNTS)
def test_what_is_due_on_the_way_is_due_at_the_end_and_not_the_other_way_round(
    seen: Evidence, left: int, count: int
) -> None:
    on_the_way, at_the_end = (look(seen, left, count, ended=ended) for ended in (False, True))
    stake = chosen_stake(StakedBudget(left), seen, count, BAR.min_delta)
    assert (on_the_way.refused is None) == (stake >= 800)
    assert (at_the_end.refused is None) == (stake >= least_stake(count))
    if on_the_way.refused is None:
        assert on_the_way == at_the_end
    else:
        assert on_the_way.refused.code == "stake.not-yet"
        assert on_the_way.refused.numbers["stake_milli"] == stake
    if at_the_end.refused is not None:
        assert at_the_end.refused.code == "stake.too-little"


@given(screens(), LEFT, COUNTS, st.booleans())
def test_a_look_has_the_bar_of_its_stake_and_a_refusal_has_none(
    seen: Evidence, left: int, count: int, ended: bool
) -> None:
    due = look(seen, left, count, ended=ended)
    if due.refused is not None:
        assert (due.stake_milli, due.needed_milli) == (0, 0)
    else:
        assert due.stake_milli in STAKES
        assert due.needed_milli == StakedBudget(left).needed_milli(due.stake_milli, count)
        assert due.needed_milli >= StakedBudget(left).needed_milli(due.stake_milli)
        assert due.stake_milli >= (least_stake(count) if ended else 800)


@given(LEFT, COUNTS, st.booleans())
def test_without_screening_examples_one_share_is_staked_on_every_candidate(
    left: int, count: int, ended: bool
) -> None:
    due, share = look(None, left, count, ended=ended, screen=""), 500 if count >= 500 else 800
    if not StakedBudget(left).level(share, count):
        assert due.refused is not None
    else:
        assert (due.refused, due.stake_milli) == (None, share)
        assert due.needed_milli == StakedBudget(left).needed_milli(share, count)


@given(st.sampled_from(OTHERS), screens(), LEFT, COUNTS, st.booleans(), st.booleans())
def test_other_rules_look_as_they_did(
    rule: str, seen: Evidence, left: int, count: int, ended: bool, screened: bool
) -> None:
    screen = screen_of(rule, screens=screened)
    due = due_look(rule, screen, seen if screen else None, BAR, left, count, ended=ended)
    assert due.refused == (screened_out(seen, BAR, count) if screen else None)
    assert (due.stake_milli, due.needed_milli) == (0, BAR.needed_milli)


def test_each_rule_has_its_screen() -> None:
    assert screen_of(STAKED, screens=True) == STAKING_SCREEN
    assert {screen_of(rule, screens=True) for rule in OTHERS if rule != BARE} == {SCREEN}
    assert screen_of(BARE, screens=True) == ""
    assert {screen_of(rule, screens=False) for rule in RULES} == {""}


def test_what_is_worse_on_the_screen_is_not_shown_where_nothing_may_be_lost() -> None:
    assert screen_of(NO_WORSE, screens=True) == NO_WORSE_SCREEN
    loses = Evidence(100, 10**11, 10**11 + 200_000_000, 10**18, 0, 0, 0, 0)  # 0.002 each
    assert due_look(NO_WORSE, NO_WORSE_SCREEN, loses, BAR, 0, 100, ended=True).refused is None
    more = Evidence(100, 10**11, 10**11 + 200_000_001, 10**18, 0, 0, 0, 0)
    refused = due_look(NO_WORSE, NO_WORSE_SCREEN, more, BAR, 0, 100, ended=False).refused
    assert refused is not None
    assert refused.code == "screen.worse"


@pytest.mark.parametrize(
    ("rule", "screen"),
    [
        (NO_WORSE, SCREEN),
        (STAKED, NO_WORSE_SCREEN),
        (STAKED, SCREEN),
        (BUDGETED, STAKING_SCREEN),
        (STAKED, "screen/v9"),
    ],
)
def test_a_screen_of_another_rule_is_refused(rule: str, screen: str) -> None:
    seen = Evidence(512, 10**14, 9 * 10**13, 10**25, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="is not screened by"):
        due_look(rule, screen, seen, BAR, 10**13, 512, ended=True)


def test_a_screen_without_its_sums_is_refused() -> None:
    for rule in (STAKED, BUDGETED):
        with pytest.raises(ValueError, match="was not screened"):
            due_look(rule, screen_of(rule, screens=True), None, BAR, 10**13, 512, ended=True)


def test_a_chain_ends_where_nothing_better_will_come() -> None:
    assert is_at_its_end("joules", carries=False)
    assert not is_at_its_end("joules", carries=True)
    assert not is_at_its_end("worth-a-look", carries=True)
    assert {is_at_its_end(by, carries=True) for by in ("plateau", "steps")} == {True}
    assert (judged_before().stake_milli, judged_before().needed_milli) == (0, 0)


ALPHA_PPM = 10_000
ALPHA = Fraction(ALPHA_PPM, 1_000_000)


def levels(looks: int, kept: int) -> Fraction:
    """Of both halves of ``evidence/v2`` at one node."""
    return 2 * ErrorBudget(ALPHA_PPM, looks, kept).level


def begun(looks: int, kept: int) -> Fraction:
    """What a tree of ``evidence/v3`` that begins at this node may err in all."""
    return Fraction(left_of_counted(ALPHA_PPM, looks, kept).left, WHOLE)


@cache
def most(looks: int, kept: int, depth: int) -> Fraction:
    """The most that looks from this node on may err, of all trees that change the rule wherever they like.

    A tree of v3 errs at most its budget (`test_stakes`), so where one begins, that is what it adds.
    """
    if looks == depth:
        return begun(looks, kept)
    goes_on = most(looks + 1, kept, depth) + most(looks + 1, kept + 1, depth)
    return max(begun(looks, kept), levels(looks, kept) + goes_on)


def test_no_change_from_v2_to_v3_errs_more_than_alpha_wherever_it_is_made() -> None:
    for depth in range(40):
        assert most(0, 0, depth) <= ALPHA
    assert most(0, 0, 39) > ALPHA * (1 - Fraction(1, 10**6))


@given(st.lists(st.booleans(), min_size=1, max_size=255), st.lists(st.sampled_from(STAKES), min_size=1))
def test_a_tree_of_both_rules_counted_node_by_node_stays_within_alpha(
    changes: list[bool], stakes: list[int]
) -> None:
    def staked(budget: StakedBudget, place: int, depth: int) -> Fraction:
        """All candidates null: what lies below a false acceptance does not count."""
        if not depth:
            return Fraction(0)
        stake = stakes[place % len(stakes)]
        below = staked(budget.after(stake, accepted=False), 2 * place, depth - 1)
        return Fraction(budget.level(stake), WHOLE) + below

    def counted(looks: int, kept: int, place: int) -> Fraction:
        if looks == 6 or changes[place % len(changes)]:
            return staked(left_of_counted(ALPHA_PPM, looks, kept), place, 12)
        below = counted(looks + 1, kept, 2 * place) + counted(looks + 1, kept + 1, 2 * place + 1)
        return levels(looks, kept) + below

    assert counted(0, 0, 1) <= ALPHA


@given(st.integers(0, 30), st.integers(0, 30))
def test_what_is_left_is_what_v2_would_have_used_from_there_on(looks: int, other: int) -> None:
    kept = min(looks, other)

    def of_depth(depth: int) -> Fraction:
        more = depth - looks
        return sum((math.comb(more, m) * levels(depth, kept + m) for m in range(more + 1)), Fraction(0))

    used = sum((of_depth(depth) for depth in range(looks, looks + 12)), Fraction(0))
    end = Fraction(1, looks + 1) - Fraction(1, looks + 13)  # Σ of 1/(k(k + 1)) so far
    whole = used / end / (looks + 1)
    assert begun(looks, kept) <= whole < begun(looks, kept) + Fraction(1, WHOLE)
