"""Steps, phases, and reasons for stopping."""

from __future__ import annotations

import pytest

from cryoflux.attempt import watch
from cryoflux.attempt.watch import AttemptStopped, Observer, Phases, Step
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.sentences import CODES
from small_context import BETTER


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """CPU-seconds of this process, as a test sets them."""
    now = [100.0]
    monkeypatch.setattr(watch.time, "process_time", lambda: now[0])
    return now


def test_a_phase_within_a_phase_counts_once(clock) -> None:
    phases = Phases()
    clock[0] += 7  # before any phase
    with phases.measure("train"):
        clock[0] += 1
        with phases.measure("merge"):
            clock[0] += 10
        clock[0] += 2
    clock[0] += 7
    with phases.measure("merge"):
        clock[0] += 20
    assert phases.seconds == {"train": 3.0, "merge": 30.0}


def test_what_a_failing_phase_used_is_counted_and_no_more(clock) -> None:
    phases = Phases()

    def fail() -> None:
        clock[0] += 4
        raise OSError

    with pytest.raises(OSError), phases.measure("outer"), phases.measure("inner"):
        fail()
    clock[0] += 5
    assert phases.seconds == {"outer": 0.0, "inner": 4.0}


def test_a_reason_to_stop_is_one_that_can_be_said() -> None:
    stopped = AttemptStopped(Cause.INTERRUPTED, "interrupted.training", steps=7)
    assert str(stopped) == "Aborted: interrupted after 7 training steps."
    assert stopped.reason.numbers == {"steps": 7}
    assert stopped.reason.code in CODES


def test_steps_have_the_names_that_they_have_always_had() -> None:
    assert " ".join(Step) == "sample schedule announce reserve train evaluate decide merge settle record"


def test_watching_by_itself_does_nothing_and_changes_nothing(small, tmp_path) -> None:
    assert small().attempt(BETTER).receipt.outcome is Outcome.ACCEPTED
    names = [name for name in vars(Observer) if not name.startswith("_")]
    assert len(names) == 9


def test_what_is_shown_of_an_evaluation_goes_up_to_the_whole_holdout(run) -> None:
    seen = []

    class Noting(Observer):
        def evaluated(self, done, count) -> None:
            seen.append((done, count))

        def trained(self, progress, reserved_uj) -> None:
            seen.append((progress.spent_uj, reserved_uj))

    run.change(observer=Noting())
    run.attempt(BETTER)
    batches = [(0, 96), (32, 96), (64, 96)]
    assert seen == [*batches, (2_000_000, 20_000_000), *batches], "look by look, it goes on where it was"
