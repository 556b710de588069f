"""Whoever claims wants a sentence to pass that is not true, or is true of something else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.claims.check import check_claim
from cryoflux.claims.document import (
    MAX_CLAIM_BYTES,
    Carrier,
    ClaimedValue,
    ClaimPredicate,
    format_claim,
    parse_claim,
    subject_of_head,
)
from cryoflux.claims.evidence import outside, pack, unpack
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.claims.report import ClaimReport
from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import KeyType, cosign, parse_note, verifier_key, with_signatures
from cryoflux.receipts.key_statement import PublicKey
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.rotation import enrol_root, rotate_key
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.envelope import CLAIM_PAYLOAD, STATEMENT_PAYLOAD, sign_document
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.result import Status
from cryoflux.verification.witnessing import Demand
from cryoflux.witness.policy import parse_policy
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target

HONEST = "delta >= 0.05 and joules <= 2000"
ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
NOW_S = 1_800_000_000


@pytest.fixture(scope="module")
def honest(pristine: SyntheticState) -> bytes:
    return make_claim(pristine.path, HONEST).content


def checked(content: bytes, state: Path | None = None, **options: object) -> ClaimReport:
    if state is not None:
        folder = state / "keys"
        named = {
            "key": load_public_key(folder / "receipt.pub"),
            "log_key": load_public_key(folder / "log.pub"),
        }
        options = {**named, **options}
    return check_claim(content, Path("claim.json"), **options)


def complaints(content: bytes, state: Path | None = None, **options: object) -> str:
    report = checked(content, state, **options)
    bad = [c for c in report.report.checks if c.status is Status.FAIL]
    assert report.ok == (not bad)
    return "\n".join(f"{c.number} {c.subject}: {c.detail}" for c in bad)


def entries_of(content: bytes) -> list[bytes]:
    claim = parse_claim(content)
    return unpack(claim.packed, claim.carried)


def evidence_of(envelopes: list[bytes], spans: list[list[int]], hashes: list[str] | None = None) -> Carrier:
    return Carrier(spans=spans, hashes=hashes or [], entries=base64.b64encode(pack(envelopes)).decode())


def forged(
    content: bytes,
    state: Path,
    *,
    evidence: Carrier | None = None,
    key: Ed25519PrivateKey | None = None,
    payload_type: str = CLAIM_PAYLOAD,
    **changes: object,
) -> bytes:
    """The claim signed again, by whoever holds the receipt key or by another, with changes."""
    claim, document = parse_claim(content), json.loads(content)
    statement = claim.statement.but(predicate=claim.predicate.but(**changes))
    signer = key or load_key(state / "keys", "receipt", create=False)
    envelope = sign_document(statement, signer, payload_type)
    kept = evidence or Carrier(**document["evidence"])
    return format_claim(envelope, claim.checkpoint, kept)


def rewritten(content: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    """The file with something changed by somebody who has no key."""
    document = json.loads(content)
    change(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_honest_claim_passes_so_that_the_others_can_fail(honest: bytes, pristine: SyntheticState) -> None:
    assert complaints(honest, pristine.path) == ""
    assert complaints(forged(honest, pristine.path), pristine.path) == ""


@pytest.mark.parametrize("dropped", [0, 1, 2, 3])
def test_an_attempt_that_is_left_out_is_missed_even_if_the_owner_signs(
    honest: bytes, pristine: SyntheticState, dropped: int
) -> None:
    entries = entries_of(honest)
    rest = [*entries[: 2 * dropped], *entries[2 * dropped + 2 :]]
    shorter = evidence_of(rest, [[0, 6]])
    changes = {"end": 6, "attempts": 3, "evidence": shorter}
    assert "brings fewer hashes than its tree" in complaints(
        forged(honest, pristine.path, **changes), pristine.path
    )
    # With honest hashes in the place of what is left out, the range has a gap, and says so.
    spans = [span for span in ([0, 2 * dropped], [2 * dropped + 2, 8]) if span[0] < span[1]]
    leaves = [leaf_hash(entry) for entry in entries]
    beside = [root_hash(leaves[slice(*part)]).hex() for part in outside([(a, b) for a, b in spans], 0, 8)]
    gap = forged(honest, pristine.path, evidence=evidence_of(rest, spans, beside), attempts=3)
    found = complaints(gap, pristine.path)
    assert "21 range: its entries are not all here" in found
    assert "do not lead to its root" not in found


def test_only_the_good_part_is_called_a_part_whatever_the_words_say(
    honest: bytes, pristine: SyntheticState
) -> None:
    cheap = make_claim(pristine.path, "joules <= 110 and kept == 1", ClaimScope(end=2)).content
    report = checked(cheap, pristine.path)
    assert report.ok
    assert not report.whole
    assert any(c.number == 21 and c.status is Status.UNKNOWN for c in report.report.checks)
    said = complaints(forged(cheap, pristine.path, end=8), pristine.path)
    assert "its entries are not all here" in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"microjoules":100000000', b'"microjoules":10000000'),
        (b'"hiMicrojoules":110000000', b'"hiMicrojoules":100000000'),
        (b'"outcome":"rejected"', b'"outcome":"accepted"'),
    ],
)
def test_an_altered_figure_is_neither_signed_nor_in_the_log(
    honest: bytes, pristine: SyntheticState, old: bytes, new: bytes
) -> None:
    altered = []
    for entry in entries_of(honest):
        document = json.loads(entry)
        payload = base64.b64decode(str(document["payload"])).replace(old, new)
        document["payload"] = base64.b64encode(payload).decode()
        altered.append(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    assert altered != entries_of(honest)
    found = complaints(forged(honest, pristine.path, evidence=evidence_of(altered, [[0, 8]])), pristine.path)
    assert "the signature does not match the payload" in found
    assert "do not lead to its root" in found


def test_a_bit_that_is_flipped_anywhere_is_found(honest: bytes, pristine: SyntheticState) -> None:
    for place in range(0, len(honest) - 1, 97):
        flipped = honest[:place] + bytes([honest[place] ^ 1]) + honest[place + 1 :]
        assert complaints(flipped, pristine.path), place


def test_an_expression_that_is_changed_after_signing_is_not_signed(
    honest: bytes, pristine: SyntheticState
) -> None:
    def change(document: dict[str, object]) -> None:
        payload = base64.b64decode(str(document["payload"])).replace(b"<= 2000", b"<= 1000")
        document["payload"] = base64.b64encode(payload).decode()

    assert "20 claim: is not signed by the key" in complaints(rewritten(honest, change), pristine.path)


@pytest.mark.parametrize("text", ["delta >= 5", "joules <= 400", "tier == counter", "attempts <= 3"])
def test_a_false_sentence_is_computed_again_even_if_the_owner_signs(
    honest: bytes, pristine: SyntheticState, text: str
) -> None:
    quantity = text.split(maxsplit=1)[0]
    values = [ClaimedValue(quantity=quantity, value="1")]
    found = complaints(forged(honest, pristine.path, expression=text, values=values), pristine.path)
    assert f"22 {text}: {quantity} is" in found
    assert "its values are not those" in found


@pytest.mark.parametrize(
    "text",
    [
        "joules <= NaN",
        "joules <= nan J",
        "joules <= Infinity",
        "joules <= 1e9",
        "joules <= 2000 nats",
        "delta >= 0.05 J",
        "accuracy_gain >= 0",
        "joules<=2000",
        "joules <= 2000 or kept >= 1",
        "joules <= " + "9" * 400,
        "",
    ],
)
def test_a_sentence_outside_the_language_is_no_claim(
    honest: bytes, pristine: SyntheticState, text: str
) -> None:
    found = complaints(forged(honest, pristine.path, expression=text, values=[]), pristine.path)
    assert "22 " in found
    assert "its expression" in found


def test_values_that_were_beautified_are_found(honest: bytes, pristine: SyntheticState) -> None:
    claim = parse_claim(honest)
    better = [claim.predicate.values[0], ClaimedValue(quantity="joules", value="1")]
    assert "its values are not those" in complaints(
        forged(honest, pristine.path, values=better), pristine.path
    )


def test_a_value_with_a_line_feed_behind_it_is_no_second_spelling(honest: bytes) -> None:
    first, *_ = parse_claim(honest).predicate.values
    said = f'"value":"{first.value}"'.encode()

    def longer(document: dict[str, object]) -> None:
        payload = base64.b64decode(str(document["payload"]))
        assert said in payload
        changed = payload.replace(said, said[:-1] + b'\\n"', 1)
        document["payload"] = base64.b64encode(changed).decode()

    with pytest.raises(VerificationError, match="value"):
        parse_claim(rewritten(honest, longer))


def test_the_head_of_another_log_does_not_fit(
    honest: bytes, pristine: SyntheticState, tmp_path: Path
) -> None:
    other = make_state(tmp_path / "other")
    theirs = (other.path / "log" / "checkpoint").read_bytes().decode()
    swapped = rewritten(honest, lambda document: document.update(checkpoint=theirs))
    assert "another log or another key" in complaints(swapped, pristine.path)
    found = complaints(swapped)  # whoever names no keys sees it, too
    assert "another log or another key" in found
    # All of it from the other log, sold as ours.
    foreign = make_claim(other.path, HONEST).content
    assert checked(foreign, other.path).ok
    assert complaints(foreign, pristine.path)


def test_a_claim_that_another_key_signed_is_not_of_this_log(honest: bytes, pristine: SyntheticState) -> None:
    thief = Ed25519PrivateKey.generate()
    assert "is not signed by the key" in complaints(forged(honest, pristine.path, key=thief), pristine.path)
    named = forged(honest, pristine.path, key=thief, first_key=PublicKey.of(thief.public_key()))
    assert "its head is of the log" in complaints(named)
    log_key = load_key(pristine.path / "keys", "log", create=False)
    assert "is not signed by the key" in complaints(forged(honest, pristine.path, key=log_key))


def test_a_thief_of_the_receipt_key_has_no_head_to_claim_about(
    honest: bytes, pristine: SyntheticState
) -> None:
    thief = Ed25519PrivateKey.generate()
    point = parse_note(parse_claim(honest).checkpoint).checkpoint
    signed = forged(honest, pristine.path, log_key=PublicKey.of(thief.public_key()))
    assert "another log or another key" in complaints(signed)
    assert point.size == 8


def test_a_signature_for_another_purpose_is_no_claim(honest: bytes, pristine: SyntheticState) -> None:
    entry = forged(honest, pristine.path, payload_type=STATEMENT_PAYLOAD)
    assert "is needed here" in complaints(entry, pristine.path)


def grown(path: Path) -> tuple[SyntheticState, bytes, bytes]:
    """A state with a cheap beginning that was claimed about, an expensive end, and a claim about that."""
    made = open_state(path)
    made.attempt(0.05)
    old = make_claim(path, "joules <= 110 and kept == 1").content
    for _ in range(3):
        made.abort(made.announce())
    made.finish()
    return made, old, make_claim(path, "kept == 1").content


def named_as_older(content: bytes, state: Path, heads: Path) -> bool:
    """Whether the verdict, which is no failure, leaves out what came later, and ``--strict`` refuses it."""
    report = checked(content, state, heads=heads).report
    named = any("is an older one than was seen before" in text for text in report.exceptions)
    return named and report.ok and not report.complete


def test_an_old_head_is_named_as_one_for_whoever_saw_a_newer_one(tmp_path: Path) -> None:
    made, old, new = grown(tmp_path / "state")
    heads = tmp_path / "heads"
    assert checked(old, made.path).ok  # nothing in the file itself can tell
    assert checked(new, made.path, heads=heads).ok
    assert named_as_older(old, made.path, heads)
    assert checked(new, made.path, heads=heads).ok


def test_an_old_head_is_named_as_one_after_the_whole_log_was_verified(tmp_path: Path) -> None:
    made, old, _ = grown(tmp_path / "state")
    assert verify_target(made.path, heads=tmp_path / "heads").ok
    assert named_as_older(old, made.path, tmp_path / "heads")


def test_a_part_under_an_old_head_is_named_as_such_as_well(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.abort(made.announce())
    part = make_claim(made.path, "aborted == 1", ClaimScope(last=1)).content
    made.abort(made.announce())
    made.finish()
    heads = tmp_path / "heads"
    assert checked(make_claim(made.path, "kept == 1").content, made.path, heads=heads).ok
    assert named_as_older(part, made.path, heads)
    fresh = make_claim(made.path, "aborted == 1", ClaimScope(last=1)).content
    assert complaints(fresh, made.path, heads=heads) == ""


def test_two_histories_under_one_key_are_found_by_memory(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.log.close()
    made.account.close()
    here, twin = tmp_path / "here", tmp_path / "twin"
    for path, gain in ((here, 0.0005), (twin, 0.02)):
        told = made.fork(path)
        told.attempt(gain)
        told.finish()
    heads = tmp_path / "heads"
    assert checked(make_claim(twin, "kept == 2").content, twin, heads=heads).ok
    found = complaints(make_claim(here, "kept == 1").content, here, heads=heads)
    assert "this is another history" in found
    assert "shows to anybody that this log was gone on with in two ways" in found
    part = make_claim(here, "kept == 0", ClaimScope(last=1)).content
    assert "two histories" in complaints(part, here, heads=heads)


def demanded(state: Path, *, max_age_s: int | None = None) -> tuple[Demand, Ed25519PrivateKey]:
    witness = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
    origin = parse_note((state / "log" / "checkpoint").read_bytes()).checkpoint.origin
    log = verifier_key(origin, load_public_key(state / "keys" / "log.pub"))
    vkey = verifier_key("witness.example/w", witness.public_key(), KeyType.WITNESS)
    policy = parse_policy(f"log {log}\nwitness w {vkey}\nquorum w".encode())
    return Demand(policy, NOW_S, max_age_s), witness


def test_a_head_that_no_witness_saw_or_saw_long_ago_is_refused(
    honest: bytes, pristine: SyntheticState
) -> None:
    demand, witness = demanded(pristine.path, max_age_s=3600)
    assert "cosigned by nobody" in complaints(honest, pristine.path, demand=demand)
    note = parse_claim(honest).checkpoint
    point = parse_note(note).checkpoint

    def at(time_s: int, by: Ed25519PrivateKey = witness) -> bytes:
        more = with_signatures(note, [cosign(point, "witness.example/w", by, time_s)]).decode()
        return rewritten(honest, lambda document: document.update(checkpoint=more))

    assert complaints(at(NOW_S - 60), pristine.path, demand=demand) == ""
    assert "7200 s old" in complaints(at(NOW_S - 7200), pristine.path, demand=demand)
    assert "cosigned by nobody" in complaints(at(NOW_S + 86_400), pristine.path, demand=demand)
    another = at(NOW_S - 60, Ed25519PrivateKey.generate())
    assert "cosigned by nobody" in complaints(another, pristine.path, demand=demand)


def test_a_policy_for_another_log_refuses_this_one(
    honest: bytes, pristine: SyntheticState, tmp_path: Path
) -> None:
    other = make_state(tmp_path / "other")
    demand, _ = demanded(other.path)
    assert "the policy names no key of the log" in complaints(honest, pristine.path, demand=demand)


def test_a_retired_key_claims_nothing_any_more(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    retired = load_key(made.path / "keys", "receipt", create=False)
    enrol_root(made.log, made.path, ROOT.public_key(), "2026-11-23T02:00:00Z")
    rotate_key(made.log, made.path, ROOT, "stolen", "2026-11-23T02:00:00Z")
    made.attempt(0.02)
    made.finish()
    honest = make_claim(made.path, "kept == 2").content
    assert complaints(honest, made.path) == ""
    assert "is not signed by the key" in complaints(forged(honest, made.path, key=retired), made.path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"checkpoint":' * 10_000,
        b'{"checkpoint":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"checkpoint":NaN}',
        b"\xff\xfe",
        b"x" * (MAX_CLAIM_BYTES + 1),
        b'{"checkpoint":"' + b"a" * MAX_CLAIM_BYTES + b'"}',
    ],
)
def test_whatever_is_no_claim_is_one_failed_check(content: bytes) -> None:
    report = checked(content)
    assert not report.ok
    assert len(report.report.checks) == 1
    assert report.expression == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["evidence"].update(spans=[[0, 2**53]]),
        lambda d: d["evidence"].update(spans=[[0, 2**53 - 1]]),
        lambda d: d["evidence"].update(spans=[[0, 2**70]]),
        lambda d: d["evidence"].update(spans=[[-1, 8]]),
        lambda d: d["evidence"].update(spans=[[0, 8.0]]),
        lambda d: d["evidence"].update(spans=[[0, "8"]]),
        lambda d: d["evidence"].update(spans=[[8, 0]]),
        lambda d: d["evidence"].update(spans=[[0, 4], [2, 8]]),
        lambda d: d["evidence"].update(spans=[[4, 8], [0, 4]]),
        lambda d: d["evidence"].update(spans=[]),
        lambda d: d["evidence"].update(spans=[[0, 8]] * 65),
        lambda d: d["evidence"].update(hashes=["00" * 32]),
        lambda d: d["evidence"].update(hashes=["zz"]),
        lambda d: d["evidence"].update(entries=""),
        lambda d: d["evidence"].update(entries="AAAA"),
        lambda d: d["evidence"].update(entries=d["evidence"]["entries"] + "\n"),
        lambda d: d.update(signatures=[]),
        lambda d: d.update(signatures=d["signatures"] * 2),
        lambda d: d.update(more=1),
        lambda d: d.update(checkpoint=""),
        lambda d: d.update(payload=""),
    ],
)
def test_a_file_of_another_shape_fails(
    honest: bytes, pristine: SyntheticState, change: Callable[[dict[str, object]], object]
) -> None:
    assert complaints(rewritten(honest, change), pristine.path)


def test_a_key_given_twice_or_another_spelling_is_refused(honest: bytes, pristine: SyntheticState) -> None:
    document = json.loads(honest)
    twice = honest.replace(b'{"checkpoint"', b'{"checkpoint":"","checkpoint"', 1)
    for content in (twice, json.dumps(document).encode(), b" " + honest, honest + b"\n"):
        assert complaints(content, pristine.path)


@pytest.mark.parametrize("changes", [{"first": 2**53 - 1}, {"end": 2**53 - 1}, {"first": 8}, {"attempts": 3}])
def test_a_range_that_is_not_there_fails_even_if_the_owner_signs(
    honest: bytes, pristine: SyntheticState, changes: dict[str, object]
) -> None:
    assert "21 " in complaints(forged(honest, pristine.path, **changes), pristine.path)


@pytest.mark.parametrize(
    ("name", "value"), [("size", 9), ("root", "0" * 64), ("origin", "cryoflux.dev/other")]
)
def test_a_claim_about_another_head_than_it_brings_fails(
    honest: bytes, pristine: SyntheticState, name: str, value: object
) -> None:
    head = parse_claim(honest).predicate.head
    other = head.but(**{name: value})
    assert "about another head" in complaints(forged(honest, pristine.path, head=other), pristine.path)


def test_another_subject_fails(honest: bytes, pristine: SyntheticState, tmp_path: Path) -> None:
    claim = parse_claim(honest)
    other = parse_note((make_state(tmp_path / "other").path / "log" / "checkpoint").read_bytes()).checkpoint
    statement = claim.statement.but(subject=subject_of_head(other))
    key = load_key(pristine.path / "keys", "receipt", create=False)
    envelope = sign_document(statement, key, CLAIM_PAYLOAD)
    forged_ = format_claim(envelope, claim.checkpoint, Carrier(**json.loads(honest)["evidence"]))
    assert "its subject is not the head" in complaints(forged_, pristine.path)


def test_a_claim_is_no_receipt_and_no_receipt_is_a_claim(
    honest: bytes, pristine: SyntheticState, tmp_path: Path
) -> None:
    claim = parse_claim(honest)
    statement = claim.statement
    signed = sign_document(
        statement, load_key(pristine.path / "keys", "receipt", create=False), CLAIM_PAYLOAD
    )
    exported = tmp_path / "entries.jsonl"
    exported.write_bytes(signed + b"\n")
    assert not verify_target(exported).ok
    assert isinstance(statement.predicate, ClaimPredicate)
    assert canonical_bytes(statement) == claim.signed.payload
    assert datetime.fromisoformat(claim.predicate.claimed_at) <= datetime.now(UTC)
