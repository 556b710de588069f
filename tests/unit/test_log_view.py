"""A log as Python sees it: the synthetic state and what is known of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.log_check import verify
from cryoflux.log_view import open_log
from cryoflux.receipts.statement import Cause
from cryoflux.receipts.sums import evidence_of
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from synthetic_parts import figure, phases
from synthetic_state import SyntheticState, open_state


def test_attempts_are_what_the_receipts_say(pristine: SyntheticState) -> None:
    log = open_log(str(pristine.path))
    assert [attempt.number for attempt in log] == [1, 2, 3, 4]
    assert [attempt.outcome for attempt in log] == ["kept", "rejected", "aborted", "kept"]
    first = log[0]
    assert first.kept
    assert first.delta == pytest.approx(first.base_loss - first.new_loss)
    assert first.delta_lo_anytime < first.delta_lo < first.delta < first.delta_hi < first.delta_hi_anytime
    assert first.delta_lo_anytime > 0, "it was kept, and the interval says so"
    assert first.accuracy_gain == pytest.approx(first.accuracy_after - first.accuracy_before)
    assert (first.joules, first.joules_hi) == (100.0, 110.0)
    assert first.eta_per_kj == pytest.approx(1000 * first.delta / 100)
    assert first.eta_low_per_kj == pytest.approx(1000 * first.delta / 110)
    assert first.receipt_hash == pristine.entries[1].leaf_hash
    assert first.finished > first.started
    assert first.result == log[1].base


def test_what_has_no_verdict_has_a_cause_and_no_delta(pristine: SyntheticState) -> None:
    aborted = open_log(pristine.path)[2]
    assert aborted.cause is not Cause.NONE
    assert (aborted.delta, aborted.eta_per_kj, aborted.unit, aborted.examples) == (None, None, None, None)
    assert aborted.reason.startswith("Aborted")


def test_what_a_screen_measured_is_told_with_its_interval_and_unit(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    kept, screened = open_log(made.finish())
    assert (screened.delta, screened.unit, screened.screen_examples) == (None, "nats", 16)
    screen = made.entries[3].receipt.training.screen
    assert screened.screen_delta == (screen.base_loss_sum - screen.new_loss_sum) / screen.count / 1e9
    half = 1.96 * evidence_of(screen).delta_se
    assert screened.screen_delta_hi - screened.screen_delta == pytest.approx(half, rel=1e-3)
    assert kept.screen_delta_lo < kept.screen_delta < kept.screen_delta_hi


def test_where_there_was_no_screen_nothing_is_told_of_one(pristine: SyntheticState) -> None:
    aborted = open_log(pristine.path)[2]
    assert aborted.screen_delta is aborted.screen_delta_lo is aborted.screen_delta_hi is None
    assert aborted.screen_examples is None


def test_phases_are_values_of_an_attempt_and_columns_of_a_table(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    told = phases(**{"evaluate-base": (30, 27, 33), "train": (60, 54, 66), "dream": (10, 9, 11)})
    made.attempt(0.05, energy=figure(phases=told))
    made.attempt(0.02)
    first, second = open_log(made.finish())
    assert [(one.phase, one.joules, one.joules_lo, one.joules_hi) for one in first.phases] == [
        ("evaluate-base", 30.0, 27.0, 33.0),
        ("train", 60.0, 54.0, 66.0),
        ("dream", 10.0, 9.0, 11.0),
    ]
    assert second.phases == ()
    rows = [first.row(), second.row()]
    assert [row["joules_evaluate_base"] for row in rows] == [30.0, None]
    assert [row["joules_train"] for row in rows] == [60.0, None]
    assert rows[0].keys() == rows[1].keys()
    assert not [name for name in rows[0] if "dream" in name or name == "phases"], "columns have known names"
    plain = (str, int, float, bool, datetime, type(None))
    assert all(isinstance(value, plain) for row in rows for value in row.values())


def test_a_summary_adds_up(pristine: SyntheticState) -> None:
    log = open_log(pristine.path)
    found = log.summary()
    assert (found.attempts, found.kept, found.rejected, found.undecided, found.aborted) == (4, 2, 1, 0, 1)
    assert found.open == 0
    assert found.energy.joules == sum(attempt.joules for attempt in log)
    (task,) = found.tasks
    assert (task.name, task.unit, task.looks, task.head) == ("lora_delta", "nats", 3, pristine.head.digest)
    assert task.delta == sum(attempt.delta for attempt in log if attempt.kept)


def test_all_in_is_known_once_every_attempt_has_its_session(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    before = open_log(made.path).summary()
    assert (before.beside, before.all_in, before.all_in_eta_per_kj, before.unrecorded) == (
        None,
        None,
        None,
        1,
    )
    made.session(30_000_000)
    after = open_log(made.path).summary()
    assert (after.beside.uj, after.unrecorded) == (30_000_000, 0)
    assert after.all_in.uj == after.energy.uj + 30_000_000
    assert after.all_in_eta_per_kj == pytest.approx(1000 * after.tasks[0].delta / after.all_in.joules)
    StateFolder(made.path).session.write_bytes(b"{}")
    during = open_log(made.path).summary()
    assert (during.session_open, during.all_in) == (True, None), "what it spends is not in the log yet"
    StateFolder(made.path).session.unlink()
    made.attempt(0.01)
    assert open_log(made.path).summary().all_in is None
    made.finish()


def test_an_empty_log_and_an_open_attempt(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    assert (len(open_log(made.path)), open_log(made.path).summary().energy) == (0, None)
    made.announce()
    log = open_log(made.path)
    assert (len(log), log.summary().open) == (0, 1)
    made.finish()


def test_a_log_is_what_it_was_when_it_was_opened(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    log = open_log(made.path)
    made.attempt(0.02)
    made.finish()
    assert (len(log), len(list(log.entries()))) == (1, 2)
    assert [e.envelope for e in log.entries()] == [e.envelope for e in made.entries[:2]]


def test_a_folder_without_a_log_and_a_damaged_one(tmp_path: Path, state: Path) -> None:
    with pytest.raises(UsageError, match="holds no receipts"):
        open_log(tmp_path)
    (state / "receipts.db").write_bytes(b"no database")
    with pytest.raises(StateTamperedError):
        open_log(state)


def test_a_table_has_a_row_an_attempt(pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    rows = open_log(pristine.path).to_pandas()
    assert [row["outcome"] for row in rows] == ["kept", "rejected", "aborted", "kept"]
    assert {type(row["outcome"]) for row in rows} == {type(row["tier"]) for row in rows} == {str}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pandas is not installed") as caught:
        open_log(pristine.path).to_pandas()
    assert "pip install pandas" in caught.value.hint


def test_a_report_is_said_in_one_line(pristine: SyntheticState) -> None:
    report = verify(pristine.path)
    count = len(report.checks)
    still = f"; {sum(check.status == 'unknown' for check in report.checks)} open"
    still = ("" if still == "; 0 open" else still) + "; the key is not pinned"
    assert str(report) == f"{pristine.path}: verified (4 receipts; {count} checks{still})"
    assert repr(report) == f"<Report {report}>"
    bad = replace(report, checks=(replace(report.checks[0], status=Status.FAIL, subject="entry 3"),))
    assert str(bad) == f"{pristine.path}: not verified: entry 3 (4 receipts; 1 check; the key is not pinned)"


def test_a_log_verifies_itself_and_takes_what_verify_takes(pristine: SyntheticState, tmp_path: Path) -> None:
    log = open_log(pristine.path)
    assert log.verify().ok
    assert not (tmp_path / "heads").exists()
    assert log.verify(heads=tmp_path / "heads", key=pristine.path / "keys" / "receipt.pub").pinned
    assert (tmp_path / "heads").is_dir()
    with pytest.raises(UsageError, match="max-age"):
        log.verify(max_age="1d")
