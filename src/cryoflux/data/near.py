"""The search for near duplicates: ``near/v1``.

Three windows of a text are looked for, 20 words each: its beginning, which is what a model mostly reads,
its middle and its end. A text counts as near to another one where that has at least 70 % of the pairs of
neighbouring words in one of them, wherever in it and in whatever order; or where the text has as much of
the beginning of the other one. So a copy is found that was cut, prolonged, led in or changed in about one
word of ten; one that says the same in other words is not.

A text with fewer than eight pairs is short: all of it is looked for, which is all pairs but one of those
with four to six, and only in texts with at most three times as many pairs, since longer ones have most
turns of speech. One with fewer than two pairs, so of one or two words, is not looked for at all.

The search is exact: it finds every pair that is near by this definition (a prefix filter, as in Chaudhuri
et al., 2006, on the rarest pairs of words), in time that grows with the length of the texts. Two limits
keep texts that were made to be alike from costing more; where one is reached, the answer says that it is
not whole.
"""

from __future__ import annotations

__all__ = ["NEAR", "Likeness", "find_near"]

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from cryoflux.data.fold import bare_words

NEAR = "near/v1"
"""the name of the search"""
_WINDOW = 20
"""words of each part of a text that is looked for"""
_LONG = 8
"""pairs of words of a text that is not short"""
_FEWEST = 2
"""pairs of words of a text that can be judged"""
_LONGER = 3
"""times as many pairs has a text at most in which a short one is looked for"""
_SHARE = 0.7
_MOST_CHARACTERS = 20_000_000
"""of the texts that are looked for, and again of those that are searched: 12 s, or 24 s if not ASCII"""
_MOST_COMPARED = 2_000_000
"""pairs of texts that are compared, each way: 3 s"""

_Compared = Callable[[int, int], bool]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a search has found."""

    near: dict[int, int]
    """index of a text that was looked for → index of one that is near to it"""
    judged: tuple[bool, ...]
    """of each text that was looked for, whether it is long enough for that"""
    short: tuple[bool, ...]
    """of each of them, whether it is long enough only to be looked for as a whole"""
    searched: int
    """texts that were searched, of those that were given"""
    whole: bool
    """whether every pair was looked at"""


class _Part(NamedTuple):
    """What is looked for of a text: a window, or all of it."""

    of: int
    pairs: frozenset[str]


class _Text(NamedTuple):
    """What a text that is searched has in common with those that are looked for."""

    shared: frozenset[str]
    """its pairs that any of them has"""
    length: int
    """all of its pairs"""
    head: frozenset[str]
    """pairs of its beginning that any of them has"""
    head_length: int


def find_near(wanted: Sequence[str], texts: Sequence[str], compared: _Compared | None = None) -> Likeness:
    """For each wanted text, one that is near to it.

    Args:
        wanted: those that are looked for.
        texts: those that are searched.
        compared: by index of a wanted text and of a text, whether the two are compared; all, without.
    """
    parts: list[_Part] = []
    wholes: list[frozenset[str]] = []
    left = _MOST_CHARACTERS
    for index, text in enumerate(wanted):
        left -= len(text)
        words = bare_words(text) if left >= 0 else []
        wholes.append(_pairs(words))
        parts += [_Part(index, window) for window in _windows(words, wholes[-1])]
    read = _read(frozenset[str]().union(*wholes), texts)
    near, finished = _compare(parts, wholes, read, compared)
    finished &= _exchanged(wholes, read, compared, near)
    lengths = list(map(len, wholes))
    return Likeness(
        near,
        tuple(length >= _FEWEST for length in lengths),
        tuple(_FEWEST <= length < _LONG for length in lengths),
        len(read),
        whole=finished and left >= 0 and len(read) == len(texts),
    )


def _pairs(words: Sequence[str]) -> frozenset[str]:
    return frozenset(map(" ".join, pairwise(words)))


def _windows(words: Sequence[str], whole: frozenset[str]) -> list[frozenset[str]]:
    """Beginning, middle and end of a text, each of enough pairs; all of it where it is short."""
    if len(whole) < _LONG or len(words) <= _WINDOW:
        return [whole] if len(whole) >= _FEWEST else []
    last = len(words) - _WINDOW
    windows = [_pairs(words[start : start + _WINDOW]) for start in sorted({0, last // 2, last})]
    return [window for window in windows if len(window) >= _LONG]


def _read(known: frozenset[str], texts: Iterable[str]) -> list[_Text]:
    """Of each text what it has of the pairs that are looked for, as far as they are read."""
    read: list[_Text] = []
    left = _MOST_CHARACTERS
    for text in texts:
        if known:
            left -= len(text)
            if left < 0:
                break
            pairs = list(map(" ".join, pairwise(bare_words(text))))
            whole = frozenset(pairs)
            head = whole if len(pairs) < _WINDOW else frozenset(pairs[: _WINDOW - 1])
            read.append(_Text(known & whole, len(whole), known & head, len(head)))
        else:
            read.append(_Text(known, 0, known, 0))
    return read


def _needed(length: int) -> int:
    return -int(-length * _SHARE // 1)


def _fits(length: int, other: int) -> bool:
    """Whether something with so many pairs says enough to be looked for in a text with so many."""
    return length >= _LONG or (length >= _FEWEST and other <= _LONGER * length)


def _compare(
    parts: Sequence[_Part],
    wholes: Sequence[frozenset[str]],
    read: Sequence[_Text],
    compared: _Compared | None,
) -> tuple[dict[int, int], bool]:
    """Index of a wanted text → index of one that has a part of it, and whether all were compared."""
    often = Counter(pair for text in read for pair in text.shared)
    # Two that are near have one of these in common: so many of the others cannot be enough.
    places = defaultdict[str, set[int]](set)
    for number, part in enumerate(parts):
        rarest = sorted(part.pairs, key=lambda pair: (often[pair], pair))
        for pair in rarest[: len(part.pairs) - _needed(len(part.pairs)) + 1]:
            places[pair].add(number)
    near: dict[int, int] = {}
    left = _MOST_COMPARED
    for place, text in enumerate(read):
        lists = [found for pair in text.shared & places.keys() if (found := places[pair])]
        left -= sum(map(len, lists))
        if left < 0:
            return near, False
        for number in set[int]().union(*lists):
            index, pairs = parts[number]
            if (
                len(pairs & text.shared) >= _needed(len(pairs))
                and _fits(len(wholes[index]), text.length)
                and (compared is None or compared(index, place))
            ):
                near.setdefault(index, place)
                for pair in pairs & places.keys():
                    places[pair].discard(number)  # one is enough
    return near, True


def _exchanged(
    wholes: Sequence[frozenset[str]],
    read: Sequence[_Text],
    compared: _Compared | None,
    near: dict[int, int],
) -> bool:
    """Add the wanted texts that have the beginning of a text; whether all were compared."""
    places: Mapping[str, list[int]] = _places(wholes, near)
    left = _MOST_COMPARED
    for place, text in enumerate(read):
        needed = _needed(text.head_length)
        spare = len(text.head) - needed + 1
        if text.head_length < _FEWEST or spare <= 0:
            continue
        rarest = sorted(text.head, key=lambda pair: (len(places.get(pair, ())), pair))[:spare]
        lists = [found for pair in rarest if (found := places.get(pair))]
        left -= sum(map(len, lists))
        if left < 0:
            return False
        for index in set[int]().union(*lists):
            if (
                index not in near
                and len(text.head & wholes[index]) >= needed
                and _fits(text.head_length, len(wholes[index]))
                and (compared is None or compared(index, place))
            ):
                near[index] = place
    return True


def _places(wholes: Sequence[frozenset[str]], near: Mapping[int, int]) -> dict[str, list[int]]:
    """Pair of words → indices of the wanted texts that have it and are not known to be near."""
    places = defaultdict[str, list[int]](list)
    for index, whole in enumerate(wholes):
        if index not in near:
            for pair in whole:
                places[pair].append(index)
    return dict(places)
