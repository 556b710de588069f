"""Joules that no machine could have spent, or that no work could have cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.verification.plausible import floor_uj, implausible
from cryoflux.verification.result import Status
from running import QUICK, cryoflux
from synthetic_parts import figure, training
from synthetic_state import open_state
from verifying import verify_target, walked


def energy_words(state: Path) -> list[str]:
    return [f"{c.status.value}: {c.detail}" for c in verify_target(state).checks if c.number == 10]


def test_joules_of_a_real_run_lie_inside_the_box(inputs: list[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert cryoflux("run", *inputs, *QUICK, "--budget", "24J", "--state", state, "--json").code == 0
    attempts = list(walked(state).pairs())
    assert any(attempt.receipt.evaluation for attempt in attempts)
    (said,) = energy_words(state)
    assert said.startswith("ok: ")
    for attempt in attempts:
        nothing = figure(microjoules=0, lo_microjoules=0, hi_microjoules=0)
        free = attempt.receipt.but(energy=nothing)
        # A model a thousand times as large cannot have been trained and evaluated for nothing.
        found = [f.status for f in implausible("", free, parameters=0, weights=10**7)]
        assert found == ([Status.FAIL] if floor_uj(free, parameters=0, weights=10**7) else [])


@pytest.mark.parametrize("uj", [0, 1, 1_599_998])
def test_work_for_nearly_nothing_is_refuted(tmp_path: Path, uj: int) -> None:
    made = open_state(tmp_path / "state")
    trained = training(trained_parameters=10**12)  # 20 steps of them: 1.6 J at the very least
    made.attempt(0.05, training=trained, energy=figure(microjoules=uj, lo_microjoules=0, hi_microjoules=uj))
    assert any("nothing known does its work for less" in words for words in energy_words(made.finish()))


def test_an_honest_price_for_the_same_work_is_not(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, training=training(trained_parameters=10**12), energy=figure(microjoules=90_000_000))
    (said,) = energy_words(made.finish())
    assert said.startswith("ok: ")


def test_more_than_its_sources_can_draw_is_a_question_where_only_the_clock_tells(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    much = 10**12  # 1 MJ in two minutes
    made.attempt(0.05, energy=figure(microjoules=much, lo_microjoules=much, hi_microjoules=much))
    words = energy_words(made.finish())
    assert any(w.startswith("unknown: ") and "cannot draw more than" in w for w in words)
    assert not any(w.startswith("fail: ") for w in words)
