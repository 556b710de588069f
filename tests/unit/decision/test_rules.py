"""What each rule lets in, and what it keeps out that the bare thresholds let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import RULES, Thresholds, decide
from cryoflux.errors import ConfigError

USUAL = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)


def spread(mean: int, noise: int, count: int = 400, gained: int = 0, lost: int = 0) -> Evidence:
    """Differences of ``mean`` ± ``noise`` nano-nats, and some flipped classifications."""
    base = [10**9] * count
    new = [10**9 - mean + (noise if i % 2 else -noise) for i in range(count)]
    base_correct = [i >= gained for i in range(count)]
    new_correct = [i < count - lost for i in range(count)]
    return pair_losses(base, new, base_correct, new_correct)


def test_a_clear_improvement_is_kept_by_both_rules() -> None:
    clear = spread(23_500_000, 50_000_000)
    assert all(decide(rule, clear, USUAL).accepted for rule in RULES)


def test_noise_that_reaches_the_threshold_is_kept_by_the_bare_rule_only() -> None:
    noisy = spread(5_000_000, 300_000_000)
    assert decide("whitepaper/v1", noisy, USUAL).accepted
    verdict = decide("evidence/v1", noisy, USUAL)
    assert not verdict.accepted
    assert "may be noise" in verdict.reason


def test_an_accuracy_gain_does_not_excuse_a_loss_that_went_up() -> None:
    worse = spread(-31_000_000, 10_000_000, gained=20)
    assert decide("whitepaper/v1", worse, USUAL).accepted
    verdict = decide("evidence/v1", worse, USUAL)
    assert not verdict.accepted
    assert "loss went up" in verdict.reason


def test_a_significant_accuracy_gain_counts_where_the_loss_did_not_rise() -> None:
    assert decide("evidence/v1", spread(0, 100_000_000, gained=20), USUAL).accepted
    assert not decide("evidence/v1", spread(0, 100_000_000, gained=20, lost=14), USUAL).accepted


def test_the_threshold_itself_is_reached() -> None:
    exact = spread(2_000_000, 1_000)
    below = spread(1_999_999, 1_000)
    for rule in RULES:
        assert decide(rule, exact, USUAL).accepted
        assert not decide(rule, below, USUAL).accepted


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
