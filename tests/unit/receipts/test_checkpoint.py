from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    origin_of,
    parse_checkpoint,
    sign_checkpoint,
    verifier_key,
)
from cryoflux.signing.keys import key_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
POINT = Checkpoint("cryoflux.dev/0123456789abcdef", 5, bytes(range(32)))
NOTE = sign_checkpoint(POINT, KEY)


@pytest.mark.parametrize(
    "vkey",
    [
        # the example of C2SP signed-note, and two keys published with Go's checksum database
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    ],
)
def test_verifier_keys_of_others_come_out_the_same(vkey: str) -> None:
    name, _, encoded = vkey.split("+", 2)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    assert verifier_key(name, public) == vkey


def test_a_checkpoint_is_a_note_of_six_lines() -> None:
    origin, size, root, empty, signature, end = NOTE.decode().split("\n")
    assert (origin, size, root, empty, end) == (
        POINT.origin,
        "5",
        base64.b64encode(POINT.root).decode(),
        "",
        "",
    )
    assert signature.startswith(f"\N{EM DASH} {POINT.origin} ")
    assert parse_checkpoint(NOTE, KEY.public_key()) == POINT


def test_the_origin_carries_the_receipt_key() -> None:
    assert origin_of(KEY.public_key()) == f"cryoflux.dev/{key_id(KEY.public_key())[:16]}"


def test_every_flipped_bit_is_refused() -> None:
    for place in range(len(NOTE)):
        for bit in range(8):
            flipped = bytearray(NOTE)
            flipped[place] ^= 1 << bit
            with pytest.raises(VerificationError):
                parse_checkpoint(bytes(flipped), KEY.public_key())


@pytest.mark.parametrize(
    "note",
    [
        b"",
        NOTE + NOTE,
        NOTE + b"\n",
        NOTE[:-1],
        NOTE.replace(b"\n5\n", b"\n05\n"),
        NOTE.replace(b"\n5\n", b"\n-5\n"),
        NOTE.replace(b"\n5\n", b"\n5\nextension\n"),
        NOTE * 100,
    ],
)
def test_another_spelling_is_refused(note: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_checkpoint(note, KEY.public_key())


def test_another_key_is_refused() -> None:
    with pytest.raises(VerificationError, match="another key"):
        parse_checkpoint(NOTE, Ed25519PrivateKey.generate().public_key())
