from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from cryoflux.errors import StateError, StateTamperedError, StorageError
from cryoflux.receipts import log as log_module
from cryoflux.receipts.key_statement import KeyStatement
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import ZERO_HASH, ReceiptStatement, Statement
from cryoflux.signing.fields import Document
from plain_log import StoredLog


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(plain_state: Path, *statements: str) -> None:
    """Change the database behind the triggers' back."""
    connection = sqlite3.connect(plain_state / "receipts.db", isolation_level=None)
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


def test_entries_come_back_and_the_log_goes_on(plain_state: Path, stored: StoredLog) -> None:
    again = StoredLog(plain_state)
    assert again.entries == stored.entries
    assert again.log.head_hash == stored.entries[-1].leaf_hash
    again.conclude(again.announce())
    again.reopen()
    assert [entry.index for entry in again.entries] == list(range(11))
    again.close()
    assert (plain_state / "log" / "checkpoint").read_text().splitlines()[1] == "11"


def test_a_statement_that_does_not_take_its_place_is_refused(plain_state: Path, stored: StoredLog) -> None:
    log = ReceiptLog.open(plain_state)
    with pytest.raises(ValueError, match="take its place"):
        log.append(lambda _sequence, _prev: stored.entries[0].statement)
    log.close()
    assert read_entries(plain_state) == stored.entries


def test_the_table_is_append_only(plain_state: Path) -> None:
    connection = sqlite3.connect(plain_state / "receipts.db")
    for statement in (
        "UPDATE entries SET outcome = 'accepted' WHERE idx = 3",
        "DELETE FROM entries WHERE idx = 7",
        "INSERT OR REPLACE INTO entries SELECT 3, kind, task_id, '', leaf, x'00' FROM entries WHERE idx = 3",
        "INSERT INTO entries SELECT 10, kind, task_id, outcome, 'x', envelope FROM entries WHERE idx = 7",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


STEPS = ["publish_tiles", "sign_checkpoint", "write_atomic", "remove_superseded"]


def crash(*_arguments: object, **_options: object) -> None:
    raise StorageError("the disk is full")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_the_commit_is_repaired_at_the_next_opening(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = StoredLog(tmp_path / "state")
    made.conclude(made.announce())
    with monkeypatch.context() as patch:
        patch.setattr(log_module, step, crash)
        with pytest.raises(StorageError):
            made.announce()
    assert made.log.size == 3
    made.reopen()
    assert made.log.size == 3
    made.abort(made.entries[-1])
    straight = StoredLog(tmp_path / "straight")
    for entry in made.entries:
        straight.append(lambda _s, _p, said=entry.statement: said.but(predicate=resequenced(said, straight)))
    assert set(files_of(made.close() / "log")) == set(files_of(straight.close() / "log"))


def resequenced(said: Statement | KeyStatement, log: StoredLog) -> Document:
    changes = {"sequence": log.log.size, "prev": log.log.head_hash}
    if isinstance(said, ReceiptStatement):
        changes["intent"] = log.log.head_hash
    return said.predicate.but(**changes)


@pytest.mark.parametrize("step", STEPS)
def test_a_state_verifies_between_a_crash_and_its_repair(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = StoredLog(tmp_path / "state")
    made.conclude(made.announce())
    with monkeypatch.context() as patch:
        patch.setattr(log_module, step, crash)
        with pytest.raises(StorageError):
            made.announce()
    made.log.close()
    assert not failed_steps(made.path), "what no checkpoint covers yet is no finding"
    made.reopen()
    made.abort(made.entries[-1])
    assert not failed_steps(made.close())


def failed_steps(state: Path) -> set[int]:
    """Numbers of the steps about the log that fail; there are no artefacts and no account behind it."""
    from cryoflux.verification.result import Status
    from cryoflux.verification.steps import verify_target

    found = {check.number for check in verify_target(state).checks if check.status is Status.FAIL}
    return found & set(range(1, 9))


def test_a_crash_before_the_commit_leaves_nothing(plain_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(plain_state)
    made = StoredLog(plain_state)
    monkeypatch.setattr(made.log._store, "append", crash)
    with pytest.raises(StorageError):
        made.announce()
    assert made.log.size == 9
    made.close()
    assert files_of(plain_state) == before


def test_lost_or_spoilt_tiles_are_derived_again(plain_state: Path) -> None:
    before = files_of(plain_state / "log")
    shutil.rmtree(plain_state / "log" / "tile" / "0")
    (plain_state / "log/tile/entries/000.p/9").write_bytes(b"spoilt")
    ReceiptLog.open(plain_state).close()
    assert files_of(plain_state / "log") == before


def test_an_older_checkpoint_is_brought_forward_and_one_of_the_future_is_refused(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    made.conclude(made.announce())
    checkpoint = made.path / "log" / "checkpoint"
    older = checkpoint.read_bytes()
    made.conclude(made.announce())
    made.close()
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
def test_a_tampered_database_is_refused(plain_state: Path, statement: str) -> None:
    edit(plain_state, statement)
    with pytest.raises(StateTamperedError) as caught:
        ReceiptLog.open(plain_state)
    assert caught.value.hint


def test_a_damaged_database_file_is_refused_or_read_right(plain_state: Path) -> None:
    path = plain_state / "receipts.db"
    whole = path.read_bytes()
    for content in (
        b"not a database" * 100,
        whole[:5000],
        whole[: len(whole) // 2],
        whole[:100] + bytes(4000),
    ):
        path.write_bytes(content)
        with pytest.raises((StateError, StorageError)):
            ReceiptLog.open(plain_state)
        for leftover in plain_state.glob("receipts.db-*"):
            leftover.unlink()


def test_lost_triggers_are_noticed(plain_state: Path) -> None:
    connection = sqlite3.connect(plain_state / "receipts.db", isolation_level=None)
    connection.execute("DROP TRIGGER entries_delete")
    connection.close()
    with pytest.raises(StateTamperedError, match="triggers"):
        ReceiptLog.open(plain_state)


@pytest.mark.parametrize("content", [None, b"", b"garbage\n"])
def test_a_lost_or_damaged_checkpoint_is_refused(plain_state: Path, content: bytes | None) -> None:
    checkpoint = plain_state / "log" / "checkpoint"
    if content is None:
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(content)
    with pytest.raises(StateTamperedError, match="checkpoint"):
        ReceiptLog.open(plain_state)


def test_a_lost_key_does_not_become_a_new_one(plain_state: Path) -> None:
    (plain_state / "keys" / "receipt.pem").unlink()
    with pytest.raises(StateError, match="missing"):
        ReceiptLog.open(plain_state)
    assert not (plain_state / "keys" / "receipt.pem").exists()


@pytest.fixture(scope="session")
def long_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose log has more entries than an opening parses: 280."""
    made = StoredLog(tmp_path_factory.mktemp("long") / "state")
    for _ in range(140):
        made.abort(made.announce())
    return made.close()


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
    assert 1 in failed_steps(state)


def test_lost_tiles_of_a_long_log_are_derived_again(long_state: Path, tmp_path: Path) -> None:
    state = shutil.copytree(long_state, tmp_path / "state", symlinks=True)
    before = files_of(state / "log")
    (state / "log/tile/entries/000").write_bytes(b"spoilt")
    shutil.rmtree(state / "log/tile/0")
    ReceiptLog.open(state).close()
    assert files_of(state / "log") == before


def test_the_trigger_of_an_older_database_is_made_anew(plain_state: Path) -> None:
    connection = sqlite3.connect(plain_state / "receipts.db", isolation_level=None)
    connection.execute("DROP TRIGGER entries_append")
    connection.execute(
        "CREATE TRIGGER entries_append BEFORE INSERT ON entries\n"
        "  WHEN NEW.idx IS NOT (SELECT count(*) FROM entries)\n"
        "  BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END"
    )
    connection.close()
    ReceiptLog.open(plain_state).close()
    connection = sqlite3.connect(plain_state / "receipts.db")
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'entries_append'").fetchone()
    assert "max(idx)" in sql
    connection.close()


def test_what_others_added_to_the_checkpoint_stays_until_the_next_entry(plain_state: Path) -> None:
    checkpoint = plain_state / "log" / "checkpoint"
    cosigned = checkpoint.read_bytes() + "\N{EM DASH} witness.example AAAAAAAAAAA=\n".encode()
    checkpoint.write_bytes(cosigned)
    ReceiptLog.open(plain_state).close()
    assert checkpoint.read_bytes() == cosigned
