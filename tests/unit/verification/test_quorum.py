from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import (
    KeyType,
    Note,
    VerifierKey,
    cosign,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Check, Knowledge, Status
from cryoflux.verification.walked import Walked
from cryoflux.verification.witnessing import Demand, check_witnessed
from cryoflux.witness.policy import parse_policy
from synthetic_state import SyntheticState, open_state
from verifying import verify_target, walked

NOW_S = 1_800_000_000
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 32) for name in "abcx"}
TWO_OF_THREE = "group g 2 a b c\nquorum g"


def vkey(name: str) -> str:
    return str(verifier_key(f"witness.example/{name}", KEYS[name].public_key(), KeyType.WITNESS))


def demand(rule: str = TWO_OF_THREE, *, log: str = "", max_age_s: int | None = None) -> Demand:
    lines = [f"log {log}"] if log else []
    lines += [f"witness {name} {vkey(name)}" for name in "abc"]
    return Demand(parse_policy("\n".join([*lines, rule]).encode()), NOW_S, max_age_s)


def cosigned(note: bytes, **times: int) -> bytes:
    point = parse_note(note).checkpoint
    return with_signatures(
        note, [cosign(point, f"witness.example/{name}", KEYS[name], at) for name, at in times.items()]
    )


@pytest.fixture(scope="module")
def log(pristine: SyntheticState) -> Walked:
    return walked(pristine.path)


@pytest.fixture(scope="module")
def note(log: Walked) -> bytes:
    assert log.material.checkpoint is not None
    return log.material.checkpoint


def details(checks: list[Check], status: Status) -> str:
    return "; ".join(f"{c.subject}: {c.detail}" for c in checks if c.status is status)


def test_a_quorum_is_attested_and_says_who_and_when(log: Walked, note: bytes) -> None:
    (check,) = check_witnessed(log, [cosigned(note, a=NOW_S - 60, c=NOW_S - 5)], demand())
    assert (check.status, check.knowledge, check.number) == (Status.OK, Knowledge.ATTESTED, 12)
    assert check.detail == "8 entries cosigned by a, c, 60 s ago; needed: 2 of 3 (a, b, c)"


@pytest.mark.parametrize("times", [{}, {"a": NOW_S}, {"a": NOW_S, "x": NOW_S}])
def test_less_than_a_quorum_fails(log: Walked, note: bytes, times: dict[str, int]) -> None:
    checks = check_witnessed(log, [cosigned(note, **times)], demand())
    assert "needed: 2 of 3" in details(checks, Status.FAIL)


def test_no_head_at_all_fails(log: Walked) -> None:
    assert "nobody" in details(check_witnessed(log, [], demand()), Status.FAIL)


def test_the_age_is_that_of_the_member_that_makes_the_quorum(log: Walked, note: bytes) -> None:
    times = {"a": NOW_S, "b": NOW_S - 100, "c": NOW_S - 9000}
    for max_age_s, ok in [(100, True), (99, False), (0, False)]:
        checks = check_witnessed(log, [cosigned(note, **times)], demand(max_age_s=max_age_s))
        assert (not details(checks, Status.FAIL)) is ok
    assert "is 100 s old, more than 99 s" in details(
        check_witnessed(log, [cosigned(note, **times)], demand(max_age_s=99)), Status.FAIL
    )


def test_a_cosignature_from_the_future_does_not_count_where_an_age_is_asked_for(
    log: Walked, note: bytes
) -> None:
    for ahead_s, ok in [(300, True), (301, False)]:
        checks = check_witnessed(log, [cosigned(note, a=NOW_S, b=NOW_S + ahead_s)], demand(max_age_s=60))
        assert (not details(checks, Status.FAIL)) is ok


def test_nobody_can_say_how_old_a_head_is_that_nobody_cosigned(log: Walked, note: bytes) -> None:
    assert not details(check_witnessed(log, [note], demand("quorum none")), Status.FAIL)
    checks = check_witnessed(log, [note], demand("quorum none", max_age_s=60))
    assert "nobody says how old" in details(checks, Status.FAIL)


def test_the_policy_names_the_log(log: Walked, note: bytes, pristine: SyntheticState) -> None:
    origin = parse_note(note).checkpoint.origin
    own = verifier_key(origin, load_public_key(pristine.path / "keys" / "log.pub"))
    full = [cosigned(note, a=NOW_S, b=NOW_S)]
    assert not details(check_witnessed(log, full, demand(log=str(own))), Status.FAIL)
    stranger = verifier_key(origin, KEYS["x"].public_key())
    assert "another key" in details(check_witnessed(log, full, demand(log=str(stranger))), Status.FAIL)
    elsewhere = verifier_key("log.example/2", KEYS["x"].public_key())
    assert "names no key" in details(check_witnessed(log, full, demand(log=str(elsewhere))), Status.FAIL)


def test_without_a_key_of_the_log_nothing_is_witnessed(log: Walked, note: bytes) -> None:
    keyless = replace(log, material=replace(log.material, log_key=None))
    checks = check_witnessed(keyless, [cosigned(note, a=NOW_S, b=NOW_S)], demand())
    assert "names no key" in details(checks, Status.FAIL)


def test_receipts_that_no_quorum_has_seen_fail(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    old = (made.path / "log" / "checkpoint").read_bytes()
    made.announce()
    open_attempt = walked(made.path)
    notes = [cosigned(old, a=NOW_S, b=NOW_S)]
    assert not details(check_witnessed(open_attempt, notes, demand()), Status.FAIL)
    assert "1 newer entries, no receipts" in details(
        check_witnessed(open_attempt, notes, demand()), Status.UNKNOWN
    )
    made.abort(list(made.log.entries())[-1])
    made.finish()
    checks = check_witnessed(walked(made.path), notes, demand())
    assert "entry 3 (receipt a0002_2): no quorum has seen more than 2 entries" in details(checks, Status.FAIL)


def test_the_larger_of_two_heads_that_a_quorum_saw_counts(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    old = (made.path / "log" / "checkpoint").read_bytes()
    made.attempt(0.02)
    new = (made.path / "log" / "checkpoint").read_bytes()
    made.finish()
    log = walked(made.path)
    notes = [cosigned(new, a=NOW_S), cosigned(old, a=NOW_S, b=NOW_S)]
    assert "no quorum has seen more than 2" in details(check_witnessed(log, notes, demand()), Status.FAIL)
    notes[0] = cosigned(new, a=NOW_S, b=NOW_S)
    assert not details(check_witnessed(log, notes, demand()), Status.FAIL)


def test_a_bad_line_of_a_known_witness_condemns_the_note(log: Walked, note: bytes) -> None:
    full = parse_note(cosigned(note, a=NOW_S, b=NOW_S, c=NOW_S))
    *rest, last = full.signatures
    bad = Note(full.checkpoint, (*rest, replace(last, signature=bytes(72))))
    assert "cosignature of witness.example/c" in details(
        check_witnessed(log, [bad.content], demand()), Status.FAIL
    )


@pytest.mark.parametrize("junk", [b"", b"\xff" * 100, b"a\n1\n\n"])
def test_a_head_that_is_none_fails(log: Walked, junk: bytes) -> None:
    assert details(check_witnessed(log, [junk], demand()), Status.FAIL)


def test_an_exported_file_has_no_witnesses(pristine: SyntheticState, tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_bytes(b"".join(entry.envelope + b"\n" for entry in pristine.entries))
    report = verify_target(path, demand=demand())
    assert not report.ok


def test_the_step_is_part_of_a_verification(state: Path) -> None:
    path = state / "log" / "checkpoint"
    path.write_bytes(cosigned(path.read_bytes(), a=NOW_S, b=NOW_S))
    report = verify_target(state, demand=demand())
    assert report.ok
    assert report.checks[-1].number == 12
    assert not verify_target(state, demand=demand("group g all a b c\nquorum g")).ok


def test_names_of_witnesses_cannot_steer_a_terminal(log: Walked, note: bytes) -> None:
    key = VerifierKey("witness.example/a", KeyType.WITNESS, KEYS["a"].public_key().public_bytes_raw())
    text = b"witness \xc2\x9bhello " + str(key).encode() + b"\nquorum \xc2\x9bhello"
    checks = check_witnessed(log, [cosigned(note, a=NOW_S)], Demand(parse_policy(text), NOW_S))
    assert all(check.detail.isprintable() for check in checks)
