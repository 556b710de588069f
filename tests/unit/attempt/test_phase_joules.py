"""What of its joules an attempt spent in which phase: it adds up, whatever the meter says meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.attempt import orchestrator
from cryoflux.attempt.phase_joules import EVALUATE_BASE, PREPARE, PhaseJoules, shares_of
from cryoflux.attempt.watch import Step
from cryoflux.energy.interface import Settlement
from cryoflux.errors import AgentError, StorageError
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.receipts.charged import PHASES, PhaseFigure
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.tasks.pacing import JoulesEndedError
from small_context import BETTER, NOISY, WORSE, Deadly, Killed, Made, ToyTask, gained, run_attempt

SIZES = st.integers(0, 2**53 - 1)


def energy(uj: int, lo_uj: int | None = None, hi_uj: int | None = None) -> Energy:
    return Energy(uj, uj if lo_uj is None else lo_uj, uj if hi_uj is None else hi_uj, Tier.MODELLED)


def settled(whole: Energy) -> Settlement:
    return Settlement("r1", 20 * MICRO, whole, whole, ("cpu",), "", "", 0, 0)


def ends_of(one: PhaseFigure) -> tuple[int, int, int]:
    return one.microjoules, one.lo_microjoules, one.hi_microjoules


def said(phases: list[PhaseFigure]) -> dict[str, float]:
    """Phase → J; that they come in their order is looked at, too."""
    assert [one.name for one in phases] == [name for name in PHASES if name in {one.name for one in phases}]
    return {one.name: one.microjoules / MICRO for one in phases}


@st.composite
def metered(draw: st.DrawFn, numbers: st.SearchStrategy[int]) -> Energy:
    low, middle, high = sorted(draw(numbers) for _ in range(3))
    return Energy(middle, low, high, Tier.MODELLED)


@given(
    st.lists(st.tuples(st.sampled_from(PHASES[:-1]), metered(st.integers(-(2**53), 2**54))), max_size=12),
    metered(SIZES),
)
def test_phases_add_up_to_the_whole_in_all_three_numbers_whatever_the_meter_said(ends, whole) -> None:
    phases = shares_of(ends, whole)
    sums = tuple(map(sum, zip(*map(ends_of, phases), strict=True)))
    assert sums == (whole.uj, whole.lo_uj, whole.hi_uj)
    assert all(0 <= one.lo_microjoules <= one.microjoules <= one.hi_microjoules for one in phases)
    assert {one.name for one in phases} == {name for name, _ in ends} | {"settle"}
    assert len({one.name for one in phases}) == len(phases)


@given(
    st.lists(
        st.tuples(st.sampled_from(PHASES[:-1]), st.integers(0, 10**9), st.integers(0, 10**9), SIZES),
        min_size=1,
        max_size=12,
    )
)
def test_a_figure_that_only_grows_is_taken_apart_as_it_grew(grown) -> None:
    ends, total, expected = [], (0, 0, 0), {}
    for name, lo_uj, more_uj, most_uj in grown:
        each = (lo_uj + more_uj, lo_uj, lo_uj + more_uj + most_uj)
        total = tuple(map(sum, zip(total, each, strict=True)))
        ends.append((name, energy(*total)))
        expected[name] = tuple(map(sum, zip(expected.get(name, (0, 0, 0)), each, strict=True)))
    phases = shares_of(ends, energy(*total))
    assert {one.name: ends_of(one) for one in phases} == {**expected, "settle": (0, 0, 0)}


@pytest.mark.parametrize(
    ("seen_j", "whole_j", "phases_j"),
    [
        ([5, 7], 8, [5, 2, 1]),
        ([5, 7], 6, [5, 1, 0]),
        ([5, 7], 4, [4, 0, 0]),
        ([5, 4], 6, [5, 0, 1]),
        ([-1, 3], 4, [0, 3, 1]),
        ([5, 7], 0, [0, 0, 0]),
    ],
    ids=["none", "at the end", "of two phases", "on the way", "below nothing", "of everything"],
)
def test_what_the_meter_takes_back_lies_with_the_newest_phases_before(seen_j, whole_j, phases_j) -> None:
    ends = [
        (name, energy(joules * MICRO)) for name, joules in zip(("train", "evaluate"), seen_j, strict=True)
    ]
    assert list(said(shares_of(ends, energy(whole_j * MICRO))).values()) == phases_j


def test_what_cannot_be_known_is_not_told() -> None:
    one = PhaseJoules(lambda: energy(3))
    assert one.of(settled(energy(3))) == [], "no phase has ended"
    one.ended("train")
    assert said(one.of(settled(energy(MICRO)))) == {"train": 3 / MICRO, "settle": 1 - 3 / MICRO}
    assert one.of(None) == one.of(settled(energy(-1))) == []
    before = PhaseJoules()
    before.ended("train")
    assert before.of(settled(energy(3))) == []


def test_a_meter_that_cannot_say_is_not_asked_again() -> None:
    asked = []

    def spent() -> Energy:
        asked.append(1)
        if len(asked) == 2:
            raise StorageError("The disk is full.")
        return energy(len(asked))

    one = PhaseJoules(spent)
    for phase in ("train", "merge", "evaluate"):
        one.ended(phase)
    assert (len(asked), one.of(settled(energy(9)))) == (2, [])


def test_the_phases_are_the_steps_that_a_reservation_pays_for() -> None:
    between = [step.value for step in Step][4:9]
    assert {*PHASES} == {EVALUATE_BASE, PREPARE, *between}
    assert PHASES[-1] == Step.SETTLE


def test_a_receipt_says_what_each_phase_was_charged(run) -> None:
    run.task.evaluation_j = 1
    figure = run.attempt(BETTER).receipt.energy
    still = {"merge": 0.0, "decide": 0.0, "settle": 0.0}
    assert said(figure.phases) == {"evaluate-base": 3.0, "train": 2.0, "evaluate": 3.0, **still}
    sums = tuple(map(sum, zip(*map(ends_of, figure.phases), strict=True)))
    assert sums == (figure.microjoules, figure.lo_microjoules, figure.hi_microjoules)
    again = run.attempt(WORSE).receipt.energy
    assert said(again.phases) == {"train": 2.0, "evaluate": 1.0, **still}, "the new head was measured before"


class Preparing(ToyTask):
    """Prepares in two pieces, and spends something before, between and after them."""

    def train(self, order, into, limits, watch):
        for joules in (1, 3):
            self.spend(0.5)
            with limits.preparing():
                self.spend(joules)
        return super().train(order, into, limits, watch)


def test_what_is_prepared_within_training_is_told_apart(small) -> None:
    record = small(Preparing).attempt(BETTER)
    told = said(record.receipt.energy.phases)
    assert (told["prepare"], told["train"]) == (4.0, 1 + 2.0)
    assert {"prepare", "train"} <= record.phases.keys()


class Screening(ToyTask):
    screens = True


def test_an_update_that_is_screened_out_has_its_phases_too(small) -> None:
    run = small(Screening)
    receipt = run.attempt(Made(900_000_000, screening=gained(-5_000_000))).receipt
    assert receipt.evaluation is None
    assert said(receipt.energy.phases)["train"] == 2.0


class Stopping(Preparing):
    def train(self, order, into, limits, watch):
        for joules in (1, 3):
            self.spend(0.5)
            with limits.preparing():
                self.spend(joules)
                if joules == 3:
                    raise JoulesEndedError("None are left.", code="exhausted.preparing")


STOPPED = {
    "while it prepares": (0, {"evaluate-base": 0.0, "prepare": 4.0, "train": 1.0, "settle": 0.0}),
    "in the base": (11, {"evaluate-base": 22.0, "settle": 0.0}),
}


@pytest.mark.parametrize("when", STOPPED)
def test_an_aborted_attempt_has_the_phases_up_to_its_end(small, when) -> None:
    evaluation_j, expected = STOPPED[when]
    run = small(Stopping)
    run.task.evaluation_j = evaluation_j
    receipt = run.attempt(BETTER).receipt
    assert receipt.outcome is Outcome.ABORTED
    assert said(receipt.energy.phases) == expected


@pytest.mark.parametrize("made", [BETTER, NOISY], ids=["kept", "undecided"])
def test_a_meter_that_cannot_say_fails_no_attempt(run, monkeypatch, made) -> None:
    def spent() -> Energy:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(orchestrator, "PhaseJoules", lambda _=None: PhaseJoules(spent))
    receipt = run.attempt(made).receipt
    assert receipt.outcome is not Outcome.ABORTED
    assert (receipt.energy.microjoules, receipt.energy.phases) == (2 * MICRO, [])


def test_a_daemon_that_is_away_is_not_asked_for_phases(run, monkeypatch) -> None:
    asked, honest = [], run.agent.spent

    def spent(reservation_id):
        asked.append(reservation_id)
        if len(asked) > 1:
            raise AgentError("The JouleAgent is away.")
        return honest(reservation_id)

    monkeypatch.setattr(run.agent, "spent", spent)
    with pytest.raises(AgentError):
        run_attempt(run.context)
    assert len(asked) == 2, "the evaluation of the base asked, and nobody after it"


def test_what_a_dead_run_left_open_has_no_phases(run) -> None:
    run.change(observer=Deadly(Step.EVALUATE, "end"))
    with pytest.raises(Killed):
        run.attempt(BETTER)
    (closed,) = run.reopen()
    assert (closed.cause, closed.energy.phases) == (Cause.CRASHED, [])
