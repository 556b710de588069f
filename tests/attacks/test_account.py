"""Log and joule account of a state, rolled back or edited one without the other."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.decision.reason import Reason
from cryoflux.receipts.checkpoint import parse_note
from cryoflux.receipts.statement import Cause
from cryoflux.verification.result import Check, Status
from synthetic_parts import RESERVED_UJ, figure
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def of_energy(state: Path, status: Status = Status.FAIL) -> list[Check]:
    return [c for c in verify_target(state).checks if c.number == 10 and c.status is status]


def test_an_account_rolled_back_is_found_and_the_task_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.account._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    early = shutil.copy(made.path / "account.db", tmp_path / "early.db")
    made.attempt(0.02)
    made.finish()
    assert not of_energy(made.path)
    shutil.copy(early, made.path / "account.db")
    (found,) = of_energy(made.path)
    assert found.subject == "entry 3 (receipt a0002_2)"
    assert "a0002" in found.detail
    assert "rolled back or edited" in found.detail


def test_a_receipt_that_says_less_than_was_settled_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.announce()
    made.settle("a0001_0", 110_000_000)
    made.conclude_attempt(made.entries[0], 0.05)
    (found,) = of_energy(made.finish())
    assert "settled a0001_0 at 110000000 µJ" in found.detail


def test_a_receipt_that_denies_its_reservation_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    crash(made, "never-reserved")
    (found,) = of_energy(made.path)
    assert found.subject == "entry 1 (receipt a0001_0)"
    assert "says that nothing was reserved, but account.db did" in found.detail
    made.finish()


def crash(made: SyntheticState, flag: str) -> None:
    """An attempt that the next run closes for one that died."""
    most_uj = RESERVED_UJ if flag == "settled-elsewhere" else 0
    said = figure(microjoules=0, lo_microjoules=0, hi_microjoules=most_uj, cpu_microseconds=0, flags=[flag])
    why = {"cause": Cause.CRASHED, "reason": Reason(code="crashed")}
    made.abort(made.announce(), energy=said, settles=False, **why)


def test_a_receipt_that_another_meter_closed_is_not_compared(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    crash(made, "settled-elsewhere")
    assert not of_energy(made.path)
    made.settle("a0001_0", 1)
    assert not of_energy(made.finish())


def test_a_receipt_whose_reservation_is_still_open_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, settles=False)
    (found,) = of_energy(made.finish())
    assert "has not settled a0001_0" in found.detail


def charge(made: SyntheticState, task: str, log: str = "", uj: int = 1_000_000) -> None:
    made.account.take(RESERVED_UJ, request_id=task, log=log)
    made.settle(task, uj, log)


@pytest.mark.parametrize("request_id", ["lora_1790000000_2", "index_9_9", "somebody-else"])
def test_a_charge_without_a_receipt_is_found_whatever_it_is_called(tmp_path: Path, request_id: str) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    assert not of_energy(made.path)
    charge(made, request_id)
    (found,) = of_energy(made.finish())
    assert found.subject == "account.db"
    assert f"charged {request_id}, which has no receipt" in found.detail


def test_the_open_intent_may_be_charged_already(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.announce(task="lora_1790000000_2")
    assert not of_energy(made.path)
    made.settle("lora_1790000000_2", 1_000_000)
    assert not of_energy(made.finish())


@pytest.mark.parametrize(
    ("whose", "status"), [("", Status.UNKNOWN), ("its", Status.FAIL), ("example.org/another", None)]
)
def test_of_the_charges_of_a_daemon_those_of_other_logs_are_passed_over(
    tmp_path: Path, whose: str, status: Status | None
) -> None:
    made = open_state(tmp_path / "state")
    made.announce(meter="daemon")
    log = (
        parse_note((made.path / "log" / "checkpoint").read_bytes()).checkpoint.origin
        if whose == "its"
        else whose
    )
    charge(made, "lora_1790000000_2", log)
    state = made.finish()
    found = [*of_energy(state), *of_energy(state, Status.UNKNOWN)]
    assert [check.status for check in found] == ([status] if status else [])
    assert all("lora_1790000000_2" in check.detail for check in found)


def test_a_reservation_for_another_log_is_none_for_this_one(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    charge(made, "a0001_0", "example.org/another", uj=100_000_000)
    made.attempt(0.05)
    (found,) = of_energy(made.finish())
    assert "for an attempt of another log" in found.detail


def test_an_account_that_is_gone_is_a_question(state: Path) -> None:
    (state / "account.db").unlink()
    assert [c.subject for c in of_energy(state, Status.UNKNOWN)] == ["account.db"]
    (state / "account.db").mkdir()
    assert [c.subject for c in of_energy(state)] == ["account.db"]


@pytest.mark.parametrize("content", [b"", b"text" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_an_account_that_is_no_database_is_found(state: Path, content: bytes) -> None:
    (state / "account.db").write_bytes(content)
    assert [c.subject for c in of_energy(state)] == ["account.db"]


def test_an_account_whose_entries_were_edited_is_found(state: Path) -> None:
    with closing(sqlite3.connect(state / "account.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER entries_are_final_update")
        connection.execute("UPDATE entries SET balance_change_uj = -1 WHERE kind = 'settle'")
    assert of_energy(state)
