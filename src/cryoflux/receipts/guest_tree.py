"""The salted tree over a guest holdout, and what seals a verdict on it until it retires.

A node enters the root of its guest holdout into its log before any capsule that it judges was committed, and
shows no example until the holdout retires. Every leaf is salted, so that nobody can try whether a text that
he has is among them, and all salts follow from one key of 32 bytes, which the opening publishes:

    saltᵢ = HMAC-SHA256(key, "cryoflux guest example" ‖ uint64 BE i)      32 bytes
    leafᵢ = SHA-256(0x00 ‖ saltᵢ ‖ RFC 8785 bytes of example i)
    root  = the tree of RFC 6962 over the leaves

A round publishes one bit of its look at the guest holdout, and the rest as digests under salts of the same
key, named by the leaf hash of the entry that announced the round:

    sealed = SHA-256(HMAC(key, "cryoflux sealed sums" ‖ intent) ‖ RFC 8785 bytes of the sums)
    losses = the tree of RFC 6962 over
             HMAC(key, "cryoflux sealed losses" ‖ intent ‖ uint64 BE i) ‖ loss leaf i

with the loss leaves of `cryoflux.receipts.losses_tree`.
"""

from __future__ import annotations

__all__ = ["KEY_BYTES", "guest_root", "seal", "sealed_losses_root"]

import hashlib
import hmac
from collections.abc import Sequence

from cryoflux.receipts.merkle import leaf_hash, root_hash

KEY_BYTES = 32
_EXAMPLE = b"cryoflux guest example"
_SUMS = b"cryoflux sealed sums"
_LOSSES = b"cryoflux sealed losses"


def guest_root(examples: Sequence[bytes], key: bytes) -> str:
    """The root over the examples of a guest holdout, hexadecimal.

    Args:
        examples: the RFC 8785 bytes of each, in order.
        key: what all salts follow from; secret until the holdout retires.
    """
    leaves = (leaf_hash(_salt(key, _EXAMPLE + _number(at)) + example) for at, example in enumerate(examples))
    return root_hash(leaves).hex()


def seal(sums: bytes, key: bytes, intent: str) -> str:
    """What a round publishes in place of its sums.

    Args:
        sums: the RFC 8785 bytes of the sums.
        key: of the guest holdout.
        intent: leaf hash of the entry that announced the round, hexadecimal.
    """
    return hashlib.sha256(_salt(key, _SUMS + bytes.fromhex(intent)) + sums).hexdigest()


def sealed_losses_root(leaves: Sequence[bytes], key: bytes, intent: str) -> str:
    """The root over the salted losses of a look, hexadecimal.

    Args:
        leaves: of the losses, as `losses_tree.loss_leaves` makes them.
        key: of the guest holdout.
        intent: leaf hash of the entry that announced the round, hexadecimal.
    """
    named = _LOSSES + bytes.fromhex(intent)
    salted = (leaf_hash(_salt(key, named + _number(at)) + leaf) for at, leaf in enumerate(leaves))
    return root_hash(salted).hex()


def _salt(key: bytes, what: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key of a guest holdout has {KEY_BYTES} bytes, not {len(key)}")
    return hmac.digest(key, what, "sha256")


def _number(at: int) -> bytes:
    return at.to_bytes(8, "big")
