"""Signatures that need no private key, or that not all verifiers take: by keys that no signer has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.energy.account import settlement
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.settlement import read_settlement, sign_settlement
from cryoflux.energy.interface import Reservation
from cryoflux.errors import VerificationError
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts import checkpoint
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    VerifierKey,
    parse_note,
    sign_checkpoint,
    verify_log,
)
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.signing import envelope
from cryoflux.signing.envelope import parse_envelope, sign_document, verify
from cryoflux.signing.keys import raw_public_key
from cryoflux.verification import signature_pool
from cryoflux.verification.result import Status
from synthetic_parts import RESERVED_UJ, digest_of
from synthetic_state import SyntheticState
from verifying import verify_target

B = bytes.fromhex("58" + "66" * 31)
"""the base point"""


class Nobody:
    """Signs whatever it is given under the identity point: R = B and S = 1, for every message."""

    def public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))

    def sign(self, message: bytes) -> bytes:
        return B + (1).to_bytes(32, "little")


NOBODY: Any = Nobody()


def as_openssl_does(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def log_of_nobody(pristine: SyntheticState, folder: Path) -> Path:
    """The synthetic log once more, from its first entry, under the identity point."""
    leaves: dict[str, str] = {"0" * 64: "0" * 64}
    lines: list[bytes] = []
    for entry in pristine.entries:
        said = entry.statement.predicate
        changes = {name: leaves[getattr(said, name)] for name in ("prev", "intent") if hasattr(said, name)}
        line = sign_document(entry.statement.but(predicate=said.but(**changes)), NOBODY)
        leaves[entry.leaf_hash] = leaf_hash(line).hex()
        lines.append(line)
    file = folder / "log.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def failures(target: Path, **options: Any) -> set[int]:
    report = verify_target(target, **options)
    return {check.number for check in report.checks if check.status is Status.FAIL}


def test_a_log_that_anybody_could_have_signed_does_not_verify(
    pristine: SyntheticState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = log_of_nobody(pristine, tmp_path)
    assert failures(file, key=NOBODY.public_key()) == {2}
    monkeypatch.setattr(signature_pool, "verify_signature", as_openssl_does)
    assert failures(file, key=NOBODY.public_key()) == set()  # openssl would take all of it


def test_a_receipt_that_anybody_could_have_signed_is_signed_by_nobody(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = parse_envelope(sign_document(pristine.entries[1].statement, NOBODY))
    assert not verify(signed, NOBODY.public_key())
    monkeypatch.setattr(envelope, "verify_signature", as_openssl_does)
    assert verify(signed, NOBODY.public_key())


def test_a_head_that_anybody_could_have_signed_is_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    note = parse_note(sign_checkpoint(Checkpoint("example.com/log", 3, bytes(32)), NOBODY))
    key = VerifierKey("example.com/log", KeyType.LOG, raw_public_key(NOBODY.public_key()))
    with pytest.raises(VerificationError, match="does not match"):
        verify_log(note, key)
    monkeypatch.setattr(checkpoint, "verify_signature", as_openssl_does)
    verify_log(note, key)


def test_joules_that_anybody_could_have_signed_are_of_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    energy = Energy(5, 5, 5, Tier.MODELLED)
    charge = Charge(energy, energy, ("cpu",), digest_of("baseline"), "concave/v1", 12_000_000)
    metered = sign_settlement(Reservation("r-1", "a0001", RESERVED_UJ), charge, "boot", NOBODY)
    with pytest.raises(VerificationError, match="not a sound Ed25519 key"):
        read_settlement(metered)
    monkeypatch.setattr(settlement, "refuse_weak_key", lambda *_: None)
    monkeypatch.setattr(settlement, "verify_signature", as_openssl_does)
    assert read_settlement(metered).charged.microjoules == 5
