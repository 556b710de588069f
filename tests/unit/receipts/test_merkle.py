from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.receipts.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves of the reference implementation of RFC 6962 and its root of all of them.
REFERENCE = [bytes.fromhex(t) for t in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
REFERENCE_ROOT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % i) for i in range(size)]


def test_reference_vectors_of_rfc_6962() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_hash(leaf_hash(entry) for entry in REFERENCE).hex() == REFERENCE_ROOT


ROOTS = {
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    8: REFERENCE_ROOT,
}
A = "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
D = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
E = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


@pytest.mark.parametrize(
    ("index", "size", "leaf", "proof"),
    [
        (5, 8, "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658", [C, D, E]),
        (2, 3, A, [ROOTS[2]]),
        (1, 5, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", B, C]),
    ],
)  # fmt: skip
def test_inclusion_proofs_of_other_implementations(
    index: int, size: int, leaf: str, proof: list[str]
) -> None:
    """From the test data of transparency-dev/merkle, over the same eight leaves."""
    leaves = [leaf_hash(entry) for entry in REFERENCE[:size]]
    assert leaves[index].hex() == leaf
    assert [found.hex() for found in inclusion_proof(index, leaves)] == proof
    hashes = [bytes.fromhex(text) for text in proof]
    assert verify_inclusion(index, size, leaves[index], hashes, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "proof"), [(6, 8, [F, D, E]), (2, 5, [B, C])])
def test_consistency_proofs_of_other_implementations(old: int, new: int, proof: list[str]) -> None:
    """From the test data of transparency-dev/merkle, over the same eight leaves."""
    leaves = [leaf_hash(entry) for entry in REFERENCE[:new]]
    assert [found.hex() for found in consistency_proof(old, leaves)] == proof
    roots = [bytes.fromhex(ROOTS[size]) for size in (old, new)]
    assert verify_consistency(old, new, *roots, [bytes.fromhex(text) for text in proof])


def test_root_and_append_agree_with_the_definition() -> None:
    growing = CompactRange()
    leaves = leaves_of(130)
    for size in range(131):
        assert growing.root() == root_hash(leaves[:size]) == naive_root(leaves[:size])
        if size < 130:
            growing.append(leaves[size])


@given(st.integers(1, 300), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_and_place_only(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, leaves), naive_root(leaves)
    assert verify_inclusion(index, size, leaves[index], proof, root)
    assert not verify_inclusion(index, size, leaf_hash(b"other"), proof, root)
    assert not verify_inclusion(index + 1, size, leaves[index], proof, root)
    assert not verify_inclusion(index, size, leaves[index], [*proof, root], root)
    if proof:
        assert not verify_inclusion(index, size, leaves[index], proof[:-1], root)


@given(st.integers(0, 300), st.data())
def test_a_consistency_proof_holds_for_a_prefix_only(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, leaves)
    old_root, root = naive_root(leaves[:old]), naive_root(leaves)
    assert verify_consistency(old, size, old_root, root, proof)
    forked = naive_root([leaf_hash(b"fork"), *leaves[1:old]])
    if old:
        assert not verify_consistency(old, size, forked, root, proof)
        assert not verify_consistency(old, size, old_root, leaf_hash(b""), proof)
    assert not verify_consistency(old, size, old_root, root, [*proof, root])
    if proof:
        assert not verify_consistency(old, size, old_root, root, proof[:-1])


def test_proofs_outside_the_tree_are_refused() -> None:
    for index in (-1, 3):
        with pytest.raises(ValueError, match="not in a tree"):
            inclusion_proof(index, leaves_of(3))
        assert not verify_inclusion(index, 3, b"", [], b"")
    with pytest.raises(ValueError, match="no prefix"):
        consistency_proof(4, leaves_of(3))
    assert not verify_consistency(4, 3, b"", b"", [])
