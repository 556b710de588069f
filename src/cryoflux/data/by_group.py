"""How sets are split off where documents are chunks of larger ones: ``lowest-hash-of-group/v2``.

Groups that have a copy of each other's chunks are one group, and so are those that such a one joins: on
whichever side one of them goes, all go. Groups are taken in the order of the lowest SHA-256 among their
chunks' normalised texts, each that still fits as a whole into what a set has left; in the set the chunks are
in the order of their hashes. The holdout comes first, then the audit set, then the spares. So whoever has all
sets can draw them again: what a set has in all is as much as it could hold, since a group that did not fit
into more does not fit into that.

``v1`` drew in the same way and joined no groups: a copy was dropped with the name of its group, and other
chunks of that group could be trained on.
"""

from __future__ import annotations

__all__ = ["BY_GROUP", "BY_GROUP_APART", "Chunk", "draw", "is_drawn_by_group", "joined"]

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryoflux.data.lowest_hash import key_hash

BY_GROUP = "lowest-hash-of-group/v2"
BY_GROUP_APART = "lowest-hash-of-group/v1"


class Chunk(NamedTuple):
    """A text that may be drawn, with what it is a chunk of."""

    key: str
    """its normalised form"""
    group: str
    """empty where it is whole"""
    hashed: bytes
    """SHA-256 of its normalised form"""

    @classmethod
    def of(cls, key: str, group: str) -> Chunk:
        """The text with its hash."""
        return cls(key, group, key_hash(key))


def joined(chunks: Sequence[tuple[str, str]]) -> list[str]:
    """Of each chunk the group that it is of once groups with copies are one: the first of them by name.

    Args:
        chunks: group, empty where it is whole; and what its copies share.
    """
    above: dict[tuple[bool, str], tuple[bool, str]] = {}

    def top(node: tuple[bool, str]) -> tuple[bool, str]:
        while (higher := above.setdefault(node, node)) != node:
            above[node] = above[higher]
            node = higher
        return node

    for group, fold in chunks:
        copies = top((True, fold))
        if group:
            below, over = sorted((copies, top((False, group))), reverse=True)
            above[below] = over
    tops = [top((True, fold)) for _, fold in chunks]
    return ["" if is_fold else name for is_fold, name in tops]


def draw(pool: Iterable[Chunk], most: int) -> list[Chunk]:
    """The chunks of a set of at most so many, lowest hash first."""
    groups: dict[tuple[bool, str], list[Chunk]] = defaultdict(list)
    for chunk in sorted(pool, key=lambda chunk: chunk.hashed):
        groups[(True, chunk.group) if chunk.group else (False, chunk.key)].append(chunk)
    drawn: list[Chunk] = []
    for chunks in groups.values():
        if len(drawn) + len(chunks) <= most:
            drawn += chunks
    return sorted(drawn, key=lambda chunk: chunk.hashed)


def is_drawn_by_group(sets: Sequence[Sequence[Chunk]], rest: Iterable[Chunk]) -> bool:
    """Whether the rule draws these sets.

    Args:
        sets: the chunks of each, in the order in which they are drawn.
        rest: those that are trained on.
    """
    pool = [*rest]
    for chunks in reversed(sets):
        pool += chunks
        if draw(pool, len(chunks)) != [*chunks]:
            return False
    return True
