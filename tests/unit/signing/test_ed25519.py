from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from cryoflux.errors import UsageError, VerificationError
from cryoflux.receipts.checkpoint import KeyType, VerifierKey, parse_verifier_key
from cryoflux.receipts.key_statement import PublicKey, public_key_of
from cryoflux.signing.ed25519 import is_sound_key, refuse_weak_key, verify_signature
from cryoflux.signing.keys import load_public_key, public_pem, raw_key_id, raw_public_key

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((FOLDER / "ed25519.json").read_text("utf-8"))
CASES = [pytest.param(case, id=case["name"]) for case in VECTORS["cases"]]
WYCHEPROOF = json.loads((FOLDER / "wycheproof-ed25519.json").read_text("utf-8"))["cases"]
SEEDS = st.binary(min_size=32, max_size=32)


def content(case: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    key, message, signature = (base64.b64decode(case[name]) for name in ("key", "message", "signature"))
    return key, message, signature


def openssl(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def libsodium(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


@pytest.fixture(scope="module")
def curve() -> ModuleType:
    """The script that writes the vectors, with the curve in plain integers."""
    spec = importlib.util.spec_from_file_location("make_ed25519_vectors", FOLDER / "make_ed25519_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_that_of_the_vectors(case: dict[str, Any]) -> None:
    key, message, signature = content(case)
    assert verify_signature(key, message, signature) == (case["verdict"] == "accept")
    assert is_sound_key(key) == case["soundKey"]


@pytest.mark.parametrize("case", CASES)
def test_other_verifiers_say_what_the_vectors_tell_of_them(case: dict[str, Any]) -> None:
    key, message, signature = content(case)
    if len(key) != 32 or len(signature) != 64:
        return  # libsodium takes the lengths on trust
    assert openssl(key, message, signature) == (case["others"]["openssl"] == "accept")
    assert libsodium(key, message, signature) == (case["others"]["libsodium"] == "accept")


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case["tcId"])) for case in WYCHEPROOF])
def test_the_verdict_is_that_of_wycheproof(case: dict[str, Any]) -> None:
    """What it calls acceptable, which a verifier may take or not, is refused."""
    key, message, signature = (bytes.fromhex(case[name]) for name in ("key", "message", "signature"))
    assert verify_signature(key, message, signature) == (case["result"] == "valid"), case["comment"]


def test_what_is_accepted_here_is_accepted_by_every_other_rule() -> None:
    accepted = [case for case in VECTORS["cases"] if case["verdict"] == "accept"]
    assert accepted
    assert all(set(case["others"].values()) == {"accept"} for case in accepted)


def test_the_file_is_what_its_script_writes(curve: ModuleType) -> None:
    assert (FOLDER / "ed25519.json").read_bytes() == curve.build()


@given(SEEDS, st.binary(max_size=300))
def test_an_honest_signature_is_accepted(seed: bytes, message: bytes) -> None:
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    key = raw_public_key(signer.public_key())
    assert is_sound_key(key)
    assert verify_signature(key, message, signer.sign(message))


@given(SEEDS, st.binary(min_size=1, max_size=300), st.sampled_from(range(3)), st.integers(0))
def test_after_a_flipped_bit_the_verdict_is_that_of_openssl(
    seed: bytes, message: bytes, part: int, bit: int
) -> None:
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    parts = [raw_public_key(signer.public_key()), message, signer.sign(message)]
    flipped = bytearray(parts[part])
    flipped[bit // 8 % len(flipped)] ^= 1 << bit % 8
    parts[part] = bytes(flipped)
    assert verify_signature(*parts) == openssl(*parts)
    assert not verify_signature(*parts)


@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=70))
def test_nothing_that_is_no_signature_is_accepted_or_raises(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify_signature(key, message, signature)


@settings(max_examples=30)
@given(st.integers(1, 2**252), st.integers(0, 7))
def test_a_key_is_sound_without_a_part_of_small_order_only(curve: ModuleType, scalar: int, i: int) -> None:
    key = curve.encode(curve.add(curve.times(scalar, curve.B), curve.TORSION[i]))
    assert is_sound_key(key) == (i == 0)
    assert curve.is_sound(key) == (i == 0)


def test_no_key_has_a_second_spelling(curve: ModuleType) -> None:
    spelled = [curve.spell(y, sign) for y in range(curve.P, curve.SIGN) for sign in (0, 1)]
    assert not any(map(is_sound_key, spelled))
    assert sum(curve.decode(key) is not None for key in spelled) > 10


def nobodys_keys() -> list[Any]:
    """Public keys under which anybody can sign, or of which verifiers disagree."""
    keys = {content(case)[0]: case["why"] for case in VECTORS["cases"] if not case["soundKey"]}
    return [pytest.param(key, id=f"{key.hex()[:4]} {why}") for key, why in keys.items() if len(key) == 32]


def read_vkey(key: bytes, _: Path) -> None:
    parse_verifier_key(str(VerifierKey("example.com/log", KeyType.LOG, key)))


def read_statement(key: bytes, _: Path) -> None:
    public_key_of(PublicKey(keyid=raw_key_id(key), ed25519=base64.b64encode(key).decode()))


def read_file(key: bytes, folder: Path) -> None:
    path = folder / "key.pub"
    path.write_bytes(public_pem(Ed25519PublicKey.from_public_bytes(key)))
    load_public_key(path)


@pytest.mark.parametrize("key", nobodys_keys())
@pytest.mark.parametrize("read", [read_vkey, read_statement, read_file])
def test_a_key_that_no_signer_has_is_refused_where_it_is_read(
    read: Callable[[bytes, Path], None], key: bytes, tmp_path: Path
) -> None:
    with pytest.raises((VerificationError, UsageError), match="is not a sound Ed25519 key") as caught:
        read(key, tmp_path)
    assert len(caught.value.lines()) == 3
    with pytest.raises(VerificationError, match=r"^It is not a sound"):
        refuse_weak_key(key, "It")
