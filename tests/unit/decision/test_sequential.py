"""Reading stops only for candidates that the whole holdout would not have kept."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import RULES, WITH_BUDGET, Thresholds, decide
from cryoflux.decision.sequential import decide_partial, hopeless, looks, reading_order
from cryoflux.decision.stakes import STAKED
from cryoflux.sentences import say, say_as_signed

RULE = "evidence/v2"
USUAL = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090, needed_milli=16_589)
ROWS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)
BARS = st.builds(Thresholds, st.integers(0, 10**8), st.integers(0, 10**5), st.just(0), st.integers(1, 60_000))


def of(rows: list) -> Evidence:
    return pair_losses(*(list(column) for column in zip(*rows, strict=True)))


def drifting(rng: np.random.Generator, mean: float, spread: float, count: int) -> list:
    draws = rng.normal(mean, spread, size=count)
    return [(10**9, 10**9 - int(value * 1e9), True, True) for value in draws]


@given(st.integers(0, 500), st.text())
def test_the_reading_order_is_a_permutation_that_the_digest_settles(count: int, digest: str) -> None:
    order = reading_order(count, digest)
    assert sorted(order) == list(range(count))
    assert reading_order(count, digest) == order


def test_the_reading_order_is_the_same_on_every_machine_and_for_no_two_holdouts() -> None:
    assert reading_order(8, "ab" * 32) == [3, 1, 7, 0, 2, 5, 6, 4]
    assert reading_order(50, "ab" * 32) != reading_order(50, "cd" * 32)


@given(st.integers(1, 200_000))
def test_looks_grow_to_the_end_and_are_few(count: int) -> None:
    schedule = looks(count)
    steps = [b - a for a, b in zip([0, *schedule], schedule, strict=False)]
    assert schedule[-1] == count
    assert len(schedule) <= 10
    assert all(step >= 32 for step in steps) or schedule == [count]
    assert (schedule == [count]) == (count < 64)


def test_looks_at_a_usual_holdout() -> None:
    assert looks(1500) == [96, 160, 224, 320, 448, 640, 896, 1280, 1500]


@given(ROWS, st.integers(1, 30), BARS)
def test_what_would_be_kept_as_it_stands_is_never_hopeless(rows: list, times: int, bar: Thresholds) -> None:
    evidence = of(rows)
    assume(decide(RULE, evidence, bar).accepted)
    assert not hopeless(evidence, evidence.count * times, bar, RULE)


@given(ROWS, st.integers(2, 30), BARS, st.sampled_from(sorted(WITH_BUDGET)))
def test_what_is_kept_if_the_rest_is_like_the_start_is_never_hopeless(
    rows: list, times: int, bar: Thresholds, rule: str
) -> None:
    whole = of(rows * times)
    assume(decide(rule, whole, bar).accepted)
    assert not hopeless(of(rows), whole.count, bar, rule)


@given(ROWS, st.integers(0, 5_000), st.sampled_from(sorted(set(RULES) - WITH_BUDGET)))
def test_rules_without_an_error_budget_never_stop_early(rows: list, more: int, rule: str) -> None:
    evidence = of(rows)
    assert not hopeless(evidence, evidence.count + more, USUAL, rule)
    with pytest.raises(ValueError, match="whole holdout only"):
        decide_partial(rule, evidence, evidence.count + more, USUAL)


@given(ROWS)
def test_nothing_is_hopeless_once_everything_is_read(rows: list) -> None:
    evidence = of(rows)
    assert not hopeless(evidence, evidence.count, USUAL, RULE)
    with pytest.raises(ValueError, match="were read of"):
        hopeless(evidence, evidence.count - 1, USUAL, RULE)


def test_a_candidate_that_is_a_little_worse_everywhere_is_put_down_at_the_first_look() -> None:
    worse = of([(10**9, 10**9 + 50_000, True, True)] * 96)
    verdict = decide_partial(RULE, worse, 1500, USUAL)
    assert not verdict.accepted
    assert not verdict.undecided
    assert say_as_signed(verdict.reason) == (
        "Rejected: Δ = -0.0001 ± 0.0000 nats, accuracy +0.0 points after 96 of 1,500 examples; "
        "the chance of being kept after all is below 2 %."
    )
    ends = "stopped after 96 of 1,500 examples: its chance of being kept was below 2 %."
    assert say(verdict.reason).endswith(ends)


def test_accuracy_that_may_still_rise_keeps_a_candidate_with_no_delta_alive() -> None:
    same, won = (10**9, 10**9, True, True), (10**9, 10**9, False, True)
    assert not hopeless(of([same] * 96), 1500, USUAL, RULE)
    assert hopeless(of([same] * 448), 1500, USUAL, RULE)
    assert not hopeless(of([same] * 440 + [won] * 8), 1500, USUAL, RULE)
    assert hopeless(of([same] * 440 + [won] * 8), 1500, USUAL, STAKED)


@pytest.mark.parametrize(
    ("read", "complaint"), [(95, "no look is scheduled"), (1500, "no look is scheduled")]
)
def test_a_rejection_off_the_schedule_is_refused(read: int, complaint: str) -> None:
    worse = of([(10**9, 2 * 10**9, True, True)] * read)
    with pytest.raises(ValueError, match=complaint):
        decide_partial(RULE, worse, 1500, USUAL)


def test_a_rejection_of_a_promising_candidate_is_refused() -> None:
    better = of([(10**9, 9 * 10**8, True, True)] * 96)
    with pytest.raises(ValueError, match="could still be kept"):
        decide_partial(RULE, better, 1500, USUAL)


@given(st.integers(10**300, 10**320), st.integers(10**300, 10**320), st.integers(96, 128))
def test_numbers_of_any_size_do_not_overflow(base: int, new: int, count: int) -> None:
    evidence = of([(base, new, True, True)] * count)
    assert not hopeless(evidence, count, USUAL, RULE)
    assume(abs(base - new) > 10**9)
    assert hopeless(evidence, count + 5_000, USUAL, RULE) == (new > base)


def _reading(rows: list) -> tuple[int, bool]:
    """Examples read, and whether the candidate was kept."""
    for read in looks(len(rows)):
        evidence = of(rows[:read])
        if hopeless(evidence, len(rows), USUAL, RULE):
            return read, False
    return len(rows), decide(RULE, evidence, USUAL).accepted


def test_harm_is_put_down_early_and_hardly_any_improvement_is_lost() -> None:
    rng = np.random.default_rng(11)
    harmful = [_reading(drifting(rng, -0.03, 0.1, 512))[0] for _ in range(20)]
    assert np.mean(harmful) < 0.2 * 512
    useful = [drifting(rng, 0.03, 0.1, 512) for _ in range(40)]
    kept = [_reading(rows)[1] for rows in useful]
    whole = [decide(RULE, of(rows), USUAL).accepted for rows in useful]
    assert sum(whole) > 35
    assert sum(kept) >= sum(whole) - 1
    assert all(full or not early for early, full in zip(kept, whole, strict=True))


def _lost_ground(total: float, squares: float, count: int) -> Evidence:
    """Evidence with sums in nats, of a candidate whose accuracy is past saving."""
    base = 10**10 * count
    return Evidence(count, base, base - round(total * 1e9), round(squares * 1e18), 40, 0, 0, 40)


def test_at_the_edge_of_hopeless_the_optimistic_chance_is_below_two_percent_and_not_far_below() -> None:
    rng = np.random.default_rng(5)
    read, total, spread = 320, 1500, 0.1
    squares = read * spread**2
    edge = max(
        s / 100
        for s in range(-500, 500)
        if hopeless(_lost_ground(s / 100, squares, read), total, USUAL, RULE)
    )
    best, rest = (edge + 1.282 * squares**0.5) / read, total - read
    kept = 0
    for _ in range(4_000):
        more = rng.normal(best * rest, spread * rest**0.5)
        scatter = spread**2 * rng.chisquare(rest - 1) + more**2 / rest
        kept += decide(RULE, _lost_ground(edge + more, squares + scatter, total), USUAL).accepted
    assert 0.002 < kept / 4_000 < 0.02
