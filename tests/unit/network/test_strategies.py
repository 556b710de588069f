"""The simulated adversaries are all there, and the rules of the project stop what they are said to stop."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.decision.levels import RoundBudget, certified_level
from exact_binomial import interval, lower_bound, upper_bound
from strategies import adaptive, value
from strategies.bookkeeping import BOOKS, Life, never_opened
from strategies.looks import ALPHA_PPM, Lives, Protocol, in_integers, levels_of
from strategies.measuring import power_rows
from strategies.model_adaptive import ADAPTIVE
from strategies.model_backdoors import BACKDOORS
from strategies.model_offers import CHEATS as CHEATS_OF_WEIGHTS
from strategies.registry import FAMILIES, STRATEGIES
from strategies.rounds import CHEATS, Counted, Federation
from strategies.world import SIGMA, Sample, World

ROOT = Path(__file__).parents[3]
ALPHA = ALPHA_PPM / 1_000_000


def test_all_56_are_there_by_family_and_each_is_seen_or_says_who_sees_it() -> None:
    assert Counter(entry.family for entry in STRATEGIES) == FAMILIES
    assert sum(FAMILIES.values()) == len({(entry.family, entry.name) for entry in STRATEGIES}) == 56
    for entry in STRATEGIES:
        assert entry.looks or entry.rounds or entry.books or entry.in_models or entry.elsewhere, entry.name
        assert entry.rounds in {"", *CHEATS}
        assert entry.books in {"", *BOOKS}


def test_what_models_are_said_to_see_they_play() -> None:
    played = {
        *CHEATS_OF_WEIGHTS,
        *(f"adaptive/{one}" for one in ADAPTIVE),
        *(f"backdoor/{one}" for one in BACKDOORS),
    }
    assert {f"{entry.family}/{entry.name}" for entry in STRATEGIES if entry.in_models} == played


def test_what_is_named_in_the_place_of_a_layer_exists() -> None:
    named = [entry.elsewhere for entry in STRATEGIES if "/" in entry.elsewhere]
    assert named
    for one in named:
        file, _, test = one.partition("::")
        assert (ROOT / file).is_file(), one
        assert re.search(rf"^def {test}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE) or not test, one


def test_every_strategy_and_every_way_that_is_not_seen_stands_in_the_reference() -> None:
    page = (ROOT / "docs/reference/adversaries.md").read_text("utf-8")
    assert [entry.name for entry in STRATEGIES if f"| {entry.name} |" not in page] == []
    assert [entry.elsewhere for entry in STRATEGIES if entry.elsewhere not in page] == []


@given(st.integers(0, 2**32), st.sampled_from([16, 512]), st.floats(-0.5, 0.5))
def test_sums_of_a_sample_are_those_of_its_examples(seed: int, count: int, delta: float) -> None:
    rng = np.random.default_rng(seed)
    noise, moves = rng.normal(size=(1, count, 3)), rng.normal(size=(1, 3))
    sample = Sample(count, noise.sum(1), noise.transpose(0, 2, 1) @ noise)
    each = delta + SIGMA * noise[0] @ moves[0]
    total, squares = sample.shown(moves, np.array([delta]))
    assert total[0] == pytest.approx(each.sum(), abs=1e-9)
    assert squares[0] == pytest.approx((each**2).sum(), abs=1e-9)


@given(st.floats(-1, 1), st.floats(0.01, 2), st.integers(0, 30), st.integers(0, 3))
def test_levels_of_many_lives_are_those_of_the_rule(
    mean: float, spread: float, looks: int, kept: int
) -> None:
    count, needed = 512, RoundBudget(ALPHA_PPM, looks, min(kept, looks)).needed_milli
    total, squares = count * mean, count * (spread**2 + mean**2)
    found = levels_of(np.array([total]), np.array([squares]), count, np.array([needed]))
    assert found[0] == certified_level(in_integers(total, squares, count), needed)


def test_the_true_delta_of_a_move_is_that_of_the_losses() -> None:
    world = World.drawn(np.random.default_rng(1), 4, 3)
    assert world.delta(world.wanted) == pytest.approx((world.wanted**2).sum(1) / 2)
    assert (world.delta(-world.wanted) < 0).all()
    assert (world.delta(10 * world.wanted) < 0).all()
    assert (world.delta(world.in_flat(np.ones((4, 3)))) == 0).all()


def test_a_null_update_is_adopted_in_no_more_lives_than_is_promised() -> None:
    ended = Lives(1, 1500, 8, Protocol(count=128)).lived(value.null, 30)
    assert ended.looks == 45_000
    assert ended.checked > 300
    assert upper_bound(ended.harmful, ended.lives) <= ALPHA


@pytest.mark.parametrize(
    ("strategy", "without", "flat", "looks"),
    [
        (adaptive.boosting_from_delta, {"publishes_delta": True}, 100, 110),
        (value.null, {"budgeted": False}, 8, 120),
        (value.trained_on_the_test, {"leaked": True}, 24, 20),
    ],
    ids=["delta is published", "the bar does not rise", "half of the holdout is public"],
)
def test_each_defence_is_needed(strategy, without: dict, flat: int, looks: int) -> None:
    broken = Lives(7, 60, flat, Protocol(count=256, **without)).lived(strategy, looks)
    assert lower_bound(broken.harmful, broken.lives) > ALPHA
    held = Lives(7, 60, flat, Protocol(count=256)).lived(strategy, looks)
    assert held.harmful == 0


def test_what_is_published_of_a_look_costs_the_same_however_it_went() -> None:
    lives = Lives(3, 40, 8, Protocol(count=64))
    lives.lived(value.noise, 10)
    assert len({float(joules) for told in lives.told for joules in told.joules}) == 1
    assert all(told.delta is None for told in lives.told)
    assert any(told.accepted.any() for told in lives.told)


def test_copies_do_not_outrank_their_originals_and_would_without_the_copy_screen() -> None:
    kinds = ["bytes", "gauge", "scale", "two-way mix"]
    screened, open_ = Counted(), Counted()
    for seed in range(6):
        Federation(seed, kinds).two_rounds(screened)
        Federation(seed, kinds, copies=False).two_rounds(open_)
    assert screened.wrong_rank == screened.instead == screened.harmful == 0
    assert screened.used > 10
    assert open_.instead > 0


def test_what_cannot_be_had_is_passed_over() -> None:
    counted = Counted()
    Federation(2, ["withheld adapter", "withheld parent"]).two_rounds(counted)
    assert counted.accepted > 0
    assert counted.by_kind == {}


def test_a_quorum_that_lies_is_found_when_it_opens_and_not_when_it_never_does() -> None:
    lie = BOOKS["opening altered"]
    assert lie(Life(np.random.default_rng(1), opened=False))
    assert not lie(Life(np.random.default_rng(1)))
    assert never_opened(Life(np.random.default_rng(1)), 4, 4)
    assert not BOOKS["wash adoption"](Life(np.random.default_rng(1)))


def test_power_as_drawn_is_as_computed() -> None:
    for _, row in power_rows((512,), (0.04, 0.1)):
        assert row[0][0] == pytest.approx(row[0][1], abs=0.05)


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    assert upper_bound(0, 59) == pytest.approx(0.0495, abs=1e-4)
    assert interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert interval(0, 27) == pytest.approx((0, 0.1277), abs=1e-4)
    assert (lower_bound(0, 10), upper_bound(10, 10)) == (0, 1)
