"""The head of a log is signed by a key that is not the log's; whoever does it has no receipt key.

Beside each stands what looks alike and is innocent: a lost key file, a log from before entries vouched.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_forked_states import NOW, forked, gone_on, lying, parent_of

from cryoflux.errors import StateError, StateTamperedError, VerificationError
from cryoflux.receipts import log as log_module
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.log_key import LOG_KEY_SUBJECT, vouched_log_key
from cryoflux.receipts.proof import check_proof, prove
from cryoflux.receipts.rotation import enrol_root
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.runs import fork as forking
from cryoflux.runs.fork import fork_state
from cryoflux.runs.fork_source import ForkSource
from cryoflux.signing.keys import key_id, load_key, load_public_key, public_pem
from cryoflux.verification.binding import LogKey
from cryoflux.verification.result import Check, Status
from log_keys import THIEF, copied, sign_head_anew
from plain_log import StoredLog
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target


def of(state: Path, status: Status = Status.FAIL, **options: object) -> list[tuple[int, str, str]]:
    checks: tuple[Check, ...] = verify_target(state, **options).checks
    return [(check.number, check.subject, check.detail) for check in checks if check.status is status]


def public(state: Path, name: str) -> object:
    return load_public_key(state / "keys" / f"{name}.pub")


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.attempt(0.05)
    return found


def cut(made: SyntheticState, place: Path) -> Path:
    """The first attempt, as a stranger had it before twelve more entries came."""
    copy = copied(made.path, place)
    for _ in range(6):
        made.abort(made.announce())
    made.finish()
    return sign_head_anew(copy)


def test_a_log_that_was_cut_under_a_key_of_ones_own_does_not_verify(
    made: SyntheticState, tmp_path: Path
) -> None:
    short = cut(made, tmp_path / "cut")
    ((number, subject, detail),) = of(short, key=public(made.path, "receipt"))
    assert (number, subject) == (4, "log key")
    assert detail.startswith("is not the one that the first entry vouches for")
    assert of(made.path, key=public(made.path, "receipt")) == []


def test_it_passes_once_this_defence_is_taken_out(
    made: SyntheticState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = cut(made, tmp_path / "cut")
    monkeypatch.setattr(LogKey, "findings", lambda *_, **__: iter(()))
    assert of(short, key=public(made.path, "receipt")) == []


def test_naming_the_log_key_finds_it_too_and_naming_the_wrong_one_fails_an_honest_log(
    made: SyntheticState, tmp_path: Path
) -> None:
    short = cut(made, tmp_path / "cut")
    named = of(short, log_key=public(made.path, "log"))
    assert [(number, subject) for number, subject, _ in named] == [(4, "log/checkpoint")]
    assert (4, "log key") in [
        (number, subject) for number, subject, _ in of(made.path, log_key=THIEF.public_key())
    ]


def test_a_later_entry_cannot_vouch_for_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = StoredLog(tmp_path / "state")
    stored.announce()
    other = Subject(name=LOG_KEY_SUBJECT, digest=Sha256Digest(sha256=key_id(THIEF.public_key())))
    (first,) = stored.entries

    def build(sequence: int, prev: str) -> object:
        said = first.statement.predicate.but(sequence=sequence, prev=prev)
        return first.statement.but(subject=[first.statement.subject[0], other], predicate=said)

    with pytest.raises(VerificationError, match="which only the first entry of a log can"):
        stored.append(build)
    monkeypatch.setattr(log_module, "log_key_complaint", lambda _: "")
    stored.append(build)
    monkeypatch.undo()
    second = (4, "vouches for a log key, which only the first entry of a log can")
    assert second in [(number, detail) for number, _, detail in of(stored.close())]
    with pytest.raises(StateTamperedError, match="only the first entry"):
        ReceiptLog.open(stored.path)
    found = [(number, detail) for number, _, detail in of(sign_head_anew(stored.path))]
    assert second in found
    assert any(number == 4 and "is not the one that the first entry" in detail for number, detail in found)


def forging_keys(state: Path) -> ReceiptLog:
    """Open the log with a private log key that fits its public one."""
    for name in ("log.pem", "log.pub"):
        (state / "keys" / name).unlink()
    load_key(state / "keys", "log", create=True)
    own = load_key(state / "keys", "log", create=False)
    sign_head_anew(state, own)
    return ReceiptLog.open(state)


def test_nothing_is_added_to_a_log_whose_key_was_replaced(made: SyntheticState) -> None:
    with pytest.raises(StateTamperedError, match="the first entry vouches for"):
        forging_keys(made.finish())


@pytest.mark.parametrize("kind", ["intent", "session", "root"])
def test_the_first_entry_vouches_whatever_it_is_about(tmp_path: Path, kind: str) -> None:
    stored = StoredLog(tmp_path / "state")
    match kind:
        case "intent":
            stored.announce()
        case "session":
            stored.heads["lora_delta"] = stored.head("lora_delta")
            stored.session()
        case "root":
            root = Ed25519PrivateKey.generate().public_key()
            enrol_root(stored.log, stored.path, root, "2026-11-24T01:00:00Z")
    stored.close()
    (first,) = ReceiptLog.open(stored.path).entries()
    assert first.kind.value == {"root": "key"}.get(kind, kind)
    assert vouched_log_key(first) == key_id(public(stored.path, "log"))
    asked = of(stored.path, Status.UNKNOWN)
    assert not [detail for number, _, detail in asked if number == 4]
    before = {number for number, _, _ in of(stored.path)}
    assert {number for number, _, _ in of(sign_head_anew(stored.path))} == before | {4}


def test_a_fork_vouches_for_its_own_key_and_names_the_one_that_its_parent_vouches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(tmp_path)
    good = forked(parent, tmp_path / "good").finish()
    assert of(good, parent=str(parent.path)) == []
    (entry,) = ReceiptLog.open(good).entries()
    assert vouched_log_key(entry) == key_id(public(good, "log"))
    assert (4, "log key") in [found[:2] for found in of(sign_head_anew(copied(good, tmp_path / "copy")))]

    # The owner of the fork shows a parent under a head of their own, and a log of it under the same key.
    parent.finish()
    shown = sign_head_anew(copied(parent.path, tmp_path / "shown"))
    honest = forking.read_source

    def read(path: Path) -> ForkSource:
        note = (shown / "log" / "checkpoint").read_bytes()
        return replace(honest(path), note=note, log_key=THIEF.public_key(), signer=None)

    with lying(monkeypatch, forking, "read_source", read):
        fork_state(parent.path, tmp_path / "bad", NOW)
    bad = gone_on(parent, tmp_path / "bad").finish()
    complaints = [detail for number, _, detail in of(bad, parent=str(shown)) if number == 16]
    assert complaints == [
        "names another log key of its parent than the one that the parent's first entry vouches for"
    ]


def test_a_proof_of_the_first_entry_is_not_under_another_head(made: SyntheticState) -> None:
    state = made.finish()
    key = public(state, "receipt")
    assert check_proof(prove(state, 0), key, public(state, "log")).index == 0
    sign_head_anew(state)
    with pytest.raises(VerificationError, match="not the one that the first entry vouches for"):
        check_proof(prove(state, 0), key, THIEF.public_key())


def test_a_file_of_receipts_says_which_log_key_is_its_own(made: SyntheticState, tmp_path: Path) -> None:
    exported = tmp_path / "receipts.jsonl"
    exported.write_bytes(b"".join(entry.envelope + b"\n" for entry in made.entries))
    own = public(made.finish(), "log")
    assert of(exported, log_key=own) == of(exported) == []
    assert [found[:2] for found in of(exported, log_key=THIEF.public_key())] == [(4, "log key")]


# The innocent, who are not accused.


def test_a_log_that_is_older_than_that_leaves_a_question_which_naming_its_key_answers(tmp_path: Path) -> None:
    old = make_state(tmp_path / "state", old=True).path
    assert of(old) == []
    ((_, subject, detail),) = [one for one in of(old, Status.UNKNOWN) if one[0] == 4]
    assert subject == "log key"
    assert "nothing vouches for it" in detail
    assert "--log-key FILE" in detail
    assert [one for one in of(old, Status.UNKNOWN, log_key=public(old, "log")) if one[0] == 4] == []
    cut_copy = sign_head_anew(copied(old, tmp_path / "copy"))
    assert of(cut_copy, log_key=public(old, "log")) != []


def test_a_lost_log_key_file_can_be_named(made: SyntheticState, tmp_path: Path) -> None:
    state = made.finish()
    kept = tmp_path / "log.pub"
    shutil.move(state / "keys" / "log.pub", kept)
    ((_, subject, detail),) = of(state)
    assert (subject, "name the log's key with --log-key FILE" in detail) == ("log/checkpoint", True)
    report = verify_target(state, log_key=load_public_key(kept))
    assert report.ok
    assert not [check for check in report.checks if check.number == 4 and check.status is Status.UNKNOWN]


def test_a_lost_private_log_key_ends_the_log_and_a_fork_goes_on_from_its_head(tmp_path: Path) -> None:
    parent = parent_of(tmp_path)
    parent.finish()
    (parent.path / "keys" / "log.pem").unlink()
    with pytest.raises(StateError, match="is missing"):
        ReceiptLog.open(parent.path)
    assert of(parent.path) == []
    fork_state(parent.path, tmp_path / "fork", NOW)
    assert of(gone_on(parent, tmp_path / "fork").finish(), parent=str(parent.path)) == []


def test_a_restored_backup_verifies(made: SyntheticState, tmp_path: Path) -> None:
    backup = shutil.copytree(made.path, tmp_path / "backup", symlinks=True)
    made.attempt(0.02)
    made.finish()
    assert of(backup) == of(made.path) == []


def test_a_log_key_in_another_spelling_is_the_same_key(made: SyntheticState) -> None:
    state = made.finish()
    path = state / "keys" / "log.pub"
    pem = public_pem(public(state, "log"))
    path.write_bytes(pem.replace(b"\n", b"\r\n"))
    assert of(state) == []
