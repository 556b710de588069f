"""What the verifier remembers of a log is made to stand against that log; and the way out of it.

Beside each stands what looks alike and is innocent: a restored backup, an older version's memory, an old log.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryoflux.claims.check import check_claim
from cryoflux.claims.document import Carrier, format_claim, parse_claim
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, parse_note, sign_checkpoint
from cryoflux.receipts.key_statement import PublicKey
from cryoflux.signing.envelope import CLAIM_PAYLOAD, sign_document
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.binding import Binding
from cryoflux.verification.remembered import recall, remember, remembered_logs
from cryoflux.verification.result import Report, Status
from cryoflux.verification.verified import Trust
from log_keys import THIEF, copied, head_signed_by, sign_head_anew
from running import exit_code_of as run
from signed_log import SignedLog
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target


def said(report: Report) -> list[tuple[Status, str]]:
    return [(check.status, check.detail) for check in report.checks if check.number == 13]


def origin(state: Path) -> str:
    return origin_of(load_public_key(state / "keys" / "receipt.pub"))


def taken_by_an_older_version(heads: Path, note: bytes) -> None:
    """The head alone, as it was remembered before log keys were asked for."""
    log = SignedLog(origin=parse_note(note).checkpoint.origin)
    remember(heads, log.note(1), log.vkey, Binding.NAMED, datetime(2026, 11, 1, tzinfo=UTC))
    (file,) = heads.iterdir()
    file.write_bytes(note)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads"


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.attempt(0.05)
    return found


def test_a_cut_log_under_a_foreign_key_is_not_remembered_in_the_name_of_the_honest_one(
    made: SyntheticState, tmp_path: Path, heads: Path
) -> None:
    short = sign_head_anew(copied(made.path, tmp_path / "cut"))
    made.attempt(0.02)
    state = made.finish()
    key = load_public_key(state / "keys" / "receipt.pub")
    assert not verify_target(short, key=key, heads=heads).ok
    assert remembered_logs(heads) == []
    assert verify_target(state, key=key, heads=heads).ok
    assert not verify_target(short, key=key, heads=heads).ok
    assert said(verify_target(state, key=key, heads=heads)) == [
        (Status.OK, "begins with the 4 entries that were seen before")
    ]


def test_of_an_old_log_nothing_is_remembered_and_that_is_said(tmp_path: Path, heads: Path) -> None:
    old = make_state(tmp_path / "old", old=True).path
    stranger = sign_head_anew(copied(old, tmp_path / "copy"))
    for state in (stranger, old):
        report = verify_target(state, heads=heads)
        assert report.ok
        assert said(report) == [(Status.UNKNOWN, "is not remembered: nothing vouches for its log key")]
        assert not heads.exists()  # what it had come to is not kept either


def test_an_old_log_is_remembered_by_the_key_that_was_named_and_then_stands_against_another(
    tmp_path: Path, heads: Path
) -> None:
    old = make_state(tmp_path / "old", old=True).path
    stranger = sign_head_anew(copied(old, tmp_path / "copy"))
    own = load_public_key(old / "keys" / "log.pub")
    assert said(verify_target(old, heads=heads, log_key=own)) == []
    ((status, detail),) = said(verify_target(stranger, heads=heads))
    assert status is Status.FAIL
    assert "was signed by the key that you named then, and this log has another" in detail
    (kept,) = remembered_logs(heads)
    assert kept.head is not None
    assert (kept.head.binding, kept.head.point.size) == (Binding.NAMED, 8)
    # innocent: the same log, without the key named once more
    assert said(verify_target(old, heads=heads)) == [
        (Status.OK, "begins with the 8 entries that were seen before")
    ]


@pytest.mark.parametrize("trust", [Trust.JUDGED, Trust.READ])
def test_entries_that_are_taken_from_memory_bring_the_key_that_their_first_one_vouches_for(
    made: SyntheticState, heads: Path, trust: Trust
) -> None:
    assert verify_target(made.path, heads=heads).ok
    made.attempt(0.02)
    state = made.finish()
    report = verify_target(state, heads=heads, trust=trust)
    assert (report.ok, report.remembered) == (True, 2)
    assert not [check for check in report.checks if check.status is Status.UNKNOWN and check.number == 4]
    sign_head_anew(state)
    bad = [c for c in verify_target(state, heads=heads, trust=trust).checks if c.status is Status.FAIL]
    assert [(check.number, check.subject) for check in bad] == [(4, "log key"), (13, "remembered head")]


def test_what_an_older_version_took_of_a_cut_log_does_not_stand_against_the_honest_one(
    made: SyntheticState, heads: Path
) -> None:
    taken_by_an_older_version(heads, head_signed_by(made.path))
    made.attempt(0.02)
    state = made.finish()
    report = verify_target(state, heads=heads)
    assert report.ok
    assert said(report) == [(Status.OK, "begins with the 2 entries that were seen before")]
    healed = recall(heads, origin(state))
    assert healed is not None
    assert (healed.point.size, healed.binding) == (4, Binding.ENTRY)


def test_what_an_older_version_took_of_an_old_log_under_two_keys_is_a_question(
    tmp_path: Path, heads: Path
) -> None:
    old = make_state(tmp_path / "old", old=True).path
    taken_by_an_older_version(heads, head_signed_by(old))
    assert verify_target(old, heads=heads).ok
    question = "was signed by another key than this log has now, and nothing vouches for either"
    asked = (Status.UNKNOWN, f"{question}: name the log's with --log-key FILE")
    assert asked in said(verify_target(old, heads=heads))
    own = load_public_key(old / "keys" / "log.pub")
    assert said(verify_target(old, heads=heads, log_key=own)) == [
        (Status.OK, "begins with the 8 entries that were seen before")
    ]


def poisoned(made: SyntheticState, heads: Path) -> Path:
    """A state, and a head that an older version took in its name, of entries that it never had."""
    state = made.finish()
    point = Checkpoint(origin(state), 12, b"\7" * 32)
    taken_by_an_older_version(heads, sign_checkpoint(point, THIEF))
    return state


def test_a_head_of_entries_that_the_log_never_had_convicts_nobody_and_names_the_way_out(
    made: SyntheticState, heads: Path
) -> None:
    state = poisoned(made, heads)
    report = verify_target(state, heads=heads)
    ((status, detail),) = said(report)
    assert status is Status.FAIL
    assert "which shows nothing against this log unless that key was its own" in detail
    assert f"cryoflux memory forget {origin(state)} begins anew" in detail
    assert list(heads.glob("*.equivocation")) == []


def test_what_is_forgotten_is_said_before_and_nothing_else_goes(
    made: SyntheticState,
    tmp_path: Path,
    heads: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, other = poisoned(made, heads), make_state(tmp_path / "other").path
    assert verify_target(other, heads=heads).ok
    name = origin(state)
    assert run(monkeypatch, "memory", "forget", name, "--heads", heads) == 2
    shown = capsys.readouterr()
    assert f"{name}\n  head      12 entries, root 0707070707070707…" in shown.out
    assert "nothing vouches for its log key: an older version remembered it" in shown.out
    assert "nobody can be asked" in shown.err
    assert {log.origin for log in remembered_logs(heads)} == {name, origin(other)}

    assert run(monkeypatch, "memory", "forget", name, "--heads", heads, "--yes", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["head"]["size"] == 12
    assert [Path(path).parent for path in document["removed"]] == [heads]
    assert verify_target(state, heads=heads).ok
    assert run(monkeypatch, "memory", "list", "--heads", heads, "--json") == 0
    logs = json.loads(capsys.readouterr().out)["logs"]
    assert {log["origin"]: log["head"]["binding"] for log in logs} == {
        name: "first-entry",
        origin(other): "first-entry",
    }
    assert all(log["verified"]["at"] for log in logs)
    assert run(monkeypatch, "memory", "forget", "cryoflux.dev/0", "--heads", heads, "--yes") == 2


def test_a_restored_backup_is_named_first_and_its_evidence_survives_forgetting(
    made: SyntheticState,
    tmp_path: Path,
    heads: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    twin = made.fork(tmp_path / "twin")
    backup = shutil.copytree(made.path, tmp_path / "backup", symlinks=True)
    made.attempt(0.02)
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    assert "a restored backup or a copied state does that" in said(verify_target(backup, heads=heads))[0][1]
    twin.attempt(0.03)
    twin.finish()
    assert "this is another history" in said(verify_target(twin.path, heads=heads))[0][1]
    (evidence,) = heads.glob("*.equivocation")
    assert run(monkeypatch, "memory", "forget", origin(state), "--heads", heads, "--yes") == 0
    assert "forgotten: the next verification compares with nothing; the evidence is kept" in (
        capsys.readouterr().out
    )
    assert list(heads.iterdir()) == [evidence]
    assert verify_target(backup, heads=heads).ok


def test_a_damaged_memory_can_be_forgotten(
    made: SyntheticState, heads: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    (file,) = (path for path in heads.iterdir() if path.suffix != ".verified")
    file.write_bytes(file.read_bytes()[:-9])
    assert "cryoflux memory forget" in said(verify_target(state, heads=heads))[0][1]
    assert run(monkeypatch, "memory", "forget", origin(state), "--heads", heads, "--yes") == 0
    assert "which is damaged" in capsys.readouterr().out
    assert verify_target(state, heads=heads).ok


def claimed_under(content: bytes, state: Path, note: bytes) -> bytes:
    """The claim with its head signed by the thief, by an owner who has the receipt key."""
    claim = parse_claim(content)
    said = claim.predicate.but(log_key=PublicKey.of(THIEF.public_key()))
    signer = load_key(state / "keys", "receipt", create=False)
    envelope = sign_document(claim.statement.but(predicate=said), signer, CLAIM_PAYLOAD)
    return format_claim(envelope, note, Carrier(**json.loads(content)["evidence"]))


def test_a_claim_under_a_foreign_key_is_not_remembered_and_a_part_of_one_is_held_to_what_was_seen(
    made: SyntheticState, heads: Path
) -> None:
    made.abort(made.announce())
    state = made.finish()
    note = head_signed_by(state)
    whole = claimed_under(make_claim(state, "kept == 1").content, state, note)
    part_content = make_claim(state, "aborted == 1", ClaimScope(last=1)).content
    part = claimed_under(part_content, state, note)
    key = load_public_key(state / "keys" / "receipt.pub")

    def complaints(content: bytes, status: Status = Status.FAIL) -> list[tuple[int, str]]:
        checks = check_claim(content, Path("claim.json"), key=key, heads=heads).report.checks
        return [(check.number, check.subject) for check in checks if check.status is status]

    assert complaints(whole) == [(4, "log key")]
    assert not heads.exists()
    assert (4, "log key") in complaints(part, Status.UNKNOWN)
    assert complaints(part) == []
    assert verify_target(state, heads=heads).ok
    assert complaints(part) == [(13, "signed head")]
    assert complaints(part_content) == []  # the honest one, whose key is not named either
