from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cryoflux.errors import StateError, StateTamperedError, UsageError
from cryoflux.signing.keys import key_id, load_key, load_public_key


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = load_key(folder, "receipt", create=True)
    again = load_key(folder, "receipt", create=False)
    assert key_id(made.public_key()) == key_id(again.public_key())
    assert (folder / "receipt.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert key_id(load_public_key(folder / "receipt.pub")) == key_id(made.public_key())


def test_a_missing_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="missing"):
        load_key(tmp_path, "receipt", create=False)
    assert not list(tmp_path.iterdir())


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path, "log", create=True)
    (tmp_path / "log.pem").chmod(0o640)
    with pytest.raises(StateError, match="read by others") as caught:
        load_key(tmp_path, "log", create=True)
    assert "chmod 600" in caught.value.hint


def test_a_damaged_or_foreign_key_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path, "log", create=True)
    pem = tmp_path / "log.pem"
    other = generate_private_key(SECP256R1())
    for content in (
        b"nonsense",
        b"",
        other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ):
        pem.write_bytes(content)
        with pytest.raises(StateTamperedError):
            load_key(tmp_path, "log", create=True)
    public = tmp_path / "other.pub"
    for content in (
        b"nonsense",
        other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        public.write_bytes(content)
        with pytest.raises(UsageError):
            load_public_key(public)
    with pytest.raises(UsageError, match="cannot be read"):
        load_public_key(tmp_path / "nothing.pub")


def test_a_public_half_of_another_key_is_refused_and_a_missing_one_is_written_again(tmp_path: Path) -> None:
    key = load_key(tmp_path, "receipt", create=True)
    load_key(tmp_path, "log", create=True)
    public = tmp_path / "receipt.pub"
    public.write_bytes((tmp_path / "log.pub").read_bytes())
    with pytest.raises(StateTamperedError, match="public half"):
        load_key(tmp_path, "receipt", create=True)
    public.unlink()
    load_key(tmp_path, "receipt", create=False)
    assert key_id(load_public_key(public)) == key_id(key.public_key())
