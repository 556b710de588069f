"""Attacks by somebody who can write to the state, with and without its keys."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.decision.reason import Reason
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.envelope import pae, sign_document
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.result import Check, Status
from synthetic_state import SyntheticState, make_state
from verifying import verify_target


@contextmanager
def database(state: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    connection.close()


def bad(state: Path, **options: object) -> list[Check]:
    return [c for c in verify_target(state, **options).checks if c.status is Status.FAIL]


def numbers(state: Path, **options: object) -> set[int]:
    return {check.number for check in bad(state, **options)}


def store(state: Path, index: int, envelope: bytes) -> None:
    """Replace an entry and everything stored beside it that follows from it."""
    with database(state) as connection:
        values = (envelope, leaf_hash(envelope).hex(), index)
        connection.execute("UPDATE entries SET envelope = ?, leaf = ? WHERE idx = ?", values)


@pytest.mark.parametrize("kept", [0, 1, 6, 7])
def test_truncation_is_found_by_the_checkpoint(state: Path, kept: int) -> None:
    with database(state) as connection:
        connection.execute("DELETE FROM entries WHERE idx >= ?", (kept,))
    details = [c.detail for c in bad(state) if c.subject == "log/checkpoint"]
    assert any(f"entries {kept} to 7 are missing" in detail for detail in details)


@pytest.mark.parametrize("index", [0, 3, 4])
def test_a_removed_row_is_found(state: Path, index: int) -> None:
    with database(state) as connection:
        connection.execute("DELETE FROM entries WHERE idx = ?", (index,))
    assert {3, 4} <= numbers(state)
    assert [c.subject for c in bad(state) if c.number == 3] == [f"entry {index}"]
    with database(state) as connection:
        connection.execute("UPDATE entries SET idx = idx - 1 WHERE idx > ?", (index,))
    assert {3, 4} <= numbers(state)


def test_reordered_rows_are_found(state: Path) -> None:
    with database(state) as connection:
        connection.execute("UPDATE entries SET idx = -1 WHERE idx = 1")
        connection.execute("UPDATE entries SET idx = 1 WHERE idx = 3")
        connection.execute("UPDATE entries SET idx = 3 WHERE idx = -1")
    found = bad(state)
    assert {"entry 1 (receipt a0002_2)", "entry 3 (receipt a0001_0)"} <= {
        c.subject for c in found if c.number == 3
    }


def test_a_row_signed_by_another_key_is_found(state: Path, pristine: SyntheticState) -> None:
    thief = Ed25519PrivateKey.generate()
    store(state, 7, sign_document(pristine.entries[7].statement, thief))
    assert [c.subject for c in bad(state) if c.number == 2] == ["entry 7 (receipt a0004_6)"]
    assert 4 in numbers(state)


def test_an_entry_signed_anew_by_the_thief_of_the_receipt_key_is_found_by_the_log_key(
    state: Path, pristine: SyntheticState
) -> None:
    key = load_key(state / "keys", "receipt", create=False)
    statement = pristine.entries[7].statement
    better = statement.predicate.but(reason=Reason(code="wonderful"))
    store(state, 7, sign_document(statement.but(predicate=better), key))
    assert numbers(state) == {4, 7}


def test_a_whole_state_made_with_other_keys_is_found_by_whoever_pins_the_key(
    state: Path, tmp_path: Path
) -> None:
    pinned = load_public_key(state / "keys" / "receipt.pub")
    forged = make_state(tmp_path / "forged").path
    assert numbers(forged) == set()
    assert {2, 4} <= numbers(forged, key=pinned)
    shutil.copy(state / "keys" / "receipt.pub", forged / "keys" / "receipt.pub")
    assert {2, 4} <= numbers(forged)


def test_a_checkpoint_of_another_log_is_found(state: Path, tmp_path: Path) -> None:
    other = make_state(tmp_path / "other").path
    shutil.copy(other / "log" / "checkpoint", state / "log" / "checkpoint")
    assert [c.subject for c in bad(state)] == ["log/checkpoint"]
    shutil.copy(other / "keys" / "log.pub", state / "keys" / "log.pub")
    assert [c.subject for c in bad(state)] == ["log/checkpoint", "log key"]


@pytest.mark.parametrize("lost", ["log/checkpoint", "keys/log.pub", "keys/receipt.pub", "log/tile/0/000.p/8"])
def test_lost_evidence_is_never_taken_for_good(state: Path, lost: str) -> None:
    (state / lost).unlink()
    assert bad(state)


def test_files_smuggled_into_the_log_are_found(state: Path) -> None:
    for where in ("tile/0/001", "tile/0/000.p/7", "tile/note.txt"):
        path = state / "log" / where
        path.write_bytes(b"x" * 32)
        assert [c.subject for c in bad(state)] == [f"log/{where}"]
        path.unlink()


def test_index_columns_that_lie_are_found(state: Path) -> None:
    with database(state) as connection:
        connection.execute("UPDATE entries SET outcome = 'accepted' WHERE idx = 3")
    assert [(c.number, c.subject) for c in bad(state)] == [(1, "entry 3 (receipt a0002_2)")]


def resigned(state: Path, pristine: SyntheticState, old: bytes, new: bytes) -> bytes:
    """Entry 7 with other payload bytes, and a signature that holds over them."""
    key = load_key(state / "keys", "receipt", create=False)
    payload = canonical_bytes(pristine.entries[7].statement)
    assert payload.count(old) == 1
    changed = payload.replace(old, new)
    document = json.loads(pristine.entries[7].envelope)
    document["payload"] = base64.b64encode(changed).decode()
    document["signatures"][0]["sig"] = base64.b64encode(key.sign(pae(changed))).decode()
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"accepted":true', b'"accepted":false,"accepted":true'),
        (b'"accepted":true', b'"accepted":1'),
        (b'"steps":20', b'"steps":20.0'),
        (b'"steps":20', b'"steps": 20'),
        (b'"steps":20', b'"steps":20,"extra":null'),
        (b'"steps":20', b'"steps":' + b"[" * 20_000),
        (b'"code":"evidence.delta"', b'"code":"\\u0065vidence.delta"'),
    ],
)
def test_a_well_signed_entry_in_another_spelling_is_named(
    state: Path, pristine: SyntheticState, old: bytes, new: bytes
) -> None:
    store(state, 7, resigned(state, pristine, old, new))
    assert ("entry 7", 1) in {(c.subject, c.number) for c in bad(state)}


@pytest.mark.parametrize("envelope", [b"", b"{}", bytes(100_000), b"\xff\xfe", b"[" * 60_000, b"null"])
def test_a_hostile_row_is_a_failed_check(state: Path, envelope: bytes) -> None:
    store(state, 2, envelope)
    assert ("entry 2", 1) in {(c.subject, c.number) for c in bad(state)}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET idx = 9223372036854775807 WHERE idx = 7",
        "UPDATE entries SET idx = -9223372036854775808 WHERE idx = 7",
        "UPDATE entries SET leaf = 'nonsense' WHERE idx = 7",
        "UPDATE entries SET leaf = CAST(x'ff' AS TEXT) WHERE idx = 7",
        "DROP TABLE entries",
        "ALTER TABLE entries RENAME COLUMN envelope TO letter",
    ],
)
def test_a_hostile_table_is_a_failed_check(state: Path, statement: str) -> None:
    with database(state) as connection:
        connection.execute(statement)
    assert bad(state)


def test_a_key_without_end_is_not_read_to_its_end(state: Path) -> None:
    with (state / "keys" / "receipt.pub").open("wb") as stream:
        stream.truncate(1 << 38)
    assert 2 in numbers(state)


def test_rows_without_end_are_not_waited_for(state: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)"
    columns = "i AS idx, '' AS kind, '' AS task_id, '' AS outcome, '' AS leaf, x'' AS envelope"
    with database(state) as connection:
        connection.execute("DROP TABLE entries")
        connection.execute(f"CREATE VIEW entries AS {endless} SELECT {columns} FROM n")
    assert 1 in numbers(state)


def test_a_file_that_is_no_database_is_a_failed_check(state: Path) -> None:
    for content in (b"", b"SQLite format 3\0" + bytes(5000), b"text" * 1000):
        (state / "receipts.db").write_bytes(content)
        assert 1 in numbers(state)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_on(state: Path, pristine: SyntheticState) -> None:
    evidence = pristine.entries[1].statement.predicate.evaluation.per_example
    places = (
        "log/checkpoint",
        "keys/receipt.pub",
        f"models/{pristine.head.digest}/SHA256SUMS",
        f"models/{pristine.head.digest}/config.json",
        f"evidence/{evidence}.bin",
    )
    for where in places:
        (state / where).unlink()
        os.mkfifo(state / where)
    subjects = {check.subject for check in bad(state)}
    assert set(places) - {f"models/{pristine.head.digest}/config.json"} <= subjects


def test_a_log_without_its_database_is_a_failed_check(state: Path) -> None:
    (state / "receipts.db").unlink()
    found = bad(state)
    assert {1, 4} <= {check.number for check in found}
    assert any("receipts.db is missing" in check.detail for check in found)
