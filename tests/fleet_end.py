"""What holds of a state whose run had workers, whatever has happened to them and to it."""

from __future__ import annotations

__all__ = ["assert_settled", "begun", "driven", "entries", "processes_of", "receipts"]

import json
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from running import environment, python
from verifying import verify_target
from waiting import until

DRIVE = Path(__file__).with_name("fleet_drive.py")


def driven(plan: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    """A run of which something happens to the processes that the plan names (`fleet_drive`)."""
    return python(DRIVE, json.dumps(plan), "run", *arguments, env=environment())


def entries(state: Path) -> list[Entry]:
    """All of the log."""
    with closing(ReceiptLog.open(state)) as log:
        return list(log.entries())


def receipts(state: Path) -> list[Receipt]:
    """Of all attempts, in the order of the log."""
    return [entry.receipt for entry in entries(state) if entry.receipt is not None]


def begun(state: Path) -> Counter[str]:
    """Attempt → how many workers began it."""
    return Counter(path.stem for path in StateFolder(state).workers.glob("*/leases/*.begun"))


def processes_of(state: Path) -> list[int]:
    """Workers of a state that are still there, dead ones that nobody waits for left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, stat = path.read_bytes().split(b"\0"), (path.parent / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(word.startswith(f"{state}/fleet/".encode()) for word in words) and ") Z" not in stat:
            found.append(int(path.parent.name))
    return found


def assert_settled(state: Path) -> None:
    """Each announcement has one receipt, nothing that was lent is open, and account and log say the same."""
    log = entries(state)
    announced = Counter(entry.leaf_hash for entry in log if entry.intent is not None)
    assert Counter(receipt.intent for receipt in receipts(state)) == announced
    wrong = [check for check in verify_target(state).checks if check.status is Status.FAIL]
    assert wrong == [], wrong
    figures = [said.energy for entry in log if (said := entry.receipt or entry.session) is not None]
    with closing(sqlite3.connect(f"file:{state / 'account.db'}?mode=ro", uri=True)) as db:
        (still_open,) = db.execute("SELECT count(*) FROM reservations WHERE state = 'open'").fetchone()
        (charged,) = db.execute(
            "SELECT -sum(balance_change_uj) FROM entries WHERE kind = 'settle'"
        ).fetchone()
    assert still_open == 0
    assert charged == sum(figure.microjoules for figure in figures)
    folder = StateFolder(state)
    assert [*folder.words.iterdir()] == []
    assert not folder.session.exists()
    assert set(begun(state).values()) <= {1}
    until(lambda: not processes_of(state), "workers to end")
