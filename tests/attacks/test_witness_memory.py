"""A witness's key comes apart from its memory: then it would cosign a second history of every log.

Beside each stands what looks alike and is innocent: a witness that was killed early, an older version's
memory, a copy of the folder, a clock that was set back.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateError
from cryoflux.receipts.checkpoint import VerifierKey, cosigned_at, parse_note
from cryoflux.witness.service import open_witness
from signed_log import OpenWitness, SignedLog

LOG = SignedLog()
FORK = SignedLog("b", forked_at=2)


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    found = OpenWitness(tmp_path / "w")
    assert found.add(LOG.submission(0, 9)).status == 200
    return found


def refused(folder: Path) -> str:
    with pytest.raises(StateError) as error:
        open_witness(folder, logs=[LOG.vkey])
    return error.value.what


def without_owner(folder: Path) -> None:
    """The memory as the first version made it, which did not name its witness."""
    with closing(sqlite3.connect(folder / "witness.db")) as database:
        database.execute("DROP TABLE IF EXISTS witness")
        database.execute("PRAGMA user_version=1")
        database.execute("PRAGMA journal_mode=WAL")


def test_a_key_beside_an_empty_memory_is_not_used(watched: OpenWitness) -> None:
    watched.heads.close()
    for path in watched.folder.glob("witness.db*"):
        path.unlink()
    (watched.folder / "witness.db").touch()
    assert "not its memory witness.db, or an empty one" in refused(watched.folder)


def test_nor_beside_the_memory_of_another_witness(watched: OpenWitness, tmp_path: Path) -> None:
    other = OpenWitness(tmp_path / "other")
    for found in (watched, other):
        found.heads.close()
    shutil.copy(other.folder / "witness.db", watched.folder)
    assert f"the memory of another witness: {other.vkey}" in refused(watched.folder)


def test_the_one_file_that_is_kept_holds_all_that_was_cosigned(watched: OpenWitness, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(watched.folder / "keys", backup / "keys")
    shutil.copy(watched.folder / "witness.db", backup)  # while it runs
    assert [path.name for path in watched.folder.glob("witness.db*")] == ["witness.db"]
    restored = OpenWitness(backup)
    assert restored.vkey == watched.vkey
    assert restored.add(FORK.submission(0, 9)).status == 409


def test_a_witness_that_was_killed_before_its_first_head_goes_on(tmp_path: Path) -> None:
    first = OpenWitness(tmp_path)
    key = first.vkey
    first.reopen()
    assert first.vkey == key
    first.heads.close()
    without_owner(tmp_path)  # killed between its key and its name in the memory
    first.reopen()
    assert first.vkey == key
    assert first.add(LOG.submission(0, 3)).status == 200


def test_a_memory_of_the_first_version_is_taken_over(watched: OpenWitness) -> None:
    watched.heads.close()
    without_owner(watched.folder)
    watched.reopen()
    assert watched.add(FORK.submission(0, 9)).status == 409
    assert watched.add(LOG.submission(9, 12)).status == 200
    assert [path.name for path in watched.folder.glob("witness.db*")] == ["witness.db"]


def test_one_key_does_not_cosign_under_two_names(tmp_path: Path) -> None:
    witness, heads = open_witness(tmp_path, name="witness.example/a", logs=[LOG.vkey])
    heads.close()
    with pytest.raises(StateError, match=r"is called witness\.example/a, not witness\.example/b"):
        open_witness(tmp_path, name="witness.example/b", logs=[LOG.vkey])
    again, heads = open_witness(tmp_path, logs=[LOG.vkey])  # the name is known without being told again
    heads.close()
    assert again.key == witness.key


@pytest.mark.parametrize("now_s", [1_690_000_000.0, 0.5, -5.0])
def test_a_clock_that_was_set_back_does_not_date_a_larger_head_before_a_smaller(
    watched: OpenWitness, now_s: float
) -> None:
    before_s = int(watched.clock.now_s)
    watched.clock.now_s = now_s
    reply = watched.add(LOG.submission(9, 12))
    assert reply.status == 200
    assert cosigned_at(parse_note(LOG.note(12) + reply.body), watched.vkey) == before_s


@pytest.mark.parametrize("now_s", [0.5, -5.0])
def test_a_clock_before_1970_cosigns_nothing_and_harms_no_monitor(tmp_path: Path, now_s: float) -> None:
    watched = OpenWitness(tmp_path)
    watched.clock.now_s = now_s
    assert watched.add(LOG.submission(0, 5)).status == 503
    assert (watched.witness.heads("").status, watched.witness.heads("").body) == (200, b"")
    watched.clock.now_s = 1_700_000_000.0  # innocent: it was only not set yet
    assert watched.add(LOG.submission(0, 5)).status == 200


def test_a_head_that_an_older_version_stored_without_a_time_hides_no_other(watched: OpenWitness) -> None:
    other = SignedLog(origin="log.example/2")
    watched.logs.append(other.vkey)
    watched.reopen()
    watched.add(other.submission(0, 4))
    with watched.heads.turn() as turn:
        turn.execute("UPDATE heads SET time_s = -5 WHERE origin = ?", (other.origin,))
    assert watched.witness.heads("").body.startswith(LOG.note(9))


@pytest.fixture
def two_keys(tmp_path: Path) -> tuple[OpenWitness, SignedLog]:
    second = SignedLog(key=Ed25519PrivateKey.from_private_bytes(b"2" * 32))
    return OpenWitness(tmp_path / "w", logs=[LOG.vkey, second.vkey]), second


def signed_by(size: int, *logs: SignedLog, spoilt: VerifierKey | None = None) -> bytes:
    lines = [line for log in logs for line in log.head(size).signatures]
    point = LOG.head(size).checkpoint
    content = point.text + b"\n"
    for line in lines:
        bad = spoilt is not None and line.key_id == spoilt.id
        signature = bytes(64) if bad else line.signature
        content += type(line)(line.name, line.key_id, signature).line
    return content


def submitted(old: int, note: bytes) -> bytes:
    return b"old %d\n\n" % old + note


def test_a_note_with_one_bad_signature_of_a_listed_key_is_malformed(
    two_keys: tuple[OpenWitness, SignedLog],
) -> None:
    watched, second = two_keys
    for spoilt in (LOG.vkey, second.vkey):
        note = signed_by(5, LOG, second, spoilt=spoilt)
        assert watched.add(submitted(0, note)).status == 403


def test_what_both_keys_of_a_log_signed_is_kept_for_monitors_who_know_one(
    two_keys: tuple[OpenWitness, SignedLog],
) -> None:
    watched, second = two_keys
    stranger = SignedLog("z", key=Ed25519PrivateKey.from_private_bytes(b"3" * 32))
    note = signed_by(5, LOG, second)
    assert watched.add(submitted(0, signed_by(5, stranger, LOG, second))).status == 200
    (shown,) = [watched.witness.heads("").body]
    assert shown.startswith(note)
    assert len(parse_note(shown).signatures) == 3
    # innocent: the log changed its key, and signs with the new one alone
    assert watched.add(submitted(5, signed_by(5, second))).status == 200
