"""The Merkle tree over the losses of one evaluation, so that a few of them can be shown without the rest.

A receipt signs its root. One leaf an example that was read, in reading order where reading stopped early and
in the holdout's order otherwise: uint32 LE index in the holdout, int64 LE base loss, int64 LE new loss (both
nano-nats), u8 base correct, u8 new correct. The tree is that of RFC 6962, as the log's is.
"""

from __future__ import annotations

__all__ = ["loss_leaves", "losses_root"]

import struct
from collections.abc import Sequence

from cryoflux.receipts.merkle import leaf_hash, root_hash

_LEAF = struct.Struct("<Iqq??")


def loss_leaves(
    indices: Sequence[int],
    base: Sequence[int],
    new: Sequence[int],
    base_correct: Sequence[bool],
    new_correct: Sequence[bool],
) -> list[bytes]:
    """The bytes of each leaf.

    Args:
        indices: of the examples in the holdout, in the order of the columns.
        base: losses of the base, nano-nats.
        new: losses of the candidate, nano-nats.
        base_correct: which examples the base gets right.
        new_correct: which the candidate gets right.
    """
    rows = zip(indices, base, new, base_correct, new_correct, strict=True)
    return [_LEAF.pack(*row) for row in rows]


def losses_root(leaves: Sequence[bytes]) -> str:
    """The root over some leaves, hexadecimal."""
    return root_hash(map(leaf_hash, leaves)).hex()
