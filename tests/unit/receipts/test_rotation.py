from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.receipts.key_statement import KeyRevocation, KeyRevocationStatement, PublicKey, subject_of
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.reading import find_entry, read_authority, read_entries
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.receipts.statement import Statement
from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import key_id, load_public_key
from plain_log import StoredLog

if TYPE_CHECKING:
    from cryoflux.verification.result import Check

ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
NOW = "2026-11-23T02:00:00Z"


def rotated(made: StoredLog) -> StoredLog:
    """Two attempts under the first key, one after a rotation."""
    attempt(made)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    attempt(made)
    rotate_key(made.log, made.path, ROOT, "a new machine", NOW)
    attempt(made)
    return made


def attempt(made: StoredLog) -> None:
    made.read_again()
    made.conclude(made.announce(), kept=not made.heads)


def export(made: StoredLog, place: Path) -> Path:
    """What the log says now, as a file."""
    place.write_bytes(b"".join(row.envelope + b"\n" for row in made.log._store.rows()))
    return place


def failed(target: Path, **options: object) -> list[Check]:
    from cryoflux.verification.result import Status
    from cryoflux.verification.steps import verify_target

    return [c for c in verify_target(target, **options).checks if c.status is Status.FAIL]


def failures(target: Path, **options: object) -> set[int]:
    return {check.number for check in failed(target, **options)}


def test_a_log_goes_on_under_a_new_key_and_keeps_its_name(tmp_path: Path) -> None:
    made = rotated(StoredLog(tmp_path))
    origin = (tmp_path / "log" / "checkpoint").read_text().splitlines()[0]
    made.reopen()
    attempt(made)
    made.close()
    reigns = read_authority(tmp_path)[0].reigns
    assert [(reign.start, reign.end, reign.ended_by) for reign in reigns] == [
        (0, 6, "rotation"),
        (6, None, ""),
    ]
    assert (tmp_path / "log" / "checkpoint").read_text().splitlines()[0] == origin
    assert origin.endswith(reigns[0].keyid[:16])


def test_verify_names_the_key_of_each_range(tmp_path: Path) -> None:
    from cryoflux.verification.steps import verify_target

    made = rotated(StoredLog(tmp_path / "state"))
    attempt(made)
    first, second = made.log.authority.reigns
    key = load_public_key(made.path / "keys" / "receipt.pub")
    report = verify_target(export(made, tmp_path / "all.jsonl"), key=key)
    made.close()
    assert report.ok
    assert report.entries == 10
    signed = next(c.detail for c in report.checks if c.number == 2)
    ranges = f"entries 0 to 5 by key {first.keyid[:16]}… until its rotation; entries 6 to 9 by key"
    assert f"{ranges} {second.keyid[:16]}…" in signed


def test_only_the_valid_private_key_is_left_and_never_the_root(tmp_path: Path) -> None:
    made = rotated(StoredLog(tmp_path / "state"))
    made.close()
    private = sorted(path.name for path in (made.path / "keys").glob("*.pem"))
    second = read_authority(made.path)[0].reigns[1].keyid
    assert private == ["log.pem", f"receipt-{second[:16]}.pem"]
    assert key_id(load_public_key(made.path / "keys" / "root.pub")) == key_id(ROOT.public_key())


def test_what_a_retired_key_signs_is_refused_by_the_log_and_by_verify(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    attempt(made)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    stolen = made.log._signer
    assert stolen is not None
    rotate_key(made.log, made.path, ROOT, "stolen", NOW)
    made.read_again()
    made.announce()
    entries = [row.envelope for row in made.log._store.rows()]
    last = list(made.log.entries())[-1]
    with pytest.raises(VerificationError, match="its rotation is entry 3"):
        made.log.append(lambda _s, _p: _resequenced(last.statement, made.log), stolen)
    exported = tmp_path / "forged.jsonl"
    exported.write_bytes(b"".join(e + b"\n" for e in [*entries[:-1], sign_document(last.statement, stolen)]))
    key = load_public_key(made.path / "keys" / "receipt.pub")
    (bad,) = failed(exported, key=key)
    assert bad.number == 2
    assert "its rotation is entry 3" in bad.detail


def _resequenced(statement: Statement, log: ReceiptLog) -> Statement:
    return statement.but(predicate=statement.predicate.but(sequence=log.size, prev=log.head_hash))


def test_after_a_revocation_nothing_is_signed_until_a_rotation(tmp_path: Path) -> None:
    made = StoredLog(tmp_path)
    attempt(made)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    revoke_key(made.log, ROOT, made.log.authority.reigns[0].keyid[:12], "lost laptop", NOW)
    made.reopen()
    with pytest.raises(StateError, match="revoked") as caught:
        made.announce()
    assert "keys rotate" in caught.value.hint
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.reopen()
    attempt(made)
    made.close()
    assert [reign.ended_by for reign in read_authority(tmp_path)[0].reigns] == ["revocation", ""]


def test_without_a_root_key_nobody_rotates(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    with pytest.raises(StateError, match="no root key"):
        rotate_key(made.log, made.path, ROOT, "", NOW)
    with pytest.raises(StateError, match="no root key"):
        revoke_key(made.log, ROOT, "", "", NOW)
    made.close()


def test_a_root_is_named_once_and_no_other_key_takes_its_place(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    other = Ed25519PrivateKey.generate()
    with pytest.raises(StateError, match="already"):
        enrol_root(made.log, made.path, other.public_key(), NOW)
    with pytest.raises(UsageError, match="not the root key"):
        rotate_key(made.log, made.path, other, "", NOW)
    with pytest.raises(UsageError, match="No single receipt key"):
        revoke_key(made.log, ROOT, "ffffffffffffffffffff", "", NOW)
    made.close()


def test_a_revocation_that_the_receipt_key_signed_counts_for_nothing(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    attempt(made)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    revoked = made.log.authority.reigns[0].keyid
    thief = made.log._signer
    assert thief is not None

    def build(sequence: int, prev: str) -> KeyRevocationStatement:
        said = KeyRevocation(sequence=sequence, prev=prev, revoked=revoked, reason="", revoked_at=NOW)
        return KeyRevocationStatement(subject=subject_of(revoked), predicate=said)

    with pytest.raises(VerificationError, match="not by the expected"):
        made.log.append(build)
    entries = [row.envelope for row in made.log._store.rows()]
    forged = sign_document(build(made.log.size, made.log.head_hash), thief)
    exported = tmp_path / "forged.jsonl"
    exported.write_bytes(b"".join(entry + b"\n" for entry in [*entries, forged]))
    assert failures(exported, key=load_public_key(made.path / "keys" / "receipt.pub")) == {2}
    made.close()


def test_an_open_attempt_is_closed_before_keys_change(tmp_path: Path) -> None:
    made = StoredLog(tmp_path)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    made.read_again()
    intent = made.announce()
    with pytest.raises(StateError, match="no receipt yet"):
        rotate_key(made.log, made.path, ROOT, "", NOW)
    with pytest.raises(StateError, match="no receipt yet"):
        revoke_key(made.log, ROOT, made.log.authority.reigns[0].keyid, "", NOW)
    made.abort(intent)
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.close()
    assert read_authority(tmp_path)[1] == 4


def test_a_rotated_log_verifies_as_a_file_under_its_first_key_only(tmp_path: Path) -> None:
    made = rotated(StoredLog(tmp_path / "state"))
    exported = tmp_path / "all.jsonl"
    exported.write_bytes(b"".join(row.envelope + b"\n" for row in made.log._store.rows()))
    made.close()
    assert failures(exported, key=load_public_key(made.path / "keys" / "receipt.pub")) == set()
    (second,) = (made.path / "keys").glob("receipt-*.pub")
    (bad,) = failed(exported, key=load_public_key(second))
    assert bad.number == 2
    assert "came by a rotation" in bad.detail
    assert failures(exported) == set()


def test_readers_see_keys_among_the_attempts(tmp_path: Path) -> None:
    rotated(StoredLog(tmp_path)).close()
    entries = read_entries(tmp_path)
    assert [entry.index for entry in entries] == list(range(8))
    assert [entry.index for entry in entries if entry.key is not None] == [2, 5]
    assert find_entry(entries, "2").kind == "key"
    assert find_entry(entries, "6").intent is not None


def test_a_removed_key_entry_is_noticed(tmp_path: Path) -> None:
    made = rotated(StoredLog(tmp_path / "state"))
    rows = [row.envelope for row in made.log._store.rows()]
    made.close()
    exported = tmp_path / "cut.jsonl"
    exported.write_bytes(b"".join(entry + b"\n" for entry in [*rows[:5], *rows[6:]]))
    assert {2, 3} <= failures(exported, key=load_public_key(made.path / "keys" / "receipt.pub"))


def test_a_lost_successor_is_not_replaced_in_silence(tmp_path: Path) -> None:
    made = rotated(StoredLog(tmp_path / "state"))
    made.close()
    for path in (made.path / "keys").glob("receipt-*.pem"):
        path.unlink()
    with pytest.raises(StateError, match="missing"):
        ReceiptLog.open(made.path)
    shutil.rmtree(made.path)


def test_a_key_whose_id_is_another_ones_is_refused() -> None:
    from cryoflux.receipts.key_statement import public_key_of

    said = PublicKey.of(ROOT.public_key()).but(keyid="0" * 64)
    with pytest.raises(VerificationError, match="another id"):
        public_key_of(said)


def test_an_old_rotation_cannot_be_hidden_from_an_opening(tmp_path: Path) -> None:
    made = StoredLog(tmp_path / "state")
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    retired = (made.path / "keys" / "receipt.pem").read_bytes()
    rotate_key(made.log, made.path, ROOT, "stolen", NOW)
    made.read_again()
    for _ in range(135):
        made.abort(made.announce())
    made.close()
    ReceiptLog.open(made.path).close()
    (made.path / "keys" / "receipt.pem").write_bytes(retired)
    (made.path / "keys" / "receipt.pem").chmod(0o600)
    connection = sqlite3.connect(made.path / "receipts.db", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE entries SET kind = 'intent' WHERE idx = 1")
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()
    with pytest.raises(StateTamperedError, match="not by the expected"):
        ReceiptLog.open(made.path)
