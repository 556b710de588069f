"""Log and joule account of a state, rolled back or edited one without the other."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.verification.result import Check, Status
from cryoflux.verification.steps import verify_target
from synthetic_parts import RESERVED_UJ, figure
from synthetic_state import SyntheticState, open_state


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
    assert found.subject == "entry 3 (receipt a0002)"
    assert "a0002" in found.detail
    assert "rolled back or edited" in found.detail


def test_a_receipt_that_says_less_than_was_settled_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.announce()
    made.settle("a0001", 110_000_000)
    made.conclude_attempt(made.entries[0], 0.05)
    (found,) = of_energy(made.finish())
    assert "settled a0001 at 110000000 µJ" in found.detail


def test_a_receipt_that_denies_its_reservation_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(flags=["never-reserved"]))
    (found,) = of_energy(made.finish())
    assert found.subject == "entry 1 (receipt a0001)"


def test_a_receipt_that_another_meter_closed_is_not_compared(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(flags=["settled-elsewhere"]), settles=False)
    assert not of_energy(made.path)
    made.settle("a0001", 1)
    assert not of_energy(made.finish())


def test_a_receipt_whose_reservation_is_still_open_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, settles=False)
    (found,) = of_energy(made.finish())
    assert "has not settled a0001" in found.detail


def charge(made: SyntheticState, task: str) -> None:
    made.account.take(RESERVED_UJ, request_id=task)
    made.settle(task, 1_000_000)


def test_a_charge_without_a_receipt_is_found(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    charge(made, "somebody-else")
    assert not of_energy(made.path)
    charge(made, "lora_1790000000_2")
    (found,) = of_energy(made.finish())
    assert found.subject == "account.db"
    assert "lora_1790000000_2" in found.detail


def test_the_open_intent_may_be_charged_already(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.announce(task="lora_1790000000_2")
    assert not of_energy(made.path)
    made.settle("lora_1790000000_2", 1_000_000)
    assert not of_energy(made.finish())


def test_a_charge_for_another_log_of_the_same_daemon_is_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.announce(meter="daemon")
    charge(made, "lora_1790000000_2")
    assert not of_energy(made.path)
    (found,) = of_energy(made.finish(), Status.UNKNOWN)
    assert "lora_1790000000_2" in found.detail


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
