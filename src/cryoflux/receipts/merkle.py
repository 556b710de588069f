"""The Merkle tree of the log: hashes, roots and proofs of RFC 6962 and RFC 9162 §2.1.

``leaf = SHA-256(0x00 ‖ entry)``, ``node = SHA-256(0x01 ‖ left ‖ right)``; a tree of n > 1 leaves splits at
the largest power of two below n. Everything here is a pure function of hashes.
"""

from __future__ import annotations

__all__ = [
    "EMPTY_ROOT",
    "CompactRange",
    "consistency_proof",
    "consistency_ranges",
    "fold_peaks",
    "inclusion_proof",
    "inclusion_ranges",
    "leaf_hash",
    "node_hash",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
]

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of the perfect subtrees of a growing tree: all that an append needs to know."""

    __slots__ = ("peaks", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.peaks: list[bytes] = []
        """the widest first"""
        self.size = 0
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash on the right."""
        carry, position = leaf, self.size
        while position & 1:
            carry = node_hash(self.peaks.pop(), carry)
            position >>= 1
        self.peaks.append(carry)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return fold_peaks(self.peaks)


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that stand side by side, the widest first."""
    if not peaks:
        return EMPTY_ROOT
    *rest, root = peaks
    for peak in reversed(rest):
        root = node_hash(peak, root)
    return root


def root_hash(leaves: Iterable[bytes]) -> bytes:
    """The root over some leaf hashes."""
    return CompactRange(leaves).root()


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots are the inclusion proof of leaf ``index``, from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    ranges, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes that show that leaf ``index`` is in the tree, from the leaf upwards."""
    return [root_hash(leaves[slice(*part)]) for part in inclusion_ranges(index, len(leaves))]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that ``leaf`` is number ``index`` of the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            found = node_hash(sibling, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and found == root


def consistency_ranges(old_size: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots show that the first ``old_size`` leaves are a prefix of the tree."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} has no prefix of {old_size}")
    if old_size in (0, size):
        return []
    ranges, start, end = [], 0, size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    # A left edge that is the whole old tree is known to whoever asks.
    return [*([(start, end)] if start else []), *ranges[::-1]]


def consistency_proof(old_size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes that show that the tree of the first ``old_size`` leaves is a prefix of this one."""
    return [root_hash(leaves[slice(*part)]) for part in consistency_ranges(old_size, len(leaves))]


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that the old tree is a prefix of the new one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    return bool(path) and _consistent(old_size - 1, new_size - 1, path) == (old_root, new_root)


def _consistent(first: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    while first & 1:
        first, last = first >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if first & 1 or first == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        first, last = first >> 1, last >> 1
    return (old, new) if last == 0 else None
