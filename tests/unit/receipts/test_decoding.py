from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import rfc8785

from cryoflux.errors import StateError, StateTamperedError, VerificationError
from cryoflux.receipts.decoding import (
    NewerFormatError,
    parse_any_statement,
    parse_statement,
    predicate_type_of,
)
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.reading import read_entries
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from cryoflux.verification.result import Status
from cryoflux.verification.steps import verify_target
from synthetic_state import SyntheticState


def retyped(payload: bytes, kind: str) -> bytes:
    return rfc8785.dumps({**json.loads(payload), "predicateType": kind})


@pytest.mark.parametrize("kind", ["receipt/v2", "intent/v17", "key-rotation/v2", "verdict/v1"])
def test_what_a_newer_version_wrote_is_called_that(pristine: SyntheticState, kind: str) -> None:
    payload = retyped(pristine.entries[1].signed.payload, f"https://cryoflux.dev/{kind}")
    for parse in (parse_statement, parse_any_statement):
        with pytest.raises(NewerFormatError, match="newer CryoFlux") as caught:
            parse(payload)
        assert "Install" in caught.value.hint


@pytest.mark.parametrize(
    "kind",
    [
        "https://cryoflux.dev/receipt/v0",
        "https://cryoflux.dev/receipt/v1x",
        "https://cryoflux.dev/receipt/v2\n",
        "https://cryoflux.dev.example.org/receipt/v2",
        "https://cryoflux.dev/receipt/v1",
        "",
    ],
)
def test_what_nobody_ever_writes_is_malformed(pristine: SyntheticState, kind: str) -> None:
    payload = retyped(pristine.entries[0].signed.payload, kind)  # an intent's fields
    with pytest.raises(VerificationError, match="malformed") as caught:
        parse_any_statement(payload)
    assert not isinstance(caught.value, NewerFormatError)


def test_hostile_bytes_claim_no_type() -> None:
    for payload in (b"", b"[]", b"null", b"{", b'{"predicateType":1}', b"[" * 50_000, b"\xff", b"1" * 5000):
        assert predicate_type_of(payload) == ""
    assert predicate_type_of(b" " * MAX_ENTRY_BYTES + b'{"predicateType":"x"}') == ""


def test_a_log_with_an_entry_of_a_newer_version_is_left_alone(state: Path, pristine: SyntheticState) -> None:
    from cryoflux.receipts.merkle import leaf_hash
    from cryoflux.signing.envelope import pae
    from cryoflux.signing.keys import key_id, load_key

    key = load_key(state / "keys", "receipt", create=False)
    said = json.loads(pristine.entries[-1].signed.payload)
    said["predicate"].update(sequence=8, prev=pristine.entries[-1].leaf_hash)
    payload = rfc8785.dumps({**said, "predicateType": "https://cryoflux.dev/receipt/v2"})
    import base64

    signature = {"keyid": key_id(key.public_key()), "sig": base64.b64encode(key.sign(pae(payload))).decode()}
    fields = {"payload": base64.b64encode(payload).decode(), "signatures": [signature]}
    envelope = rfc8785.dumps({**fields, "payloadType": "application/vnd.in-toto+json"})
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    connection.execute(
        "INSERT INTO entries VALUES (8, 'receipt', 'a0005', 'accepted', ?, ?)",
        (leaf_hash(envelope).hex(), envelope),
    )
    connection.close()
    with pytest.raises(StateError, match="newer CryoFlux") as caught:
        ReceiptLog.open(state)
    assert not isinstance(caught.value, StateTamperedError)
    with pytest.raises(StateError, match="newer CryoFlux"):
        read_entries(state)
    report = verify_target(state)
    assert not report.ok  # nobody can vouch for what nobody here can read
    assert any("newer CryoFlux" in c.detail for c in report.checks if c.status is Status.FAIL)
