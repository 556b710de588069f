"""A long log is verified in one pass, and the report says what it says step by step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Outcome
from cryoflux.verification import signing_pool, streaming
from cryoflux.verification.result import Report, Status
from cryoflux.verification.signing_pool import SigningPool
from cryoflux.verification.steps import verify_target
from cryoflux.verification.verified import recall_verified
from synthetic_state import decision, figure, open_state

ONE_PASS, STEP_BY_STEP = 0, 10**9


def change_a_byte(state: Path) -> None:
    path = next(path for path in state.glob("log/tile/entries/*.p/*"))
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")


def rewrite(state: Path, sql: str) -> None:
    connection = sqlite3.connect(state / "receipts.db")
    for trigger in ("entries_update", "entries_delete"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(sql)
    connection.commit()
    connection.close()


HARM: dict[str, Callable[[Path], object]] = {
    "nothing": lambda state: None,
    "a tile": change_a_byte,
    "a tile too many": lambda state: (state / "log/tile/0/999").write_bytes(b""),
    "no tile": lambda state: [path.unlink() for path in state.glob("log/tile/0/000.p/*")],
    "no checkpoint": lambda state: (state / "log/checkpoint").unlink(),
    "another checkpoint": lambda state: (state / "log/checkpoint").write_text("x"),
    "no receipt key": lambda state: (state / "keys/receipt.pub").unlink(),
    "no log key": lambda state: (state / "keys/log.pub").unlink(),
    "no account": lambda state: (state / "account.db").unlink(),
    "an index column": lambda state: rewrite(state, "UPDATE entries SET outcome = 'x' WHERE idx = 3"),
    "a stored hash": lambda state: rewrite(state, "UPDATE entries SET leaf = 'x' WHERE idx = 3"),
    "an envelope": lambda state: rewrite(
        state, "UPDATE entries SET envelope = CAST(replace(envelope, 'A', 'B') AS BLOB) WHERE idx = 2"
    ),
    "an envelope of another": lambda state: rewrite(
        state, "UPDATE entries SET envelope = (SELECT envelope FROM entries WHERE idx = 3) WHERE idx = 5"
    ),
    "the last entries": lambda state: rewrite(state, "DELETE FROM entries WHERE idx > 5"),
    "an entry in between": lambda state: rewrite(state, "DELETE FROM entries WHERE idx = 4"),
    "the signature": lambda state: rewrite(
        state,
        'UPDATE entries SET envelope = CAST(replace(CAST(envelope AS TEXT), \'"sig":"\', \'"sig":"AAAA\') '
        "AS BLOB) WHERE idx = 2",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_one_pass_finds_what_the_steps_find(harm: str, state: Path) -> None:
    HARM[harm](state)
    assert verify_target(state, long=ONE_PASS) == verify_target(state, long=STEP_BY_STEP)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": Outcome.REJECTED},
        {"decision": decision(accepted=False)},
        {"energy": figure(lo_microjoules=105_000_000)},
        {"reason": "Because."},
        {"started_at": "2026-11-24T00:00:00Z"},
    ],
)
def test_one_pass_finds_the_lies_that_the_steps_find(changes: dict[str, object], tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.attempt(0.03, **changes)
    made.attempt(0.02)
    made.announce()
    made.finish()
    said = verify_target(made.path, long=ONE_PASS)
    assert said == verify_target(made.path, long=STEP_BY_STEP)
    assert any(check.status is not Status.OK for check in said.checks)


def test_an_honest_log_needs_one_pass_only(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoflux.verification.steps.read_history", None)
    assert verify_target(state, long=ONE_PASS).ok


def flip_signature(state: Path, index: int) -> None:
    """Another signature, and the log made to agree with it, by somebody who has the key of the head."""
    connection = sqlite3.connect(state / "receipts.db")
    (envelope,) = connection.execute("SELECT envelope FROM entries WHERE idx = ?", (index,)).fetchone()
    connection.close()
    at = envelope.index(b'"sig":"') + 7
    changed = envelope[:at] + (b"B" if envelope[at : at + 1] == b"A" else b"A") + envelope[at + 1 :]
    text = changed.decode()
    rewrite(state, f"UPDATE entries SET envelope = CAST('{text}' AS BLOB) WHERE idx = {index}")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_signature_is_named_whoever_checks_it(
    workers: int, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_signature(state, 2)
    monkeypatch.setattr(streaming, "SigningPool", lambda _: SigningPool(workers))
    report = verify_target(state, long=ONE_PASS)
    assert [c.subject for c in report.checks if c.number == 2] == ["entry 2 (intent a0002)"]


def test_signatures_that_were_checked_before_are_not_checked_again(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = tmp_path / "heads"
    first = verify_target(state, long=ONE_PASS, heads=heads)
    assert first.ok
    known = recall_verified(heads, first.signer)
    assert known is not None
    assert known.size == first.entries
    monkeypatch.setattr(signing_pool, "_wrong", None)
    again = verify_target(state, long=ONE_PASS, heads=heads, trust_memory=True)
    assert again.ok
    assert "checked here before, and not again" in again.checks[1].detail


def test_what_was_verified_before_says_nothing_of_another_history(state: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    verify_target(state, long=ONE_PASS, heads=heads)
    flip_signature(state, 2)
    report = verify_target(state, long=ONE_PASS, heads=heads, trust_memory=True)
    assert 2 in failed_steps(report)


def test_a_memory_that_is_no_memory_is_none(state: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    verify_target(state, long=ONE_PASS, heads=heads)
    (path,) = heads.glob("*.verified")
    for content in (b"", b"[]", b"{}", path.read_bytes().replace(b'"rules": 1', b'"rules": 0')):
        path.write_bytes(content)
        report = verify_target(state, long=ONE_PASS, heads=heads, trust_memory=True)
        assert report.ok
        assert "before" not in report.checks[1].detail


def test_a_log_that_failed_is_not_remembered_as_verified(state: Path, tmp_path: Path) -> None:
    flip_signature(state, 2)
    verify_target(state, long=ONE_PASS, heads=tmp_path / "heads")
    assert not list((tmp_path / "heads").glob("*.verified"))


def test_progress_ends_where_the_log_ends(state: Path) -> None:
    said: list[tuple[int, int]] = []
    verify_target(state, long=ONE_PASS, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (8, 8)


def test_entries_written_meanwhile_are_not_seen(state: Path) -> None:
    with streaming.verify_in_one_pass(state, least=ONE_PASS) as passed:
        assert passed is not None
        ReceiptLog.open(state).close()
        assert [entry.index for entry in passed.history.entries] == list(range(8))
        assert passed.history.attempts[-1].entry is passed.history.entries[-1]
        assert [a.intent and a.intent.sequence for a in passed.history.attempts] == [0, 2, 4, 6]
        assert passed.history.leaves[1:3] == [passed.history.leaves[1], passed.history.leaves[2]]


def failed_steps(report: Report) -> set[int]:
    return {check.number for check in report.checks if check.status is Status.FAIL}
