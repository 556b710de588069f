from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.result import Status
from synthetic_state import SyntheticState
from verifying import verify_target


def export(path: Path, envelopes: list[bytes]) -> Path:
    path.write_bytes(b"".join(envelope + b"\n" for envelope in envelopes))
    return path


def numbers(path: Path, status: Status, **options: object) -> set[int]:
    return {c.number for c in verify_target(path, **options).checks if c.status is status}


def test_a_file_alone_shows_all_but_signer_head_and_artefacts(
    pristine: SyntheticState, tmp_path: Path
) -> None:
    path = export(tmp_path / "all.jsonl", [e.envelope for e in pristine.entries])
    assert numbers(path, Status.UNKNOWN) == {2, 4, 9}
    assert numbers(path, Status.FAIL) == set()
    assert verify_target(path).signer == ""


def test_a_named_key_settles_the_signer(pristine: SyntheticState, tmp_path: Path) -> None:
    path = export(tmp_path / "all.jsonl", [e.envelope for e in pristine.entries])
    key = load_public_key(pristine.path / "keys" / "receipt.pub")
    assert numbers(path, Status.UNKNOWN, key=key) == {4, 9}
    other = Ed25519PrivateKey.generate().public_key()
    assert numbers(path, Status.FAIL, key=other) == {2}


def test_two_signers_in_one_file_fail(pristine: SyntheticState, tmp_path: Path) -> None:
    envelopes = [e.envelope for e in pristine.entries]
    envelopes[-1] = sign_document(pristine.entries[-1].statement, Ed25519PrivateKey.generate())
    assert numbers(export(tmp_path / "two.jsonl", envelopes), Status.FAIL) == {2}


@pytest.mark.parametrize(
    ("content", "failing"),
    [(b"", {1}), (b"\n", {1}), (b"garbage", {1}), (b"\x00\xff\n" * 5, {1}), (b"{}\n", {1})],
)
def test_garbage_fails_and_names_the_entry(tmp_path: Path, content: bytes, failing: set[int]) -> None:
    path = tmp_path / "garbage.jsonl"
    path.write_bytes(content)
    assert numbers(path, Status.FAIL) == failing


def test_a_file_cut_short_fails(pristine: SyntheticState, tmp_path: Path) -> None:
    path = export(tmp_path / "cut.jsonl", [e.envelope for e in pristine.entries])
    path.write_bytes(path.read_bytes()[:-1])
    report = verify_target(path)
    assert not report.ok
    assert "does not end" in next(c.detail for c in report.checks if c.status is Status.FAIL)
