"""How sets are split off where examples have classes: ``lowest-hash/v2``.

Of copies by the fold, the text with the lowest SHA-256 of its normalised form may be drawn; the others stay
beside it in the training set or are dropped. A set of a size has of each class as many texts as its share of
those that are left (`shares_of`), and of each class those with the lowest hashes; in the set they are in the
order of their hashes. The holdout comes first, then the audit set, then the spares. So whoever has all sets
can draw them again, class by class.

``lowest-hash/v1`` did not look at classes, and could put all of a rare one into the holdout.
"""

from __future__ import annotations

__all__ = [
    "BY_CLASS",
    "LEAST_OF_CLASS",
    "Drawing",
    "DrawnText",
    "draw",
    "is_drawn_by_class",
    "shares_of",
    "with_enough",
]

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from cryoflux.data.lowest_hash import key_hash

BY_CLASS = "lowest-hash/v2"
LEAST_OF_CLASS = 3
"""of a class of so many texts one is drawn; with fewer, one or none as its share has it, and one stays"""


class DrawnText(NamedTuple):
    """A text that may be drawn."""

    key: str
    """its normalised form"""
    label: str
    fold: str
    """what its copies share"""
    hashed: bytes
    """SHA-256 of its normalised form"""

    @classmethod
    def of(cls, key: str, label: str, fold: str) -> DrawnText:
        """The text with its hash."""
        return cls(key, label, fold, key_hash(key))


class Drawing(NamedTuple):
    """A set that was drawn, and what is left."""

    drawn: list[str]
    """keys, lowest hash first"""
    left: list[DrawnText]


def shares_of(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """How many texts of each class a set has.

    In proportion to what there is of a class, rounded so that they add up: at least one of a class that has
    three texts, at most half of any.

    Args:
        counts: class → texts.
        size: of the set; what does not fit these bounds is left out.
    """
    total = sum(counts.values())
    most = {label: count // 2 for label, count in counts.items()}
    least = {label: int(count >= LEAST_OF_CLASS) for label, count in counts.items()}
    size = min(size, sum(most.values()))
    found = {
        label: max(least[label], min(most[label], size * count // total)) for label, count in counts.items()
    }
    _move(found, size - sum(found.values()), {k: size * n for k, n in counts.items()}, total, most, least)
    return found


def _move(
    found: dict[str, int],
    missing: int,
    wanted: Mapping[str, int],
    total: int,
    most: Mapping[str, int],
    least: Mapping[str, int],
) -> None:
    """Add or take away one at a time where it is farthest from its share, the first class by name first."""
    step, bound = (1, most) if missing > 0 else (-1, least)
    heap = [(step * (found[k] * total - wanted[k]), k) for k in found if found[k] != bound[k]]
    heapq.heapify(heap)
    for _ in range(abs(missing)):
        if not heap:
            return
        far, label = heapq.heappop(heap)
        found[label] += step
        if found[label] != bound[label]:
            heapq.heappush(heap, (far + total, label))


def with_enough(pool: Iterable[DrawnText]) -> int:
    """How many classes have as many texts that one of them is always drawn."""
    counts = _counts(_firsts(_sorted(pool)))
    return sum(count >= LEAST_OF_CLASS for count in counts.values())


def draw(pool: Iterable[DrawnText], size: int) -> Drawing:
    """Draw a set of at most ``size`` texts; copies of what is drawn are not left."""
    texts = _sorted(pool)
    firsts = _firsts(texts)
    chosen = _lowest(firsts, shares_of(_counts(firsts), size))
    taken = {text.fold for text in chosen}
    return Drawing([text.key for text in chosen], [text for text in texts if text.fold not in taken])


def is_drawn_by_class(
    sets: Sequence[Sequence[DrawnText]], rest: Iterable[DrawnText], *, exactly: bool = True
) -> bool:
    """Whether the rule draws these sets.

    Args:
        sets: the texts of each, in the order in which they are drawn.
        rest: those that are trained on.
        exactly: whether all texts are there; else only the order of the hashes is compared, class by class.
    """
    if not all(_rising(texts) for texts in sets):
        return False
    firsts = _firsts(_sorted(rest))
    if not exactly:
        return _in_order([*sets, firsts])
    for place in reversed(range(len(sets))):
        pool = _sorted([*sets[place], *firsts])
        if len(_firsts(pool)) != len(pool):
            return False  # a copy of what was drawn was left, or drawn twice
        if _lowest(pool, shares_of(_counts(pool), len(sets[place]))) != [*sets[place]]:
            return False
        firsts = pool
    return True


def _sorted(texts: Iterable[DrawnText]) -> list[DrawnText]:
    return sorted(texts, key=lambda text: text.hashed)


def _rising(texts: Sequence[DrawnText]) -> bool:
    return all(one.hashed < other.hashed for one, other in pairwise(texts))


def _in_order(sets: Sequence[Sequence[DrawnText]]) -> bool:
    highest: dict[str, bytes] = {}
    for texts in sets:
        for text in texts:
            if text.hashed <= highest.get(text.label, b""):
                return False
            highest[text.label] = text.hashed
    return True


def _firsts(texts: Sequence[DrawnText]) -> list[DrawnText]:
    """Of copies the one with the lowest hash; all are in the order of their hashes."""
    firsts: dict[str, DrawnText] = {}
    for text in texts:
        firsts.setdefault(text.fold, text)
    return list(firsts.values())


def _counts(texts: Iterable[DrawnText]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for text in texts:
        counts[text.label] += 1
    return counts


def _lowest(texts: Sequence[DrawnText], shares: Mapping[str, int]) -> list[DrawnText]:
    left = dict(shares)

    def chosen() -> Iterator[DrawnText]:
        for text in texts:
            if left[text.label]:
                left[text.label] -= 1
                yield text

    return list(chosen())
