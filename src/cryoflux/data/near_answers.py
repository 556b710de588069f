"""Which documents no language model is trained on, since they answer as one that judges: ``near-answers/v1``.

A model learns the answer of a document; what comes before it is often the same template in all of them. So
answers are compared, by `cryoflux.data.near`, and the rule holds where no answer that is trained on is near
to one that judges and has eight pairs of words or more. A shorter one may well be the answer to many
questions. A document without a question is all answer.

The rule includes the one of `cryoflux.data.fold`: no text of one set is a copy of a text of another one.

One search of `near` comes to a limit where texts are long or many are alike. So answers are searched in
slices, each text once, and a slice that came to a limit in halves, until all is searched: whoever makes the
sets and whoever verifies them find the same. What is left after so many searches is said, not passed over.
"""

from __future__ import annotations

__all__ = ["NEAR_ANSWERS", "Answered", "NearAnswers", "find_near_documents", "near_answers"]

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cryoflux.data.near import Likeness, find_near

NEAR_ANSWERS = "near-answers/v1"
_MOST_CHARACTERS = 10_000_000
"""of a slice: half of what `find_near` reads"""
_MOST_SEARCHES = 512
"""of some seconds each at most: 5 billion characters where nothing is alike"""


class Answered(NamedTuple):
    """A document as it is compared."""

    text: str
    """all of it"""
    answer: str
    """what of it is learned"""


class NearAnswers(NamedTuple):
    """What was found among answers that would be trained on."""

    near: frozenset[int]
    """places of those that are near to one that judges"""
    unsearched: frozenset[int]
    """places of others, not held against all that judge: they are too long, or too many are alike"""


def near_answers(judging: Sequence[str], trained: Sequence[str]) -> NearAnswers:
    """Which answers are not to be trained on, and of which that is not known.

    Args:
        judging: answers that judge.
        trained: those that would be trained on.
    """
    places = defaultdict[str, list[int]](list)
    for place, answer in enumerate(trained):
        places[answer].append(place)
    waiting = [(judged, answers) for judged in _slices(dict.fromkeys(judging)) for answers in _slices(places)]
    waiting.reverse()
    near, unsearched = set[str](), set[str]()
    searches = 0
    while waiting:
        judged, answers = waiting.pop()
        answers = [answer for answer in answers if answer not in near]
        if searches == _MOST_SEARCHES:
            unsearched.update(answers)
            continue
        searches += 1
        found, whole = _search(judged, answers)
        near |= found
        left = [answer for answer in answers if answer not in found]
        if whole or not left:
            continue
        if len(answers) == 1:
            unsearched.update(left)
            continue
        middle = len(left) // 2
        waiting += [(judged, half) for half in (left[middle:], left[:middle]) if half]
    return NearAnswers(
        *(
            frozenset(place for answer in some for place in places[answer])
            for some in (near, unsearched - near)
        )
    )


def _slices(answers: Iterable[str]) -> Iterator[list[str]]:
    """They in order, as many at a time as one search reads."""
    one: list[str] = []
    length = 0
    for answer in answers:
        if one and length + len(answer) > _MOST_CHARACTERS:
            yield one
            one, length = [], 0
        one.append(answer)
        length += len(answer)
    if one:
        yield one


def _search(judging: Sequence[str], trained: Sequence[str]) -> tuple[set[str], bool]:
    """Those that are near to one that judges, and whether every pair was looked at."""
    pairs = set[tuple[int, int]]()

    def meets(index: int, place: int) -> bool:
        pairs.add((index, place))
        return False  # so that the others that are near to it are met as well

    found = find_near(judging, trained, meets)
    return {trained[place] for index, place in pairs if not found.short[index]}, found.whole


def find_near_documents(wanted: Sequence[Answered], documents: Sequence[Answered]) -> Likeness:
    """For each wanted document, one that is near to it: by its answer where that is long, else by all of it.

    A short answer has to be near as well, where it has words enough to tell.
    """
    whole = find_near([one.text for one in wanted], [one.text for one in documents])
    if all(one.text == one.answer for one in (*wanted, *documents)):
        return whole
    answers = find_near([one.answer for one in wanted], [one.answer for one in documents])
    long = [judged and not short for judged, short in zip(answers.judged, answers.short, strict=True)]
    near = {index: place for index, place in answers.near.items() if long[index]}
    near |= {
        index: place
        for index, place in whole.near.items()
        if not long[index] and (index in answers.near or not answers.judged[index])
    }
    return Likeness(
        near,
        whole.judged,
        tuple(judged and not is_long for judged, is_long in zip(whole.judged, long, strict=True)),
        min(whole.searched, answers.searched),
        whole.whole and answers.whole,
    )
