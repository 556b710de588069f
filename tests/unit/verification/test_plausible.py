"""The box that joules have to lie in: honest ones inside, invented ones outside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.receipts.statement import Base, Outcome, Receipt
from cryoflux.verification import plausible
from cryoflux.verification.plausible import (
    FEMTOJOULES_PER_FLOP64,
    WATTS_PER_CPU,
    WATTS_PER_SOURCE,
    implausible,
    trained_weights,
)
from cryoflux.verification.result import Status
from synthetic_parts import digest_of, evaluation, figure, pair, training
from synthetic_state import SyntheticState

BILLION = 10**9
PARAMETERS = 1024
"""that the synthetic receipts say to have trained"""


def receipt_of(pristine: SyntheticState, **changes: object) -> Receipt:
    return pristine.entries[1].statement.predicate.but(**changes)


def statuses(
    receipt: Receipt, *, weights: int = 0, parameters: int = PARAMETERS, window_ns: int = 0
) -> list[Status]:
    found = implausible("entry 1", receipt, parameters=parameters, weights=weights, windows_ns=(window_ns,))
    return [f.status for f in found]


def floor_uj(receipt: Receipt, weights: int, parameters: int = PARAMETERS) -> int:
    return plausible.floor_uj(receipt, parameters=parameters, weights=weights)


def test_an_honest_receipt_has_nothing_odd(pristine: SyntheticState) -> None:
    assert statuses(receipt_of(pristine), weights=10_000_000, window_ns=20 * BILLION) == []


@given(weights=st.integers(0, 10**12), times=st.floats(1.0, 1e6))
def test_whoever_pays_the_floor_or_more_is_never_called_a_liar(
    pristine: SyntheticState, weights: int, times: float
) -> None:
    uj = int(floor_uj(receipt_of(pristine), weights) * times) + 1
    paid = receipt_of(pristine, energy=figure(microjoules=uj, lo_microjoules=0, hi_microjoules=uj))
    assert Status.FAIL not in statuses(paid, weights=weights)


@given(weights=st.integers(10**4, 10**12), share=st.floats(0.0, 0.99))
def test_whoever_says_less_than_the_floor_is_found(
    pristine: SyntheticState, weights: int, share: float
) -> None:
    least = floor_uj(receipt_of(pristine), weights)
    assert least >= 1
    uj = int((least - 1) * share)
    cheap = receipt_of(pristine, energy=figure(microjoules=uj, lo_microjoules=0, hi_microjoules=uj))
    assert statuses(cheap, weights=weights) == [Status.FAIL]


def test_the_upper_end_of_the_interval_counts(pristine: SyntheticState) -> None:
    least = floor_uj(receipt_of(pristine), 10**9)
    wide = receipt_of(pristine, energy=figure(microjoules=0, lo_microjoules=0, hi_microjoules=least))
    assert statuses(wide, weights=10**9) == []


def test_the_floor_is_the_forward_pass_of_what_was_read_and_the_steps(pristine: SyntheticState) -> None:
    candidate = Base(digest=digest_of("candidate"), files=digest_of("files"))
    said = evaluation(candidate, digest_of("losses"), pair(0.0, 0.0, range(64))[1])
    both = receipt_of(pristine, evaluation=said, training=training(steps=10**6))
    steps = receipt_of(pristine, evaluation=None, training=both.training)
    evaluated = 2 * 64 * 10**9 * FEMTOJOULES_PER_FLOP64 // BILLION
    assert floor_uj(both, 10**9) - floor_uj(steps, 10**9) == evaluated
    assert floor_uj(steps, 10**9, parameters=10**6) == 4 * 10**12 * 20 // BILLION
    unread = both.but(evaluation=said.but(read=16))
    assert floor_uj(unread, 10**9) - floor_uj(steps, 10**9) == evaluated // 4
    other = both.but(evaluation=said.but(profile="f8/v1"))
    assert floor_uj(other, 10**9) - floor_uj(steps, 10**9) == evaluated // 50


def test_what_was_aborted_has_no_floor(pristine: SyntheticState) -> None:
    nothing = {"microjoules": 0, "lo_microjoules": 0, "hi_microjoules": 0}
    assert statuses(receipt_of(pristine, energy=figure(**nothing)), weights=10**9) == [Status.FAIL]
    excused = figure(**nothing, flags=["settled-elsewhere"])
    assert statuses(receipt_of(pristine, energy=excused), weights=10**9) == [Status.FAIL]
    aborted = receipt_of(pristine, energy=figure(**nothing), outcome=Outcome.ABORTED)
    assert statuses(aborted, weights=10**9) == []


@given(seconds=st.floats(0.001, 1e4), cpu_us=st.integers(0, 10**10), sources=st.integers(1, 9))
def test_more_than_the_sources_can_draw_contradicts_the_signed_window_and_questions_a_label(
    pristine: SyntheticState, seconds: float, cpu_us: int, sources: int
) -> None:
    window_ns = int(seconds * BILLION)
    names = [f"rapl:package-{n}" for n in range(sources)]
    most = int(WATTS_PER_SOURCE * sources * (window_ns / 1e9) * 1e6) + WATTS_PER_CPU * cpu_us
    for uj, found in ((most, []), (most + 1, [Status.FAIL])):
        said = figure(microjoules=uj, hi_microjoules=uj, sources=names, cpu_microseconds=cpu_us)
        assert statuses(receipt_of(pristine, energy=said), window_ns=window_ns) == found


def test_start_and_end_are_labels_so_they_raise_a_question_only(pristine: SyntheticState) -> None:
    lasted_s = 122 + 2
    most = WATTS_PER_SOURCE * lasted_s * 1_000_000 + WATTS_PER_CPU * 12_000_000
    for uj, found in ((most, []), (most + 1, [Status.UNKNOWN])):
        said = receipt_of(pristine, energy=figure(microjoules=uj, hi_microjoules=uj))
        assert statuses(said) == found
        for started in ("2026-11-23T09:00:00Z", "2026-13-77T01:00:01Z"):
            assert statuses(said.but(started_at=started)) == []


def test_modules_are_found_by_the_end_of_their_names() -> None:
    sizes = {"encoder.layer.0.query.weight": 5, "encoder.layer.1.query.weight": 7, "query.bias": 1}
    assert trained_weights(["query"], sizes) == 12
    assert trained_weights(["layer.1.query"], sizes) == 7
    assert trained_weights(["encoder.layer.0.query"], sizes) == 5
    assert trained_weights(["uery"], sizes) == 0
    assert trained_weights([], sizes) == 0
