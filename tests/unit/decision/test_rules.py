"""What each rule lets in, and what it keeps out that the bare thresholds let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import NO_WORSE, RULES, Thresholds, decide
from cryoflux.errors import ConfigError
from cryoflux.sentences import say, say_as_signed

USUAL = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090, needed_milli=16_589)


def spread(mean: int, noise: int, count: int = 400, gained: int = 0, lost: int = 0) -> Evidence:
    """Differences of ``mean`` ± ``noise`` nano-nats, and some flipped classifications."""
    base = [10**9] * count
    new = [10**9 - mean + (noise if i % 2 else -noise) for i in range(count)]
    base_correct = [i >= gained for i in range(count)]
    new_correct = [i < count - lost for i in range(count)]
    return pair_losses(base, new, base_correct, new_correct)


def test_a_clear_improvement_is_kept_by_every_rule() -> None:
    clear = spread(23_500_000, 50_000_000)
    assert all(decide(rule, clear, USUAL).accepted for rule in RULES)


def test_noise_that_reaches_the_threshold_is_kept_by_the_bare_rule_only() -> None:
    noisy = spread(5_000_000, 300_000_000)
    assert decide("whitepaper/v1", noisy, USUAL).accepted
    verdict = decide("evidence/v1", noisy, USUAL)
    assert not verdict.accepted
    assert verdict.reason.code == "z.noise"


def test_an_accuracy_gain_does_not_excuse_a_loss_that_went_up() -> None:
    worse = spread(-31_000_000, 10_000_000, gained=20)
    assert decide("whitepaper/v1", worse, USUAL).accepted
    verdict = decide("evidence/v1", worse, USUAL)
    assert not verdict.accepted
    assert verdict.reason.code == "loss-went-up"


def test_a_significant_accuracy_gain_counts_where_the_loss_did_not_rise() -> None:
    assert decide("evidence/v1", spread(0, 100_000_000, gained=20), USUAL).accepted
    assert not decide("evidence/v1", spread(0, 100_000_000, gained=20, lost=14), USUAL).accepted


def test_the_threshold_itself_is_reached() -> None:
    exact = spread(2_000_000, 1_000)
    below = spread(1_999_999, 1_000)
    for rule in set(RULES) - {NO_WORSE}:
        assert decide(rule, exact, USUAL).accepted
        assert not decide(rule, below, USUAL).accepted


def test_no_worse_keeps_what_rules_a_loss_out_and_nothing_else() -> None:
    # the standard error is 1/20 of the noise: 3.09 of them are 0.0015 here
    assert decide(NO_WORSE, spread(0, 10_000_000), USUAL).accepted
    assert decide(NO_WORSE, spread(-400_000, 10_000_000), USUAL).accepted
    refused = decide(NO_WORSE, spread(-500_000, 10_000_000), USUAL)
    assert (refused.accepted, refused.reason.code) == (False, "no-worse.not-shown")
    assert not decide(NO_WORSE, spread(0, 20_000_000), USUAL).accepted  # nobody knows
    assert not decide(NO_WORSE, spread(-2_000_000, 1_000), USUAL).accepted
    assert decide(NO_WORSE, spread(0, 0), USUAL).accepted


@given(st.integers(-(10**8), 10**8), st.integers(0, 10**9), st.integers(0, 40), st.integers(0, 40))
def test_evidence_never_keeps_what_the_bare_rule_rejects(mean: int, noise: int, up: int, down: int) -> None:
    found = spread(mean, min(noise, 10**9 - abs(mean)), gained=up, lost=down)
    if decide("evidence/v1", found, USUAL).accepted:
        assert decide("whitepaper/v1", found, USUAL).accepted
        assert found.delta >= 0


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        decide("gut-feeling/v1", spread(1, 1), USUAL)
    assert "evidence/v1" in caught.value.hint


LOSSES = st.lists(
    st.tuples(st.integers(0, 10**10), st.integers(0, 10**10), st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)
BARS = st.builds(
    Thresholds, st.integers(0, 10**8), st.integers(0, 10**5), st.just(3090), st.integers(1, 60_000)
)
RULE = "evidence/v2"


def judged(rows: list) -> Evidence:
    return pair_losses(*(list(column) for column in zip(*rows, strict=True)))


def test_the_sentences_that_the_first_form_signed_never_change() -> None:
    assert say_as_signed(decide(RULE, spread(23_500_000, 50_000_000), USUAL).reason) == (
        "Kept: Δ = +0.0235 ± 0.0049 nats, accuracy +0.0 points; Δ reaches 0.002, evidence 72.4 > 16.6."
    )
    assert say_as_signed(decide(RULE, spread(0, 100_000_000, gained=20), USUAL).reason) == (
        "Kept: Δ = +0.0000 ± 0.0098 nats, accuracy +5.0 points; "
        "the accuracy gain counts (evidence 20.0 > 16.6), Δ is not negative."
    )
    assert say_as_signed(decide(RULE, spread(5_000_000, 100_000_000), USUAL).reason) == (
        "Undecided: Δ = +0.0050 ± 0.0098 nats, accuracy +0.0 points; "
        "Δ ≥ 0.002 is neither shown (evidence 1.0, needed > 16.6) nor ruled out."
    )
    assert say_as_signed(decide(RULE, spread(-31_000_000, 10_000_000, gained=20), USUAL).reason) == (
        "Rejected: Δ = -0.0310 ± 0.0010 nats, accuracy +5.0 points; the holdout loss went up."
    )
    assert say_as_signed(decide(RULE, spread(1_000_000, 5_000_000), USUAL).reason) == (
        "Rejected: Δ = +0.0010 ± 0.0005 nats, accuracy +0.0 points; Δ is below 0.002."
    )


def test_the_sentences_of_the_budgeted_rule_say_what_it_bounds() -> None:
    kept = say(decide(RULE, spread(23_500_000, 50_000_000), USUAL).reason)
    assert kept.endswith("; shown to help: a useless one would pass at most 1 time in 4,000.")
    right = say(decide(RULE, spread(0, 100_000_000, gained=20), USUAL).reason)
    assert "; shown to be right more often (gained 20, lost 0): one that is not would pass at most" in right
    assert say(decide(RULE, spread(5_000_000, 100_000_000), USUAL).reason).endswith(
        "; not proven yet, not ruled out: evidence 1.0, needed > 16.6."
    )
    assert say(decide(RULE, spread(1_000_000, 5_000_000), USUAL).reason).endswith(
        "; too small: all of its 95 % interval lies below 0.002."
    )


@given(LOSSES, BARS)
def test_undecided_says_that_the_interval_reaches_the_smallest_delta(rows: list, bar: Thresholds) -> None:
    found = judged(rows)
    verdict = decide(RULE, found, bar)
    upper = found.delta_mean + 1.96 * found.delta_se
    if not verdict.accepted and len(rows) > 1 and abs(upper - bar.min_delta / 1e9) > 1e-9:
        assert verdict.undecided == (upper > bar.min_delta / 1e9)
    assert not (verdict.accepted and verdict.undecided)
    start = "Kept: " if verdict.accepted else "Undecided: " if verdict.undecided else "Rejected: "
    assert say(verdict.reason).startswith(start)


@given(LOSSES)
def test_the_first_rules_know_two_states_only(rows: list) -> None:
    found = judged(rows)
    assert not any(decide(rule, found, USUAL).undecided for rule in ("evidence/v1", "whitepaper/v1"))


@given(LOSSES, BARS, st.integers(1, 1000))
def test_more_of_the_same_evidence_never_unaccepts(rows: list, bar: Thresholds, times: int) -> None:
    if decide(RULE, judged(rows), bar).accepted:
        assert decide(RULE, judged(rows * min(times, 20)), bar).accepted


@given(LOSSES, BARS, st.integers(0, 10**9))
def test_being_better_by_the_same_on_every_example_never_unaccepts(
    rows: list, bar: Thresholds, better: int
) -> None:
    raised = [(base + better, new, was, now) for base, new, was, now in rows]
    if decide(RULE, judged(rows), bar).accepted:
        assert decide(RULE, judged(raised), bar).accepted


@given(LOSSES, BARS, st.integers(0, 60_000))
def test_a_higher_bar_keeps_no_more(rows: list, bar: Thresholds, higher: int) -> None:
    raised = Thresholds(bar.min_delta, bar.min_accuracy_gain_ppm, 0, bar.needed_milli + higher)
    assert decide(RULE, judged(rows), raised).accepted <= decide(RULE, judged(rows), bar).accepted


@given(LOSSES, BARS, st.randoms())
def test_the_order_of_the_examples_does_not_matter(rows: list, bar: Thresholds, rng) -> None:
    shuffled = rng.sample(rows, len(rows))
    assert decide(RULE, judged(shuffled), bar) == decide(RULE, judged(rows), bar)


@given(LOSSES, BARS)
def test_fewer_examples_than_the_bar_asks_for_keep_nothing(rows: list, bar: Thresholds) -> None:
    if len(rows) * 1000 <= bar.needed_milli:
        assert not decide(RULE, judged(rows), bar).accepted


@given(st.integers(0, 10**400), st.integers(0, 10**400), st.integers(1, 30))
def test_the_bar_compares_numbers_of_any_size(base: int, new: int, count: int) -> None:
    found = judged([(base, new, True, True)] * count)
    assert found.delta_passes(16_589) == (base > new and count >= 17)
    assert found.delta_may_reach(0, 1960) == (base >= new or count == 1)


def test_a_rule_without_its_bar_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a bar"):
        decide(RULE, spread(23_500_000, 50_000_000), Thresholds(2_000_000, 10_000, 3090))


def test_a_task_without_right_and_wrong_is_judged_by_its_losses_alone() -> None:
    clear = pair_losses([10**9] * 400, [9 * 10**8] * 400)
    for rule in RULES:
        verdict = decide(rule, clear, USUAL)
        assert verdict.accepted
        assert "accuracy" not in say(verdict.reason)
        assert "gain" not in verdict.reason.numbers
    worse = pair_losses([10**9] * 400, [11 * 10**8] * 400)
    lenient = Thresholds(2_000_000, 0, 3090, 16_589)
    assert not any(decide(rule, worse, lenient).accepted for rule in RULES)


def test_another_unit_than_nats_is_named() -> None:
    bits = Thresholds(2_000_000, 10_000, 3090, 16_589, unit="bits")
    reason = decide(RULE, spread(23_500_000, 50_000_000), bits).reason
    assert reason.numbers["unit"] == "bits"
    assert "Δ +0.0235 bits, anytime [" in say(reason)
    assert "unit" not in decide(RULE, spread(23_500_000, 50_000_000), USUAL).reason.numbers
