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
