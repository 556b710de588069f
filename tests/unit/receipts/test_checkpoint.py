from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    KeyType,
    NoteSignature,
    VerifierKey,
    cosign,
    cosigned_at,
    origin_of,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
    verify_log,
    with_signatures,
)
from cryoflux.signing.keys import key_id, raw_public_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
POINT = Checkpoint("cryoflux.dev/0123456789abcdef", 5, bytes(range(32)))
NOTE = sign_checkpoint(POINT, KEY)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
WITNESS = VerifierKey("witness.example/w1", KeyType.WITNESS, raw_public_key(WITNESS_KEY.public_key()))
COSIGNED = with_signatures(NOTE, [cosign(POINT, WITNESS.name, WITNESS_KEY, 1_700_000_000)])


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
    assert str(verifier_key(name, public)) == vkey


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


def test_a_real_log_and_a_real_witness_are_verified() -> None:
    # A public log of the witness network's staging list, as the witness showed it in October 2026.
    note = parse_note(
        (
            "markovianprotocol.com/log\n9266\nQnwPzJywq5AyOk9k1zLqfryh6Ktw1CnaaKplELApoxw=\n\n"
            "— markovianprotocol.com/log AwLGyIvuxLXZM101mKdNCPTsl9GgtiG/wzbd8cGru0pGnWVMXI06twIsEIZho7n8id"
            "+w2EO0BZCalxuEm6BauQGNmgo=\n"
            "— witness.navigli.sunlight.geomys.org o+AP4gAAAABqwX+So8evhUsltetL+QnwUxEYMNrD25pJYOTFHwDCopbgQM"
            "l2AEh583AxfFNMDZzE73rdjK62tUN8oUBfd9p6usq+BA==\n"
        ).encode()
    )
    log = "markovianprotocol.com/log+0302c6c8+ATkpOWo95UuEiW2EhNZAol4f0CS8hMluJfPcTSzrr03v"
    verify_log(note, parse_verifier_key(log))
    witness = "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G"
    assert cosigned_at(note, parse_verifier_key(witness)) == 0x6AC17F92


def test_cosignatures_hang_below_the_logs_signature() -> None:
    assert COSIGNED.startswith(NOTE)
    assert parse_checkpoint(COSIGNED, KEY.public_key()) == POINT
    assert cosigned_at(parse_note(COSIGNED), WITNESS) == 1_700_000_000
    assert cosigned_at(parse_note(NOTE), WITNESS) is None


def test_every_flipped_bit_of_a_cosignature_is_refused_or_leaves_none() -> None:
    for place in range(len(NOTE), len(COSIGNED)):
        for bit in range(8):
            flipped = bytearray(COSIGNED)
            flipped[place] ^= 1 << bit
            try:
                assert cosigned_at(parse_note(bytes(flipped)), WITNESS) is None
            except VerificationError:
                continue


def test_the_time_is_signed_with_the_head() -> None:
    (line,) = parse_note(COSIGNED).by(WITNESS)
    later = NoteSignature(WITNESS.name, WITNESS.id, (1_800_000_000).to_bytes(8, "big") + line[8:])
    with pytest.raises(VerificationError, match="not over this checkpoint"):
        cosigned_at(parse_note(with_signatures(NOTE, [later])), WITNESS)


def test_a_time_beyond_what_the_specification_allows_is_refused() -> None:
    for time_s, good in [(2**63 - 1, True), (2**63, False)]:
        note = parse_note(with_signatures(NOTE, [cosign(POINT, WITNESS.name, WITNESS_KEY, time_s)]))
        if good:
            assert cosigned_at(note, WITNESS) == time_s
        else:
            with pytest.raises(VerificationError):
                cosigned_at(note, WITNESS)


def test_a_log_signature_is_no_cosignature_and_the_other_way_round() -> None:
    as_log = VerifierKey(POINT.origin, KeyType.LOG, WITNESS.raw)
    with pytest.raises(VerificationError):
        verify_log(parse_note(COSIGNED), as_log)
    log = verifier_key(POINT.origin, KEY.public_key())
    assert cosigned_at(parse_note(NOTE), VerifierKey(log.name, KeyType.WITNESS, log.raw)) is None
    with pytest.raises(VerificationError):
        cosigned_at(parse_note(NOTE), log)
    with pytest.raises(VerificationError):
        verify_log(parse_note(COSIGNED), WITNESS)


def test_a_newer_cosignature_takes_the_place_of_the_older() -> None:
    newer = with_signatures(COSIGNED, [cosign(POINT, WITNESS.name, WITNESS_KEY, 1_700_000_009)])
    assert len(parse_note(newer).signatures) == 2
    assert cosigned_at(parse_note(newer), WITNESS) == 1_700_000_009


def test_unknown_signatures_are_ignored_and_sixteen_are_read() -> None:
    others = [NoteSignature(f"other.example/{n}", b"abcd", bytes(5_000)) for n in range(16)]
    note = with_signatures(COSIGNED, others)
    assert parse_checkpoint(note, KEY.public_key()) == POINT
    assert cosigned_at(parse_note(note), WITNESS) == 1_700_000_000


def test_extension_lines_are_kept_and_signed() -> None:
    point = Checkpoint(POINT.origin, 5, POINT.root, ("Timestamp: 1679315147", "ü — x"))
    note = sign_checkpoint(point, KEY)
    assert note.startswith(POINT.text + "Timestamp: 1679315147\nü — x\n\n".encode())
    assert parse_checkpoint(note, KEY.public_key()) == point != POINT
    for changed in (note.replace(b"Timestamp", b"timestamp"), note.replace(b"Timestamp: 1679315147\n", b"")):
        with pytest.raises(VerificationError, match="does not match its text"):
            parse_checkpoint(changed, KEY.public_key())
    cosigned = with_signatures(note, [cosign(point, WITNESS.name, WITNESS_KEY, 7)])
    assert cosigned_at(parse_note(cosigned), WITNESS) == 7
    bare = with_signatures(NOTE, [cosign(point, WITNESS.name, WITNESS_KEY, 7)])
    with pytest.raises(VerificationError, match="not over this checkpoint"):
        cosigned_at(parse_note(bare), WITNESS)
    for line in ("", "\x01", "a\rb"):
        with pytest.raises(VerificationError):
            parse_note(sign_checkpoint(Checkpoint(POINT.origin, 5, POINT.root, (line,)), KEY))


def test_a_note_without_end_is_refused() -> None:
    many = [NoteSignature(f"other.example/{n}", b"abcd", bytes(64)) for n in range(65)]
    with pytest.raises(VerificationError):
        with_signatures(NOTE, many)
    with pytest.raises(VerificationError):
        with_signatures(NOTE, [NoteSignature("other.example", b"abcd", bytes(MAX_NOTE_BYTES))])


@pytest.mark.parametrize(
    "line",
    [
        "— name AAAAAA==",
        "- name AAAAAAAAAAA=",
        "— na me AAAAAAAAAAA=",
        "— na+me AAAAAAAAAAA=",
        "— na\x01me AAAAAAAAAAA=",
        "— name AAAAAAAAAA",
        "— name  AAAAAAAAAAA=",
        "— name AAAAAAAAAAA= ",
        "—\N{NO-BREAK SPACE}name AAAAAAAAAAA=",
        "",
    ],
)
def test_a_line_that_is_no_signature_spoils_the_note(line: str) -> None:
    with pytest.raises(VerificationError):
        parse_note(NOTE + f"{line}\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "exa mple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        parse_verifier_key(text)


def test_a_verifier_key_is_written_as_it_was_read() -> None:
    text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    assert str(parse_verifier_key(text)) == text
    assert parse_verifier_key(str(WITNESS)) == WITNESS
