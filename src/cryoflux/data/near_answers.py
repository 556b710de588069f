"""Which documents no language model is trained on, since they answer as one that judges: ``near-answers/v1``.

A model learns the answer of a document; what comes before it is often the same template in all of them. So
answers are compared, by `cryoflux.data.near`, and the rule holds where no answer that is trained on is near
to one that judges and has eight pairs of words or more. A shorter one may well be the answer to many
questions. A document without a question is all answer.

The rule includes the one of `cryoflux.data.fold`: no text of one set is a copy of a text of another one.
"""

from __future__ import annotations

__all__ = ["NEAR_ANSWERS", "Answered", "find_near_documents", "near_answers"]

from collections.abc import Sequence
from typing import NamedTuple

from cryoflux.data.near import Likeness, find_near

NEAR_ANSWERS = "near-answers/v1"


class Answered(NamedTuple):
    """A document as it is compared."""

    text: str
    """all of it"""
    answer: str
    """what of it is learned"""


def near_answers(judging: Sequence[str], trained: Sequence[str]) -> tuple[set[int], bool]:
    """Places of answers that are not to be trained on, and whether every pair was looked at.

    Args:
        judging: answers that judge.
        trained: those that would be trained on.
    """
    pairs: list[tuple[int, int]] = []

    def meets(index: int, place: int) -> bool:
        pairs.append((index, place))
        return False  # so that the others that are near to it are met as well

    found = find_near(judging, trained, meets)
    return {place for index, place in pairs if not found.short[index]}, found.whole


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
