"""A guest holdout's root binds its examples and their order, and tells nothing of them; a seal binds sums."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.receipts.guest_tree import guest_root, seal, sealed_losses_root
from cryoflux.receipts.merkle import node_hash

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
INTENT = "ab" * 32
EXAMPLES = st.lists(st.binary(max_size=40), min_size=1, max_size=20)


def test_it_is_the_tree_that_the_format_says() -> None:
    def leaf(at: int, example: bytes) -> bytes:
        salt = hmac.new(KEY, b"cryoflux guest example" + at.to_bytes(8, "big"), hashlib.sha256).digest()
        return hashlib.sha256(b"\x00" + salt + example).digest()

    found = node_hash(node_hash(leaf(0, b"a"), leaf(1, b"b")), leaf(2, b"c"))
    assert guest_root([b"a", b"b", b"c"], KEY) == found.hex()


@given(EXAMPLES, st.data())
def test_no_other_examples_order_or_key_give_the_same_root(
    examples: list[bytes], data: st.DataObject
) -> None:
    root = guest_root(examples, KEY)
    other = data.draw(EXAMPLES.filter(lambda found: found != examples))
    assert guest_root(other, KEY) != root
    assert guest_root(examples, OTHER) != root


def test_equal_examples_have_unequal_leaves_so_a_known_text_cannot_be_looked_for() -> None:
    assert guest_root([b"yes"], KEY) != guest_root([b"yes"], OTHER)
    first, second = guest_root([b"yes", b"no"], KEY), guest_root([b"no", b"yes"], KEY)
    assert first != second


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_seal_opens_to_one_text_of_one_round(sums: bytes, other: bytes) -> None:
    found = seal(sums, KEY, INTENT)
    assert found == seal(sums, KEY, INTENT)
    assert (seal(other, KEY, INTENT) == found) == (other == sums)
    assert found != seal(sums, OTHER, INTENT)
    assert found != seal(sums, KEY, "cd" * 32)


def test_the_same_losses_look_different_in_every_round() -> None:
    leaves = [b"x" * 22, b"y" * 22]
    assert sealed_losses_root(leaves, KEY, INTENT) != sealed_losses_root(leaves, KEY, "cd" * 32)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        guest_root([b"a"], b"short")
