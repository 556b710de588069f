from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.claims.check import check_claim
from cryoflux.claims.document import MAX_CLAIM_BYTES, parse_claim
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.claims.report import ClaimReport
from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.receipts.checkpoint import cosign, parse_note, with_signatures
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.receipts.statement import Outcome, Training
from cryoflux.signing.keys import key_id, load_public_key
from cryoflux.tasks.lora.section import SECTIONS
from cryoflux.verification.result import Knowledge, Status
from synthetic_parts import figure, training
from synthetic_state import SyntheticState, open_state

ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
NOW = "2026-11-23T02:00:00Z"
TRUE = "delta >= 0.05 and joules <= 440 and kept == 2 and tier == modelled"


def checked(content: bytes, **options: object) -> ClaimReport:
    return check_claim(content, Path("claim.json"), sections=SECTIONS, **options)


def failures(report: ClaimReport) -> list[str]:
    return [f"{c.subject}: {c.detail}" for c in report.report.checks if c.status is Status.FAIL]


def still_open(report: ClaimReport) -> str:
    return "; ".join(c.detail for c in report.report.checks if c.status is Status.UNKNOWN)


def keys_of(state: Path) -> dict[str, object]:
    folder = state / "keys"
    return {"key": load_public_key(folder / "receipt.pub"), "log_key": load_public_key(folder / "log.pub")}


def test_a_true_claim_holds_for_a_stranger(pristine: SyntheticState) -> None:
    made = make_claim(pristine.path, TRUE)
    report = checked(made.content, **keys_of(pristine.path))
    assert report.ok
    assert report.whole
    assert report.report.pinned
    assert still_open(report) == ""
    assert len(made.content) < 10_000
    assert [judged.holds for judged in report.judged] == [True] * 4


def test_what_rests_on_joules_is_attested_and_the_rest_is_arithmetic(pristine: SyntheticState) -> None:
    report = checked(make_claim(pristine.path, TRUE).content)
    known = {c.detail.split(" ")[0]: c.knowledge for c in report.report.checks if c.number == 22}
    assert known == {
        "delta": Knowledge.PROVEN,
        "joules": Knowledge.ATTESTED,
        "kept": Knowledge.PROVEN,
        "tier": Knowledge.ATTESTED,
    }


def test_without_a_key_the_owner_is_an_open_question(pristine: SyntheticState) -> None:
    report = checked(make_claim(pristine.path, TRUE).content)
    assert report.ok
    assert not report.report.pinned
    assert "name it with --key" in still_open(report)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("delta >= 5", r"delta is ≈ 0\.076890625 nats"),
        ("joules <= 400", "joules is at most 440 J"),
        ("joules >= 400", "joules is at least 360 J"),
        ("kept >= 1 and attempts <= 3", "attempts is 4"),
        ("tier == counter", "tier is modelled"),
        ("joules <= 439.999999999999", "joules is at most 440 J"),
    ],
)
def test_a_false_claim_cannot_be_made_and_the_real_value_is_said(
    pristine: SyntheticState, text: str, value: str
) -> None:
    with pytest.raises(VerificationError, match=value) as refused:
        make_claim(pristine.path, text)
    assert int(refused.value.exit_code) == 1


def test_a_part_of_the_log_says_what_it_cannot_show(pristine: SyntheticState) -> None:
    made = make_claim(pristine.path, "kept == 1 and attempts == 2 and joules <= 220", ClaimScope(last=2))
    report = checked(made.content, **keys_of(pristine.path))
    assert report.ok
    assert (report.first, report.end, report.whole) == (4, 8, False)
    assert "entries 4 to 7 of 8: whoever claims chose" in still_open(report)
    assert "how often the holdout was used before is not here" in still_open(report)
    assert "follow from earlier entries, which are not here" in still_open(report)
    assert parse_claim(made.content).hashes


@pytest.mark.parametrize(
    ("scope", "attempts"),
    [(ClaimScope(end=4), 2), (ClaimScope(2, 6), 2), (ClaimScope(6), 1), (ClaimScope(0, 6, last=1), 1)],
)
def test_ranges_of_whole_attempts_can_be_claimed(
    pristine: SyntheticState, scope: ClaimScope, attempts: int
) -> None:
    assert checked(make_claim(pristine.path, f"attempts == {attempts}", scope).content).ok


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (ClaimScope(1), "within an attempt"),
        (ClaimScope(end=3), "within an attempt"),
        (ClaimScope(end=9), "no range"),
        (ClaimScope(8), "no range"),
        (ClaimScope(4, 4), "no range"),
        (ClaimScope(last=5), "has 4 attempts, not 5"),
        (ClaimScope(witnessed=True), "has no log/witnessed"),
    ],
)
def test_other_ranges_are_refused(pristine: SyntheticState, scope: ClaimScope, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_claim(pristine.path, "attempts >= 0", scope)


def test_an_attempt_in_progress_is_not_left_out_in_silence(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.announce()
    made.finish()
    with pytest.raises(UsageError, match="within an attempt") as refused:
        make_claim(made.path, "kept == 1")
    assert "--to 1" in refused.value.hint
    report = checked(make_claim(made.path, "kept == 1", ClaimScope(end=2)).content)
    assert report.ok
    assert "entries 0 to 1 of 3" in still_open(report)


def rotated(path: Path) -> SyntheticState:
    made = open_state(path)
    made.attempt(0.05)
    enrol_root(made.log, path, ROOT.public_key(), NOW)
    made.attempt(0.0005)
    rotate_key(made.log, path, ROOT, "a new machine", NOW)
    made.attempt(0.02)
    return made


@pytest.mark.parametrize("scope", [ClaimScope(), ClaimScope(last=1), ClaimScope(last=2), ClaimScope(0, 3)])
def test_after_a_rotation_the_new_key_claims_and_the_first_one_pins(
    tmp_path: Path, scope: ClaimScope
) -> None:
    made = rotated(tmp_path / "state")
    made.finish()
    claim = make_claim(made.path, "kept >= 1", scope)
    report = checked(claim.content, **keys_of(made.path))
    assert failures(report) == []
    assert parse_claim(claim.content).signed.keyid != key_id(keys_of(made.path)["key"])


def test_nobody_claims_under_a_revoked_key(tmp_path: Path) -> None:
    made = rotated(tmp_path / "state")
    reign = made.log.authority.reigns[-1].keyid
    revoke_key(made.log, ROOT, reign, "lost", NOW)
    made.finish()
    with pytest.raises(StateError, match="revoked"):
        make_claim(made.path, "kept >= 1")


def test_a_log_that_does_not_verify_gives_no_claim(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(lo_microjoules=100_000_001))
    made.finish()
    with pytest.raises(StateTamperedError, match="outside their own interval"):
        make_claim(made.path, "kept >= 1")


def test_a_last_cosigned_head_can_be_claimed_about(state: Path) -> None:
    note = (state / "log" / "checkpoint").read_bytes()
    witness = Ed25519PrivateKey.generate()
    line = cosign(parse_note(note).checkpoint, "witness.example/a", witness, 1_800_000_000)
    (state / "log" / "witnessed").write_bytes(with_signatures(note, [line]))
    claim = make_claim(state, "kept == 2", ClaimScope(witnessed=True))
    assert len(parse_note(parse_claim(claim.content).checkpoint).signatures) == 2


def noisy(number: int) -> Training:
    """Training that names many modules which no other receipt names, so that nothing compresses it."""
    return training(modules=[_random(number, index) for index in range(300)])


def _random(number: int, index: int) -> str:
    key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(16, "big") + index.to_bytes(16, "big"))
    return key.sign(b"noise").hex()


def test_a_claim_that_would_be_too_large_is_refused_and_never_truncated(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"  # it never reaches a plateau
    for number in range(10):
        made.attempt(0.0005, training=noisy(number))
    made.finish()
    with pytest.raises(UsageError, match=f"a claim has {MAX_CLAIM_BYTES}") as refused:
        make_claim(made.path, "attempts == 10")
    assert "cryoflux receipts bundle" in refused.value.hint
    last = int(refused.value.hint.split("--last ")[1].split(",")[0])
    narrowed = make_claim(made.path, f"attempts == {last}", ClaimScope(last=last))
    assert len(narrowed.content) <= MAX_CLAIM_BYTES


def test_the_file_is_a_dsse_envelope_about_the_head(pristine: SyntheticState) -> None:
    document = json.loads(make_claim(pristine.path, "kept == 2").content)
    assert document["payloadType"] == "application/vnd.cryoflux.claim+json"
    assert set(document) == {"payload", "payloadType", "signatures", "checkpoint", "evidence"}


def test_aborted_attempts_cost_joules_too(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    for _ in range(3):
        made.abort(made.announce(), outcome=Outcome.ABORTED)
    made.finish()
    with pytest.raises(VerificationError, match="at most 330 J"):
        make_claim(made.path, "joules <= 300")
    assert make_claim(made.path, "joules <= 330 and aborted == 3 and delta == 0").report.ok
