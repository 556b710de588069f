"""A signature that was made for one purpose is shown as one for another."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_rewritten_history import store

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import parse_note
from cryoflux.signing import envelope
from cryoflux.signing.envelope import METER_PAYLOAD, STATEMENT_PAYLOAD, parse_envelope, sign_document, verify
from cryoflux.signing.keys import load_key
from cryoflux.verification.result import Status
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def relabelled(signed: bytes, kind: str) -> bytes:
    document = json.loads(signed)
    document["payloadType"] = kind
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_what_a_meter_signed_is_no_receipt_under_another_label(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    metered = sign_document(pristine.entries[1].statement, key, METER_PAYLOAD)
    with pytest.raises(VerificationError):
        parse_envelope(metered)
    shown = parse_envelope(relabelled(metered, STATEMENT_PAYLOAD))
    assert not verify(shown, key.public_key())
    # Were the type not part of what is signed, it would pass.
    monkeypatch.setattr(envelope, "pae", lambda payload, *_: payload)
    metered = sign_document(pristine.entries[1].statement, key, METER_PAYLOAD)
    assert verify(parse_envelope(relabelled(metered, STATEMENT_PAYLOAD)), key.public_key())


def test_a_signature_of_the_log_key_is_none_of_the_receipt_key(state: Path, pristine: SyntheticState) -> None:
    key = load_key(state / "keys", "log", create=False)
    store(state, 7, sign_document(pristine.entries[7].statement, key))
    found = [c.subject for c in verify_target(state).checks if (c.number, c.status) == (2, Status.FAIL)]
    assert found == ["entry 7 (receipt a0004_6)"]


def test_a_signed_receipt_is_no_head_and_a_signed_head_no_receipt(
    state: Path, pristine: SyntheticState
) -> None:
    note = parse_note((state / "log" / "checkpoint").read_bytes())
    text, signature = note.checkpoint.text, note.signatures[0].signature
    document = json.loads(pristine.entries[7].envelope)
    document["payload"] = base64.b64encode(text).decode()
    document["signatures"][0]["sig"] = base64.b64encode(signature[-64:]).decode()
    crossed = parse_envelope(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    log_key = load_key(state / "keys", "log", create=False)
    log_key.public_key().verify(signature[-64:], text)  # it is good where it belongs
    assert not verify(crossed, log_key.public_key())
    with pytest.raises(InvalidSignature):
        log_key.public_key().verify(pristine.entries[7].signed.signature, text)


def test_an_entry_of_another_log_does_not_fit_into_this(tmp_path: Path, state: Path) -> None:
    other = open_state(tmp_path / "other")
    for _ in range(4):
        other.attempt(0.05)
    other.finish()
    store(state, 7, other.entries[7].envelope)
    numbers = {check.number for check in verify_target(state).checks if check.status is Status.FAIL}
    assert {2, 3, 4} <= numbers
