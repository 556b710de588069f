"""Leaves examples of frequent classes out, where somebody asks for it.

Which ones is settled by a hash of their text alone, another one than the split draws by: the same file gives
the same examples whatever their order. It comes before the split, so a holdout that is split off is balanced
too, and Δ is of that balance.
"""

from __future__ import annotations

__all__ = ["balanced"]

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from cryoflux.data.examples import Example, normalise


def balanced(examples: Sequence[Example], most_times: int) -> list[Example]:
    """The examples without those that a class has beyond so many times the smallest one's; in their order.

    Args:
        examples: of a file.
        most_times: how many times; 0 leaves them as they are.
    """
    counts = Counter(example.label for example in examples)
    if not most_times or not counts:
        return list(examples)
    most = most_times * min(counts.values())
    places: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for place, example in enumerate(examples):
        if counts[example.label] > most:
            places[example.label].append((_hash(example.text), place))
    gone = {place for ranked in places.values() for _, place in sorted(ranked)[most:]}
    return [example for place, example in enumerate(examples) if place not in gone]


def _hash(text: str) -> bytes:
    return hashlib.sha256(b"balance/v1\0" + normalise(text).encode("utf-8", "surrogatepass")).digest()
