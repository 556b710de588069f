"""Joules end the training, and the learning rate comes down when they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.tasks.pacing import Limits, Pacer, TrainingFailedError, rate_at


class Meter:
    """Joules that are spent when a test says so."""

    def __init__(self, start_uj: int = 500) -> None:
        self.uj = start_uj
        self.asked = False

    def pacer(self, limit_uj: int, most_steps: int) -> Pacer:
        return Pacer(Limits(limit_uj, lambda: self.uj, lambda: self.asked), most_steps)

    def train(self, pacer: Pacer, each_uj: int) -> Pacer:
        while pacer.goes_on():
            self.uj += each_uj
            pacer.done(1.0)
        return pacer


@given(st.integers(1, 400), st.integers(1, 1000), st.integers(0, 10**5), st.integers(0, 5000))
def test_the_plan_is_what_the_joules_pay_for(most: int, each: int, limit: int, start: int) -> None:
    meter = Meter(start)
    pacer = meter.train(meter.pacer(start + limit, most), each)
    assert 1 <= pacer.step <= most
    affordable = limit // each
    if limit > most * each:
        assert (pacer.step, pacer.ended_by()) == (most, "steps")
    elif limit < most * each:
        assert pacer.ended_by() == "joules"
        assert max(1, affordable) <= pacer.step <= affordable + 1
    if pacer.planned_at:
        assert pacer.planned == pacer.step
        assert meter.uj <= start + limit


def test_the_plan_is_made_from_the_training_and_not_from_what_came_before() -> None:
    meter = Meter(900_000)
    pacer = meter.train(meter.pacer(1_000_000, 400), 1_000)
    assert (pacer.planned_at, pacer.planned, pacer.step) == (3, 100, 100)


def test_steps_that_become_dearer_than_planned_are_cut_off() -> None:
    meter = Meter(0)
    pacer = meter.pacer(10_000, 100)
    for _ in range(5):
        meter.uj += 100
        pacer.done(1.0)
    meter.train(pacer, 3_000)
    assert (pacer.step, pacer.stopped_by) == (9, "joules")


def test_a_request_to_stop_is_heard_between_steps_and_after_the_first() -> None:
    meter = Meter()
    meter.asked = True
    pacer = meter.train(meter.pacer(10**9, 100), 1)
    assert (pacer.step, pacer.ended_by()) == (1, "interrupt")


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_the_attempt(loss: float) -> None:
    with pytest.raises(TrainingFailedError, match=r"nan|inf") as caught:
        Meter().pacer(10**9, 10).done(loss)
    assert "learning rate" in caught.value.hint


@given(st.integers(1, 500), st.floats(0, 0.9), st.sampled_from(["linear", "cosine", "constant"]))
def test_the_rate_rises_to_its_peak_and_falls_without_reaching_zero(
    planned: int, warm_up: float, schedule: str
) -> None:
    rates = [rate_at(step, planned, schedule=schedule, warm_up=warm_up) for step in range(planned)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = max(3, round(planned * warm_up))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if planned > peak:
        assert rates[peak - 1] == rates[peak] == 1
        lowest = 1 if schedule == "constant" else max(0.02, 1 / (planned - peak))
        assert rates[-1] <= lowest + 1e-9
        assert schedule != "constant" or rates[-1] == 1
