from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from cryoflux.errors import VerificationError
from cryoflux.receipts.merkle import root_hash
from cryoflux.witness.evidence import (
    Equivocation,
    check_equivocation,
    from_submission,
    parse_equivocation,
)
from signed_log import SignedLog

HONEST = SignedLog()
FORK = SignedLog("b", forked_at=3)


def against(old: int, new: int, fork: SignedLog = FORK) -> Equivocation | None:
    return from_submission(HONEST.vkey, HONEST.head(old), fork.head(new), fork.proof(old, new))


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 69))
def test_a_fork_that_proves_its_own_past_convicts_its_log(old: int, new: int, forked_at: int) -> None:
    assume(old <= new and forked_at < old)
    found = against(old, new, SignedLog("b", forked_at))
    if old & (old - 1) == 0 and old != new:
        assert found is None  # the proof leaves the old root to the verifier, so it shows nothing
        return
    assert found is not None
    assert "signed" in check_equivocation(found)
    assert parse_equivocation(found.content) == found


@given(st.integers(0, 70), st.integers(0, 70))
def test_an_honest_log_is_never_convicted(old: int, new: int) -> None:
    assume(old <= new)
    assert against(old, new, HONEST) is None


def test_a_wrong_proof_shows_nothing() -> None:
    proof = HONEST.proof(5, 9)
    for wrong in (proof[:-1], proof[::-1], (*proof, proof[0]), (bytes(32),) * len(proof), ()):
        assert from_submission(HONEST.vkey, HONEST.head(5), HONEST.head(9), wrong) is None


def test_whoever_has_the_leaves_can_convict_at_a_power_of_two_too() -> None:
    found = Equivocation(
        HONEST.vkey, HONEST.head(4), FORK.head(9), root_hash(FORK.leaves(4)), FORK.proof(4, 9)
    )
    assert "first 4" in check_equivocation(found)


def test_evidence_signed_by_somebody_else_convicts_nobody() -> None:
    stranger = SignedLog("b", 3, key=Ed25519PrivateKey.generate())
    found = Equivocation(HONEST.vkey, HONEST.head(5), stranger.head(5))
    with pytest.raises(VerificationError, match="another key"):
        check_equivocation(found)


def test_two_logs_are_not_two_stories_of_one() -> None:
    other = SignedLog("b", origin="log.example/2")
    with pytest.raises(VerificationError, match="another log"):
        check_equivocation(Equivocation(HONEST.vkey, HONEST.head(5), other.head(5)))


def test_no_changed_byte_of_an_evidence_file_goes_unnoticed() -> None:
    found = against(5, 9)
    assert found is not None
    content = found.content
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(VerificationError):
            check_equivocation(parse_equivocation(bytes(changed)))


def test_evidence_has_one_spelling() -> None:
    found = against(5, 9)
    assert found is not None
    lines = found.content.split(b"\n")
    for place in (3, 4):
        other = b"\n".join([*lines[:place], b"prefix " + lines[place], *lines[place + 1 :]])
        with pytest.raises(VerificationError, match="spelling"):
            parse_equivocation(other)
    bare = b"\n".join([*lines[:2], lines[2].removeprefix(b"prefix "), *lines[3:]])
    with pytest.raises(VerificationError, match="spelling"):
        parse_equivocation(bare)


@pytest.mark.parametrize("content", [b"", b"\n\n\n\n", b"x" * 300_000, HONEST.note(3), b"\xff" * 100])
def test_another_file_is_no_evidence(content: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_equivocation(content)


def test_the_order_of_the_heads_matters() -> None:
    found = against(5, 9)
    assert found is not None
    with pytest.raises(VerificationError):
        check_equivocation(replace(found, older=found.newer, newer=found.older))
