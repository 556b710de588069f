"""A claim is held to what its reader has seen: a false ✓, and an honest claim that is older than the log.

And a proof of one entry, by the owner of some log, under the name of another.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.claims.check import check_claim
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.claims.report import ClaimReport
from cryoflux.receipts.checkpoint import Checkpoint, parse_note, sign_checkpoint
from cryoflux.receipts.proof import Proof, format_proof, prove
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.result import Status
from running import exit_code_of as run
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target

PART = ClaimScope(last=1)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads"


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.attempt(0.05)
    found.attempt(0.02)
    return found


def claimed(state: Path, scope: ClaimScope | None = None) -> bytes:
    return make_claim(state, "delta >= 0.001", scope or ClaimScope()).content


def checked(content: bytes, state: Path, heads: Path) -> ClaimReport:
    key, log_key = (load_public_key(state / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    return check_claim(content, Path("claim.json"), key=key, log_key=log_key, heads=heads)


def said(found: ClaimReport) -> list[tuple[Status, str]]:
    return [(check.status, check.detail) for check in found.report.checks if check.number == 13]


def test_a_part_of_another_history_is_not_said_to_continue_what_was_seen(
    made: SyntheticState, tmp_path: Path, heads: Path
) -> None:
    twin = made.fork(tmp_path / "twin")
    made.attempt(0.01)
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    for gain in (0.03, 0.02):
        twin.attempt(gain)
    other = twin.finish()
    ((status, detail),) = said(checked(claimed(other, PART), state, heads))
    assert status is Status.UNKNOWN
    assert "a part of the log cannot show that it continues what was seen before" in detail


def test_a_part_under_the_head_that_was_seen_says_so(made: SyntheticState, heads: Path) -> None:
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    assert said(checked(claimed(state, PART), state, heads)) == [
        (Status.OK, "is the head that was seen before")
    ]


def test_an_honest_claim_of_last_week_is_open_once_its_reader_has_seen_more(
    made: SyntheticState, heads: Path
) -> None:
    claims = [claimed(made.path), claimed(made.path, PART)]
    made.attempt(0.03)
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    for content in claims:
        found = checked(content, state, heads)
        ((status, detail),) = said(found)
        assert status is Status.UNKNOWN
        assert "4 of 6 entries: what came later is not in this claim" in detail
        assert "backup" not in detail
        assert any("4 of 6 entries" in text for text in found.report.exceptions)
        assert found.report.ok
    # what is remembered stays the larger head
    assert "begins with the 6 entries" in str(said(checked(claimed(state), state, heads)))


def test_another_history_of_the_same_size_or_larger_still_fails(
    made: SyntheticState, tmp_path: Path, heads: Path
) -> None:
    twin = made.fork(tmp_path / "twin")
    made.attempt(0.01)
    state = made.finish()
    assert verify_target(state, heads=heads).ok
    for _ in range(2):
        twin.attempt(0.03)
        found = checked(claimed(twin.path), state, heads)
        assert not found.report.ok
    twin.finish()


def test_the_owner_of_a_log_key_has_no_entry_in_a_log_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = make_state(tmp_path / "state").path
    keys = ("--key", state / "keys" / "receipt.pub", "--log-key", state / "keys" / "log.pub")
    proof, file = prove(state, 2), tmp_path / "p.tlog-proof"
    head = parse_note(proof.checkpoint).checkpoint
    foreign = Checkpoint("cryoflux.dev/0123456789abcdef", head.size, head.root)
    note = sign_checkpoint(foreign, load_key(state / "keys", "log", create=False))
    file.write_bytes(format_proof(Proof(proof.index, proof.hashes, note, proof.extra)))
    assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"entry 2 of a log that calls itself {foreign.origin}" in words
    assert "nothing here shows that it is one of that log" in words
    assert "later key" not in words
    file.write_bytes(format_proof(proof))  # innocent: the log's own
    assert run(monkeypatch, "receipts", "check-proof", file, *keys) == 0
    assert f"entry 2 of {head.origin}" in " ".join(capsys.readouterr().out.split())
