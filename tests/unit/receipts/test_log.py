from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from cryoflux.errors import StateError, StateTamperedError, StorageError
from cryoflux.receipts import log as log_module
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.statement import ZERO_HASH
from cryoflux.verification.result import Status
from cryoflux.verification.steps import verify_target
from synthetic_state import SyntheticState, open_state


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(state: Path, *statements: str) -> None:
    """Change the database behind the triggers' back."""
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def test_an_empty_log_has_a_head_of_zeros_and_a_checkpoint(tmp_path: Path) -> None:
    log = ReceiptLog.open(tmp_path)
    assert (log.size, log.head_hash, list(log.entries())) == (0, ZERO_HASH, [])
    log.close()
    assert (tmp_path / "log" / "checkpoint").read_text().splitlines()[1] == "0"


def test_entries_come_back_and_the_log_goes_on(state: Path, pristine: SyntheticState) -> None:
    log = ReceiptLog.open(state)
    assert list(log.entries()) == pristine.entries
    assert log.head_hash == pristine.entries[-1].leaf_hash
    again = SyntheticState(state, log, pristine.data, pristine.head, pristine.gain, pristine.uses)
    again.entries += pristine.entries
    again.attempt(0.03)
    again.finish()
    report = verify_target(state)
    assert report.ok
    assert (report.entries, report.receipts) == (10, 5)


def test_a_statement_that_does_not_take_its_place_is_refused(state: Path, pristine: SyntheticState) -> None:
    log = ReceiptLog.open(state)
    with pytest.raises(ValueError, match="take its place"):
        log.append(lambda _sequence, _prev: pristine.entries[0].statement)
    log.close()
    assert verify_target(state).ok


def test_the_table_is_append_only(state: Path) -> None:
    connection = sqlite3.connect(state / "receipts.db")
    for statement in (
        "UPDATE entries SET outcome = 'accepted' WHERE idx = 3",
        "DELETE FROM entries WHERE idx = 7",
        "INSERT OR REPLACE INTO entries SELECT 3, kind, task_id, '', leaf, x'00' FROM entries WHERE idx = 3",
        "INSERT INTO entries SELECT 9, kind, task_id, outcome, 'x', envelope FROM entries WHERE idx = 7",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("step", ["publish_tiles", "sign_checkpoint", "write_atomic", "remove_superseded"])
def test_a_crash_after_the_commit_is_repaired_at_the_next_opening(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)

    def crash(*_arguments: object, **_options: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(log_module, step, crash)
        with pytest.raises(StorageError):
            made.announce()
    assert made.log.size == 3
    made.log.close()
    between = verify_target(made.path)
    assert between.ok
    assert any(c.status is Status.UNKNOWN for c in between.checks)
    made.log = ReceiptLog.open(made.path)
    assert made.log.size == 3
    made.abort(list(made.log.entries())[-1])
    made.finish()
    report = verify_target(made.path)
    assert report.ok
    assert all(c.status is Status.OK for c in report.checks)


def test_a_crash_before_the_commit_leaves_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(state)
    log = ReceiptLog.open(state)

    def crash(*_arguments: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(log._store, "append", crash)
    made = SyntheticState(state, log, *_rest(state))
    with pytest.raises(StorageError):
        made.announce()
    assert log.size == 8
    made.finish()
    assert files_of(state) == before


def _rest(state: Path) -> tuple[object, object]:
    log = ReceiptLog.open(state)
    entries = list(log.entries())
    log.close()
    return entries[0].statement.predicate.data, entries[-1].statement.predicate.result


def test_lost_or_spoilt_tiles_are_derived_again(state: Path) -> None:
    before = files_of(state / "log")
    shutil.rmtree(state / "log" / "tile" / "0")
    (state / "log/tile/entries/000.p/8").write_bytes(b"spoilt")
    ReceiptLog.open(state).close()
    assert files_of(state / "log") == before


def test_an_older_checkpoint_is_brought_forward_and_one_of_the_future_is_refused(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    checkpoint = made.path / "log" / "checkpoint"
    older = checkpoint.read_bytes()
    made.attempt(0.05)
    made.finish()
    newest = checkpoint.read_bytes()
    checkpoint.write_bytes(older)
    ReceiptLog.open(made.path).close()
    assert checkpoint.read_bytes() == newest
    edit(made.path, "DELETE FROM entries WHERE idx >= 2")
    with pytest.raises(StateTamperedError, match="covers 4 entries, but the database has 2"):
        ReceiptLog.open(made.path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE idx = 7",
        "DELETE FROM entries WHERE idx = 2",
        "UPDATE entries SET outcome = 'accepted' WHERE idx = 3",
        "UPDATE entries SET task_id = 'other' WHERE idx = 0",
        "UPDATE entries SET leaf = substr(leaf, 2) || 'x' WHERE idx = 1",
        "UPDATE entries SET envelope = x'7b7d' WHERE idx = 1",
        "UPDATE entries SET envelope = (SELECT envelope FROM entries WHERE idx = 0) WHERE idx = 1",
        "UPDATE entries SET idx = idx + 100",
    ],
)
def test_a_tampered_database_is_refused(state: Path, statement: str) -> None:
    edit(state, statement)
    with pytest.raises(StateTamperedError) as caught:
        ReceiptLog.open(state)
    assert caught.value.hint


def test_a_damaged_database_file_is_refused_or_read_right(state: Path, pristine: SyntheticState) -> None:
    path = state / "receipts.db"
    whole = path.read_bytes()
    for content in (
        b"not a database" * 100,
        whole[:5000],
        whole[: len(whole) // 2],
        whole[:100] + bytes(4000),
    ):
        path.write_bytes(content)
        with pytest.raises((StateError, StorageError)):
            ReceiptLog.open(state)
        for leftover in state.glob("receipts.db-*"):
            leftover.unlink()


def test_lost_triggers_are_noticed(state: Path) -> None:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    connection.execute("DROP TRIGGER entries_delete")
    connection.close()
    with pytest.raises(StateTamperedError, match="triggers"):
        ReceiptLog.open(state)


@pytest.mark.parametrize("content", [None, b"", b"garbage\n"])
def test_a_lost_or_damaged_checkpoint_is_refused(state: Path, content: bytes | None) -> None:
    checkpoint = state / "log" / "checkpoint"
    if content is None:
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(content)
    with pytest.raises(StateTamperedError, match="checkpoint"):
        ReceiptLog.open(state)


def test_a_lost_key_does_not_become_a_new_one(state: Path) -> None:
    (state / "keys" / "receipt.pem").unlink()
    with pytest.raises(StateError, match="missing"):
        ReceiptLog.open(state)
    assert not (state / "keys" / "receipt.pem").exists()


@pytest.fixture(scope="session")
def long_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose log has more entries than an opening parses: 280."""
    made = open_state(tmp_path_factory.mktemp("long") / "state")
    made.arms = []
    for _ in range(140):
        made.abort(made.announce())
    return made.finish()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET envelope = CAST(replace(envelope, 'e', 'f') AS BLOB) WHERE idx = 3",
        "UPDATE entries SET envelope = (SELECT envelope FROM entries WHERE idx = 5) WHERE idx = 3",
        "UPDATE entries SET leaf = substr(leaf, 2) || 'x' WHERE idx = 3",
        "DELETE FROM entries WHERE idx = 3",
        "DELETE FROM entries WHERE idx = 279",
    ],
)
def test_old_entries_are_not_parsed_again_but_no_byte_of_them_can_change(
    long_state: Path, tmp_path: Path, statement: str
) -> None:
    state = shutil.copytree(long_state, tmp_path / "state", symlinks=True)
    edit(state, statement)
    with pytest.raises(StateTamperedError):
        ReceiptLog.open(state)


def test_an_old_entry_with_its_hash_beside_it_still_does_not_lead_to_the_signed_root(
    long_state: Path, tmp_path: Path
) -> None:
    state = shutil.copytree(long_state, tmp_path / "state", symlinks=True)
    connection = sqlite3.connect(state / "receipts.db")
    (envelope,) = connection.execute("SELECT envelope FROM entries WHERE idx = 3").fetchone()
    connection.close()
    changed = envelope.replace(b"e", b"f", 1)
    leaf = leaf_hash(changed).hex()
    edit(state, f"UPDATE entries SET envelope = x'{changed.hex()}', leaf = '{leaf}' WHERE idx = 3")
    with pytest.raises(StateTamperedError, match="of another log"):
        ReceiptLog.open(state)


def test_a_column_of_an_old_entry_decides_nothing_and_is_for_verify_to_name(
    long_state: Path, tmp_path: Path
) -> None:
    state = shutil.copytree(long_state, tmp_path / "state", symlinks=True)
    edit(state, "UPDATE entries SET outcome = 'accepted' WHERE idx = 3")
    ReceiptLog.open(state).close()
    assert 1 in {c.number for c in verify_target(state).checks if c.status is Status.FAIL}


def test_lost_tiles_of_a_long_log_are_derived_again(long_state: Path, tmp_path: Path) -> None:
    state = shutil.copytree(long_state, tmp_path / "state", symlinks=True)
    before = files_of(state / "log")
    (state / "log/tile/entries/000").write_bytes(b"spoilt")
    shutil.rmtree(state / "log/tile/0")
    ReceiptLog.open(state).close()
    assert files_of(state / "log") == before


def test_the_trigger_of_an_older_database_is_made_anew(state: Path) -> None:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    connection.execute("DROP TRIGGER entries_append")
    connection.execute(
        "CREATE TRIGGER entries_append BEFORE INSERT ON entries\n"
        "  WHEN NEW.idx IS NOT (SELECT count(*) FROM entries)\n"
        "  BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END"
    )
    connection.close()
    ReceiptLog.open(state).close()
    connection = sqlite3.connect(state / "receipts.db")
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'entries_append'").fetchone()
    assert "max(idx)" in sql
    connection.close()


def test_what_others_added_to_the_checkpoint_stays_until_the_next_entry(state: Path) -> None:
    checkpoint = state / "log" / "checkpoint"
    cosigned = checkpoint.read_bytes() + "\N{EM DASH} witness.example AAAAAAAAAAA=\n".encode()
    checkpoint.write_bytes(cosigned)
    ReceiptLog.open(state).close()
    assert checkpoint.read_bytes() == cosigned
