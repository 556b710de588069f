from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.receipts.checkpoint import Checkpoint, sign_checkpoint, verifier_key
from cryoflux.receipts.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from cryoflux.receipts.proof import Proof, check_proof, format_proof, parse_proof, prove
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.keys import load_public_key
from plain_log import StoredLog

ENTRIES = [b"entry %d" % i for i in range(600)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 600 entries as files, with its checkpoint."""
    folder = tmp_path_factory.mktemp("published")
    publish_tiles(folder, TileTree(ENTRIES).contents())
    note = sign_checkpoint(Checkpoint("example.org/log", 600, root_hash(LEAVES)), LOG)
    (folder / "checkpoint").write_bytes(note)
    return folder


def test_every_entry_of_a_state_can_be_proven_offline(stored: StoredLog) -> None:
    key, log_key = (load_public_key(stored.path / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    for entry in stored.entries:
        content = format_proof(prove(stored.path, entry.index))
        assert check_proof(parse_proof(content), key, log_key) == entry
        assert format_proof(parse_proof(content)) == content


def test_a_proof_ends_in_the_checkpoint_as_it_is(stored: StoredLog) -> None:
    checkpoint = (stored.path / "log" / "checkpoint").read_bytes()
    lines = format_proof(prove(stored.path, 2)).split(b"\n")
    assert lines[0] == b"c2sp.org/tlog-proof@v1"
    assert lines[1].startswith(b"extra ")
    assert lines[2] == b"index 2"
    assert format_proof(prove(stored.path, 2)).endswith(b"\n\n" + checkpoint)


def test_every_flipped_bit_of_a_proof_is_refused(stored: StoredLog) -> None:
    key, log_key = (load_public_key(stored.path / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    content = format_proof(prove(stored.path, 3))
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 7
        with pytest.raises(VerificationError):
            check_proof(parse_proof(bytes(flipped)), key, log_key)


def test_another_key_is_refused(stored: StoredLog) -> None:
    key, log_key = (load_public_key(stored.path / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    found = prove(stored.path, 1)
    with pytest.raises(VerificationError, match="not signed by the key"):
        check_proof(found, log_key, log_key)
    with pytest.raises(VerificationError, match="another key"):
        check_proof(found, key, key)


def test_a_file_without_its_entry_proves_an_entry_that_is_named(stored: StoredLog) -> None:
    key, log_key = (load_public_key(stored.path / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    found = prove(stored.path, 1)
    short = parse_proof(format_proof(Proof(1, found.hashes, found.checkpoint, b"")))
    assert check_proof(short, key, log_key, stored.entries[1].envelope) == stored.entries[1]
    with pytest.raises(VerificationError, match="inclusion"):
        check_proof(short, key, log_key, stored.entries[2].envelope)
    with pytest.raises(VerificationError, match="does not bring"):
        check_proof(short, key, log_key)


def test_a_proof_that_another_implementation_makes_is_read(stored: StoredLog) -> None:
    reader_module = pytest.importorskip("tlog_scales.reader")
    backend = pytest.importorskip("tlog_scales.backend")
    key, log_key = (load_public_key(stored.path / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    theirs = reader_module.TilesReader(backend.LocalBackend(stored.path / "log"))
    head = theirs.get_checkpoint()
    for index, entry in enumerate(stored.entries):
        hashes = theirs.get_inclusion_proof(index, head.size).node_hashes
        lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(b64encode(found).decode() for found in hashes)]
        text = "\n".join([*lines, "", head.serialize()])
        assert check_proof(parse_proof(text.encode()), key, log_key, theirs.get_entry(index)) == entry


def test_what_is_not_covered_or_damaged_is_not_proven(plain_state: Path) -> None:
    with pytest.raises(UsageError, match="covers 9 entries"):
        prove(plain_state, 9)
    tile = plain_state / "log/tile/0/000.p/9"
    content = bytearray(tile.read_bytes())
    content[40] ^= 1
    tile.write_bytes(content)
    with pytest.raises(StateTamperedError, match="do not lead"):
        prove(plain_state, 0)
    for content in (b"", bytes(31)):
        tile.write_bytes(content)
        with pytest.raises(StateTamperedError, match="too short"):
            prove(plain_state, 0)
    tile.unlink()
    with pytest.raises(StateTamperedError, match="is missing"):
        prove(plain_state, 0)


@given(st.integers(1, 600), st.data())
def test_proofs_from_tiles_are_those_of_the_tree(published: Path, size: int, data: st.DataObject) -> None:
    reader = TileReader(published, size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert reader.entry(index) == ENTRIES[index]
    assert reader.root() == root_hash(LEAVES[:size])
    assert reader.inclusion(index) == inclusion_proof(index, LEAVES[:size])
    assert reader.consistency(old) == consistency_proof(old, LEAVES[:size])


def test_an_independent_implementation_reads_the_log_and_makes_the_same_proofs(published: Path) -> None:
    reader_module = pytest.importorskip("tlog_scales.reader")
    backend = pytest.importorskip("tlog_scales.backend")
    signing = pytest.importorskip("tlog_scales.signing")
    reader = reader_module.TilesReader(backend.LocalBackend(published))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(signing.Vkey.from_string(str(verifier_key("example.org/log", LOG.public_key()))))
    assert reader.calculate_root_hash() == root_hash(LEAVES)
    ours = TileReader(published, 600)
    for index in (0, 1, 255, 256, 511, 512, 599):
        theirs = reader.get_inclusion_proof(index, 600)
        assert list(theirs.node_hashes) == ours.inclusion(index)
        theirs.check(LEAVES[index], root_hash(LEAVES))
        assert reader.get_entry(index) == ENTRIES[index]
    for old in (1, 2, 255, 256, 300, 512, 599):
        theirs = reader.get_consistency_proof(old, 600)
        assert list(theirs.node_hashes) == ours.consistency(old)
        theirs.check(root_hash(LEAVES[:old]), root_hash(LEAVES))
