"""The search for near duplicates: ``near/v1``.

What a model mostly reads of a text is its beginning. A text counts as near to another one where that has at
least 70 % of the pairs of neighbouring words in its first 20 words, wherever in it and in whatever order.
So a copy is found that was cut, prolonged or changed in about one word of ten; one that says the same in
other words is not. Texts with fewer than eight such pairs are too short to be judged by them.

The search is exact: it finds every pair that is near by this definition (a prefix filter, as in Chaudhuri
et al., 2006, on the rarest pairs of words), in time that grows with the length of the texts. Two limits
keep texts that were made to be alike from costing more; where one is reached, the answer says that it is
not whole.
"""

from __future__ import annotations

__all__ = ["NEAR", "Likeness", "find_near"]

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryoflux.data.fold import bare_words

NEAR = "near/v1"
"""the name of the search; another outcome for any texts needs another name"""
_HEAD = 20
"""words of a text that are looked for"""
_FEWEST = 8
"""pairs of words of a text that can be judged"""
_SHARE = 0.7
_MOST_CHARACTERS = 20_000_000
"""of the texts that are searched: 10 s, or 20 s where they are not ASCII"""
_MOST_COMPARED = 2_000_000
"""pairs of texts that are compared: 3 s"""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a search has found."""

    near: dict[int, int]
    """index of a text that was looked for → index of one that is near to it"""
    judged: tuple[bool, ...]
    """of each text that was looked for, whether it is long enough"""
    searched: int
    """texts that were searched, of those that were given"""
    whole: bool
    """whether every pair was looked at"""


def find_near(wanted: Sequence[str], texts: Sequence[str]) -> Likeness:
    """For each wanted text, one that is near to it."""
    heads = [_pairs(bare_words(text)[:_HEAD]) for text in wanted]
    heads = [head if len(head) >= _FEWEST else frozenset() for head in heads]
    judged = tuple(map(bool, heads))
    shared, searched = _shared(frozenset[str]().union(*heads), texts)
    near, finished = _compare(heads, shared)
    return Likeness(near, judged, searched, whole=finished and searched == len(texts))


def _pairs(words: Sequence[str]) -> frozenset[str]:
    return frozenset(map(" ".join, pairwise(words)))


def _shared(known: frozenset[str], texts: Iterable[str]) -> tuple[list[frozenset[str]], int]:
    """Of each text the pairs that occur in what is looked for, and how many texts were read."""
    shared: list[frozenset[str]] = []
    left = _MOST_CHARACTERS if known else 0
    for text in texts:
        left -= len(text)
        if left < 0 and known:
            break
        shared.append(known & _pairs(bare_words(text)) if known else known)
    return shared, len(shared)


def _needed(head: frozenset[str]) -> int:
    return -int(-len(head) * _SHARE // 1)


def _compare(
    heads: Sequence[frozenset[str]], shared: Sequence[frozenset[str]]
) -> tuple[dict[int, int], bool]:
    """Index of a head → index of a text that is near to it, and whether all were compared."""
    often = Counter(pair for pairs in shared for pair in pairs)
    # Two that are near have one of these in common: so many of the others cannot be enough.
    places = defaultdict[str, set[int]](set)
    for index, head in enumerate(heads):
        rarest = sorted(head, key=lambda pair: (often[pair], pair))
        for pair in rarest[: len(head) - _needed(head) + 1] if head else ():
            places[pair].add(index)
    near: dict[int, int] = {}
    left = _MOST_COMPARED
    for place, pairs in enumerate(shared):
        lists = [found for pair in pairs & places.keys() if (found := places[pair])]
        left -= sum(map(len, lists))
        if left < 0:
            return near, False
        for index in set[int]().union(*lists):
            if len(heads[index] & pairs) >= _needed(heads[index]):
                near[index] = place
                for pair in heads[index] & places.keys():
                    places[pair].discard(index)  # one is enough
    return near, True
