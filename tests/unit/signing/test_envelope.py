from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope as IndependentEnvelope
from securesystemslib.signer import SSlibKey

from cryoflux.errors import UsageError, VerificationError
from cryoflux.receipts.log import ReceiptLog
from cryoflux.signing.envelope import decode_base64, pae, parse_envelope, sign_document, verify
from cryoflux.signing.keys import key_id
from plain_log import KEY as LOG_KEY
from plain_log import PlainLog

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def rewrite(envelope: bytes, **changes: object) -> bytes:
    document = json.loads(envelope) | changes
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_pae_is_the_one_of_the_dsse_specification() -> None:
    assert pae(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_a_signature_holds_for_its_key_only(log: PlainLog) -> None:
    envelope = parse_envelope(sign_document(log.entries[0].statement, KEY))
    assert verify(envelope, KEY.public_key())
    assert not verify(envelope, Ed25519PrivateKey.generate().public_key())


def test_signing_is_deterministic(log: PlainLog) -> None:
    statement = log.entries[1].statement
    assert sign_document(statement, KEY) == sign_document(statement, KEY)


def test_base64_has_one_spelling() -> None:
    assert decode_base64("AA==", "it") == b"\0"
    for text in ("AA", "AB==", "AA==\n", "A A=", "_-==", "=AA=", "ÄÖ=="):
        with pytest.raises(VerificationError, match="it is"):
            decode_base64(text, "it")


def test_a_second_signature_or_an_odd_one_is_refused(log: PlainLog) -> None:
    envelope = log.entries[0].envelope
    (signature,) = json.loads(envelope)["signatures"]
    for signatures in (
        [],
        [signature, signature],
        [signature | {"sig": base64.b64encode(bytes(63)).decode()}],
        [signature | {"keyid": "x"}],
        [signature | {"extra": ""}],
    ):
        with pytest.raises(VerificationError):
            parse_envelope(rewrite(envelope, signatures=signatures))
    with pytest.raises(VerificationError):
        parse_envelope(rewrite(envelope, payloadType="application/json"))


def test_a_statement_too_large_for_a_tile_is_not_signed(log: PlainLog) -> None:
    statement = log.entries[0].statement
    large = statement.predicate.but(recipe={f"{i:04}": "x" * 1900 for i in range(30)})
    with pytest.raises(UsageError, match="at most 60000"):
        sign_document(statement.but(predicate=large), KEY)


def test_securesystemslib_accepts_every_envelope(log: PlainLog) -> None:
    public = LOG_KEY.public_key()
    key = SSlibKey.from_crypto(public, keyid=key_id(public))
    for entry in log.entries:
        independent = IndependentEnvelope.from_dict(json.loads(entry.envelope))
        assert independent.verify([key], 1)
        assert independent.payload == entry.signed.payload


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_accepts_an_envelope_and_the_checkpoint(tmp_path: Path) -> None:
    stored = ReceiptLog.open(tmp_path)
    entry = PlainLog(store=stored.append).announce()
    stored.close()
    note = (tmp_path / "log" / "checkpoint").read_bytes()
    text, _, line = note.rpartition(b"\n\n")
    signatures = {
        "receipt": (pae(entry.signed.payload), entry.signed.signature),
        "log": (text + b"\n", base64.b64decode(line.split()[2])[4:]),
    }
    for name, (content, signature) in signatures.items():
        (tmp_path / "content").write_bytes(content)
        (tmp_path / "signature").write_bytes(signature)
        key = tmp_path / "keys" / f"{name}.pub"
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin"]
        command += ["-in", str(tmp_path / "content"), "-sigfile", str(tmp_path / "signature")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Verified Successfully" in done.stdout, done
