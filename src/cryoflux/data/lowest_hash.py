"""How sets are split off, whatever their classes: ``lowest-hash/v1``.

Of the training file's texts, each once, those whose normalised text has the lowest SHA-256 are the holdout,
the next ones the audit set, the next ones the spare holdouts, and the others are trained on. Whoever has
all sets can draw them again, and sees whether an example was put into a holdout by hand. What the rule does
not say is which texts the file holds.

Texts with classes were split off by it, and are by `by_class` now.
"""

from __future__ import annotations

__all__ = ["GIVEN", "LOWEST_HASH", "by_hash", "is_drawn", "key_hash", "may_differ"]

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

LOWEST_HASH = "lowest-hash/v1"
GIVEN = "given"
"""what stands in the place of a rule where the owner has handed over a set"""
_NEWER = re.compile(
    "[\u1c89\ua7cb\ua7cc\ua7ce\ua7d2\ua7d4\ua7da\ua7dc\ua7f1\U00010d50-\U00010d65\U00016ea0-\U00016eb8"
    "\U0001ccd6-\U0001ccf9\U0001e030-\U0001e06d]"
)
"""characters that came after Unicode 14 and that normalisation changes where Python knows them"""


def key_hash(key: str) -> bytes:
    """SHA-256 of a normalised text."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def by_hash(keys: Iterable[str]) -> list[str]:
    """Normalised texts in the order in which they are drawn."""
    return sorted(keys, key=key_hash)


def is_drawn(sets: Sequence[Sequence[str]], rest: Iterable[str]) -> bool:
    """Whether the rule draws these sets.

    Args:
        sets: the normalised texts of each, in the order in which they are drawn.
        rest: those that are trained on.
    """
    drawn = [key_hash(key) for keys in sets for key in keys]
    rising = all(one < other for one, other in pairwise(drawn))
    return rising and (not drawn or all(drawn[-1] < key_hash(key) for key in rest))


def may_differ(texts: Iterable[str]) -> bool:
    """Whether another Python may normalise one of these texts in another way."""
    return any(
        _NEWER.search(text) or any(unicodedata.category(c) == "Cn" for c in text)
        for text in texts
        if not text.isascii()
    )
