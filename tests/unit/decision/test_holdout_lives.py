"""The rules that `benchmarks/holdout_lives.py` simulates, arrays at a time, are those of the project."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdout_lives as lives
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.looking import due_look, screen_of
from cryoflux.decision.rules import BUDGETED, Thresholds, decide
from cryoflux.decision.stakes import STAKED, STAKES, WHOLE, StakedBudget, least_stake, needed_at

_LIVES = 6
_BASE = 10**10
_NANO = 10**9


def evidence(count: int, total: float, squares: float, gained: int = 0, lost: int = 0) -> Evidence:
    sums = (_BASE * count, _BASE * count - round(total * _NANO), round(squares * _NANO**2))
    return Evidence(count, *sums, lost, gained, gained, lost)


def screen_with(z: float) -> Evidence:
    count, spread = lives.SCREENED, lives.SPREAD
    total = z * spread * count / np.sqrt(count - 1)
    return evidence(count, total, count * spread**2 + total**2 / count)


def bar_of(rule: str, counted: ErrorBudget) -> Thresholds:
    needed = counted.needed_milli if rule == BUDGETED else 0
    usual = lives.USUAL
    return Thresholds(usual.min_delta, usual.min_accuracy_gain_ppm, usual.z_milli, needed)


def one_life(
    rule: str, draws: lives.Draws, scenario: lives.Scenario, place: int, screen: Callable[[int, float], float]
) -> list[bool]:
    """The verdicts of one life by the functions that run and verifier call."""
    counted, staked = ErrorBudget(lives.ALPHA_PPM), StakedBudget.fresh(lives.ALPHA_PPM)
    found = []
    for number in range(lives.LOOKS):
        shown, _ = draws.shown(number, scenario)
        named = screen_of(rule, screens=scenario.screen != "none")
        seen = screen_with(screen(staked.left, shown.screened[place])) if named else None
        bar = bar_of(rule, counted)
        look = due_look(rule, named, seen, bar, staked.left, shown.count, ended=True)
        if look.refused is not None:
            found.append(False)
            continue
        sums = (float(shown.sums[place]), float(shown.squares[place]))
        flips = (int(shown.gained[place]), int(shown.lost[place]))
        bar = Thresholds(bar.min_delta, bar.min_accuracy_gain_ppm, bar.z_milli, look.needed_milli)
        accepted = decide(rule, evidence(shown.count, *sums, *flips), bar).accepted
        counted = counted.after(accepted=accepted)
        if rule == STAKED:
            staked = staked.after(look.stake_milli, accepted=accepted)
        found.append(accepted)
    return found


def least_lie(count: int) -> Callable[[int, float], float]:
    """The z with which a screen just gets the smallest stake, by the budget that is left."""
    ratio = count / lives.SCREENED

    def lie(left: int, _: float) -> float:
        stake = least_stake(count)
        bar = np.sqrt(needed_at(max(1, StakedBudget(left).level(stake, count))) / 1000)
        quantile = dict(zip(STAKES, lives._QUANTILES, strict=True))[stake]
        return (bar - quantile * np.sqrt(1 + 0.81 * ratio)) / (0.9 * np.sqrt(ratio)) + 1e-6

    return lie


@pytest.mark.parametrize("scenario", lives.SCENARIOS, ids=lambda one: one.name)
@pytest.mark.parametrize("rule", ["whitepaper/v1", "evidence/v1", BUDGETED, STAKED])
def test_a_life_has_the_verdicts_of_the_projects_own_functions(rule: str, scenario: lives.Scenario) -> None:
    for count, skewed in ((64, True), (512, True), (1024, False)):
        draws = lives.drawn(4, _LIVES, count, skewed=skewed)
        judge = lives.JUDGES[rule](_LIVES)
        twins = np.array([judge.kept(draws.shown(number, scenario)[0]) for number in range(lives.LOOKS)])
        lies = scenario.screen == "least" and rule == STAKED
        screen = least_lie(count) if lies else lambda _, z: z
        own = [one_life(rule, draws, scenario, place, screen) for place in range(_LIVES)]
        assert twins.T.tolist() == own


@given(st.integers(1, WHOLE))
def test_the_bar_of_a_level_is_the_projects(level: int) -> None:
    assert int(lives.needed_of(np.array([level]))[0]) == needed_at(level)


def test_what_is_drawn_has_the_moments_that_it_is_said_to_have() -> None:
    for skewed in (False, True):
        draws = lives.drawn(1, 500, 64, skewed=skewed)
        assert abs(draws.sums.mean() / 64) < 0.005
        assert abs(draws.squares.mean() / 64 - 1) < 0.02
        # The third moment of a sum is that of its terms: Σ has the skewness −2/√n.
        skew = (draws.sums**3).mean() / 64**1.5
        assert abs(skew - (-0.25 if skewed else 0)) < 0.08


def test_alpha_investing_pays_for_what_it_does_not_reject_and_earns_by_what_it_does() -> None:
    judge = lives.Investing(2)
    shown, _ = lives.drawn(1, 2, 512, skewed=False).shown(0, lives.SCENARIOS[0])
    start = 0.01 * 0.99
    surely = replace(shown, sums=np.array([80.0, -1.0]), squares=np.array([100.0, 100.0]))
    assert judge.kept(surely).tolist() == [True, False]
    level = start / 2
    assert judge.wealth == pytest.approx([start + 0.01, start - level / (1 - level)])
    judge.kept(surely)
    level = judge.wealth[0] / 2
    assert judge.since.tolist() == [1, 3]
    assert level > start / 2
    assert (judge.wealth > 0).all()


def test_the_levels_of_lond_without_a_discovery_sum_to_less_than_alpha() -> None:
    judge = lives.Lond(1)
    assert 6 * 0.01 / np.pi**2 * sum(1 / k**2 for k in range(1, lives.LOOKS + 1)) < 0.01
    shown, _ = lives.drawn(1, 1, 512, skewed=False).shown(0, lives.SCENARIOS[0])
    worse = replace(shown, sums=np.array([-1.0]), squares=np.array([100.0]))
    assert not judge.kept(worse).any()
    assert judge.found.tolist() == [0]
    assert judge.number == 2
