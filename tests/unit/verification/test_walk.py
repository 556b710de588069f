"""One way through a log: whatever an entry provokes is a finding that names it, and the rest is looked at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.log_state import LogState
from cryoflux.verification import signature_pool, steps, walk
from cryoflux.verification.arithmetic import Arithmetic
from cryoflux.verification.lineage import Lineage
from cryoflux.verification.result import Report, Status
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.walk import Seen
from rewriting import flip_signature, without_triggers
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def failures(report: Report) -> list[tuple[int, str]]:
    return [(c.number, c.subject) for c in report.checks if c.status is Status.FAIL]


@pytest.mark.parametrize("error", [TypeError, RuntimeError, RecursionError, MemoryError, ZeroDivisionError])
def test_an_exception_inside_a_step_is_a_failed_check_that_names_the_entry(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    take, seen_after = Arithmetic.take, []

    def breaking(self: Arithmetic, seen: Seen, memory: LogState) -> None:
        if seen.index == 3:
            raise error("a bug")
        seen_after.append(seen.index)
        take(self, seen, memory)

    monkeypatch.setattr(Arithmetic, "take", breaking)
    report = verify_target(pristine.path)
    assert failures(report) == [(6, "entry 3 (receipt a0002_2)")]
    (found,) = [c.detail for c in report.checks if c.number == 6]
    assert found == f"the step could not finish: {error.__name__}: a bug"
    assert seen_after == [0, 1, 2, 4, 5, 6, 7]


def test_an_exception_where_a_step_concludes_is_a_failed_check(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lineage, "conclude", None)
    report = verify_target(pristine.path)
    assert failures(report) == [(8, "the log")]
    assert {c.number for c in report.checks} == set(range(1, 11))


def test_an_exception_where_an_entry_is_read_names_it(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = walk.parse_entry

    def breaking(index: int, envelope: bytes) -> object:
        if index == 6:
            raise RuntimeError("a bug")
        return read(index, envelope)

    monkeypatch.setattr(walk, "parse_entry", breaking)
    report = verify_target(pristine.path)
    assert (1, "entry 6") in failures(report)
    assert "cannot be read: RuntimeError: a bug" in {c.detail for c in report.checks}


def test_an_entry_that_cannot_be_taken_into_account_is_named(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(LogState, "_move", breaking)
    monkeypatch.setattr(LogState, "_close", breaking)
    assert (1, "entry 1 (receipt a0001_0)") in failures(verify_target(pristine.path))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_wrong_signature_is_named_whoever_checks_it(
    workers: int, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_signature(state, 2)
    monkeypatch.setattr(SignaturePool, "for_entries", lambda _: SignaturePool(workers))
    assert (2, "entry 2 (intent a0002_2)") in failures(verify_target(state))


def test_a_worker_that_dies_changes_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_signature(state, 6)
    monkeypatch.setattr(signature_pool, "_CHUNK", 1)
    pool = SignaturePool(1)
    monkeypatch.setattr(SignaturePool, "for_entries", lambda _: pool)
    check = SignaturePool.check

    def killing(self: SignaturePool, *said: object) -> None:
        if self._workers[0]._process.poll() is None:
            os.kill(self._workers[0]._process.pid, signal.SIGKILL)
            self._workers[0]._process.wait()
        check(self, *said)

    monkeypatch.setattr(SignaturePool, "check", killing)
    assert [f for f in failures(verify_target(state)) if f[0] == 2] == [(2, "entry 6 (intent a0004_6)")]


def test_a_worker_takes_no_code_from_where_somebody_stands(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = state / "cryoflux"
    package.mkdir()
    (package / "__init__.py").write_text("from pathlib import Path; Path('ran').touch()")
    monkeypatch.chdir(state)
    monkeypatch.setattr(SignaturePool, "for_entries", lambda _: SignaturePool(1))
    assert verify_target(state).ok
    assert not (state / "ran").exists()


def test_where_no_worker_can_be_started_this_process_checks(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    flip_signature(state, 2)
    monkeypatch.setattr(signature_pool.subprocess, "Popen", refused)
    monkeypatch.setattr(SignaturePool, "for_entries", lambda _: SignaturePool(2))
    assert (2, "entry 2 (intent a0002_2)") in failures(verify_target(state))


def test_a_short_log_starts_no_process(pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_pool.subprocess, "Popen", None)
    assert verify_target(pristine.path).ok


def test_progress_ends_where_the_log_ends(state: Path) -> None:
    said: list[tuple[int, int]] = []
    verify_target(state, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (8, 8)


def test_a_row_that_nobody_goes_through_is_found(state: Path) -> None:
    with closing(without_triggers(state)) as connection:
        connection.execute(
            "INSERT INTO entries SELECT -1, kind, task_id, outcome, 'x', envelope FROM entries WHERE idx = 0"
        )
    assert (1, str(state)) in failures(verify_target(state))


def test_what_is_kept_for_steps_on_request_is_bounded(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for _ in range(20):
        made.attempt(-0.0005)
    made.finish()
    found: list[int] = []
    report = steps._report

    def keep(walked: object, *rest: object) -> Iterator[object]:
        found.append(len(walked.recent.evaluated))  # type: ignore[attr-defined]
        return report(walked, *rest)  # type: ignore[arg-type, return-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_report", keep)
        assert verify_target(made.path).evaluated == 20
    assert found == [17]
