"""Documents of a language model: chunks of one stay on one side, and no answer is on both.

A group on two sides is a failure where the log says that groups were drawn, else a question: who hands over
his own sets may call by ``group`` what he likes. An answer that is trained on though it is near to one that
judges is a failure where the log says that there is none (`cryoflux.data.near_answers`), and so is a document
that was left out and is not.
"""

from __future__ import annotations

__all__ = ["apart", "drawn_in_groups"]

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import ceil

from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART, Chunk, is_drawn_by_group
from cryoflux.data.examples import normalise
from cryoflux.data.fold import bare_words
from cryoflux.data.lowest_hash import may_differ
from cryoflux.data.near_answers import NEAR_ANSWERS, near_answers
from cryoflux.verification.read_sets import AUDIT, HOLDOUT, SIMILAR, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Finding, failed, unknown

_MOST_OF_ONE = 4
"""one in so many documents of a set that are chunks of one is a question"""
_FEWEST = 6
"""pairs of words that two have in common at least, where they are near and long"""
_SHARE = 0.7
"""of the pairs of a shorter one"""
_OF_ONE = 3
"""pairs of words that one character can make: it stands in a word, or parts two"""


def apart(sets: ReadSets) -> Iterator[Finding]:
    """Groups on two sides, sets that are mostly one group, and answers that are trained on and judge."""
    yield from _on_two_sides(sets)
    yield from _of_one_group(sets)
    if sets.rules is not None and sets.rules.copies == NEAR_ANSWERS and TRAIN in sets.lines:
        yield from _answers(sets)


def _on_two_sides(sets: ReadSets) -> Iterator[Finding]:
    groups = {file: {line.group for line in lines} - {""} for file, lines in sets.lines.items()}
    rules = sets.rules
    drawn = rules is not None and not {rules.holdout, rules.audit}.isdisjoint((BY_GROUP, BY_GROUP_APART))
    for one, other in combinations(groups, 2):
        if shared := groups[one] & groups[other]:
            detail = (
                f"has chunks of {len(shared)} documents of which {one} has others, such as {min(shared)!r}"
            )
            yield (failed if drawn else unknown)(f"{sets.where}/{other}", detail)


def _of_one_group(sets: ReadSets) -> Iterator[Finding]:
    for file in sets.judging:
        counts = Counter(line.group for line in sets.lines[file] if line.group)
        name, most = max(counts.items(), key=lambda one: (one[1], one[0]), default=("", 0))
        count = len(sets.lines[file])
        if most * _MOST_OF_ONE > count:
            detail = f"{most} of its {count} documents are chunks of one, {name!r}"
            yield unknown(f"{sets.where}/{file}", f"{detail}: who says what is a chunk of it chooses them")


def _answers(sets: ReadSets) -> Iterator[Finding]:
    # in the order in which they were held against each other when the sets were made
    judging = [file for file in (HOLDOUT, AUDIT, *sets.holdouts[1:]) if file in sets.lines]
    judged = _said([line for file in judging for line in sets.lines[file]])
    train, left_out = _said(sets.drawn_from(TRAIN)), _said(sets.left_out)
    trained, left = near_answers(judged, train), near_answers(judged, left_out)
    far = frozenset(range(len(left_out))) - left.near - left.unsearched
    as_one = f"answer as one that judges, by {NEAR_ANSWERS}"
    as_none = f"were left out and answer as none that judges, by {NEAR_ANSWERS}"
    yield from _told(f"{sets.where}/{TRAIN}", as_one, trained.near, _surely_near(judged, train, trained.near))
    yield from _told(f"{sets.where}/{SIMILAR}", as_none, far, _surely_far(judged, left_out, far))
    for file, places in ((TRAIN, trained.unsearched), (SIMILAR, left.unsearched)):
        if places:
            limit = f"by {NEAR_ANSWERS}: they are too long, or too many are alike"
            detail = f"{len(places)} of its documents could not be held against all that judge, {limit}"
            yield unknown(f"{sets.where}/{file}", detail)
    if not trained.near and not trained.unsearched:
        beside = f" ({len(left_out)} were left out)" if left_out else ""
        sets.said.append(f"no trained answer is near to one that judges, by {NEAR_ANSWERS}{beside}")


def _told(subject: str, what: str, places: frozenset[int], sure: frozenset[int]) -> Iterator[Finding]:
    """A failure of those that are sure, and a question of those that another Python may see otherwise."""
    for some, finding in ((sure, failed), (places - sure, unknown)):
        if some:
            such_as = f"such as line {min(some) + 1}"
            yield finding(subject, f"{len(some)} of its documents {what}, {such_as}")


def _surely_near(judged: Sequence[str], train: Sequence[str], near: frozenset[int]) -> frozenset[int]:
    """Those that are near to one that judges where no Python normalises either of them otherwise."""
    kept = [answer for answer in judged if not may_differ([answer])]
    sure = [place for place in sorted(near) if not may_differ([train[place]])]
    if len(kept) == len(judged):
        return frozenset(sure)
    again = near_answers(kept, [train[place] for place in sure]).near
    return frozenset(place for number, place in enumerate(sure) if number in again)


def _surely_far(judged: Sequence[str], left_out: Sequence[str], far: frozenset[int]) -> frozenset[int]:
    """Those that no Python finds near to one that judges."""
    strange = [(_pairs(answer), _strange(answer)) for answer in judged if may_differ([answer])]

    def may_be_near(answer: str) -> bool:
        pairs = _pairs(answer)
        fewest = min(_FEWEST, ceil(_SHARE * len(pairs)))
        return any(len(pairs & others) + most >= fewest for others, most in strange)

    return frozenset(
        place
        for place in far
        if not may_differ([left_out[place]]) and not (strange and may_be_near(left_out[place]))
    )


def _pairs(answer: str) -> set[tuple[str, str]]:
    return set(pairwise(bare_words(answer)))


def _strange(answer: str) -> int:
    """Pairs of words that it may have besides, where another Python makes other words of its characters."""
    return sum(_OF_ONE for one in answer if may_differ([one]))


def _said(lines: Sequence[TextLine]) -> list[str]:
    return [line.answer or line.text for line in lines]


def drawn_in_groups(sets: ReadSets, drawn: Sequence[str], *, sure: bool) -> bool:
    """Whether the sets are what the rule of groups draws.

    Args:
        sets: of the data set.
        drawn: files that the rule drew, in its order.
        sure: whether to leave out groups of which another Python may normalise a chunk otherwise.
    """
    lines = {file: [*sets.drawn_from(file)] for file in (*drawn, TRAIN)}
    lines[TRAIN] += sets.left_out
    differ = {line.group for some in lines.values() for line in some if sure and may_differ([line.text])}
    chunks = {
        file: [
            Chunk.of(normalise(line.text), line.group)
            for line in some
            if not sure or (line.group not in differ if line.group else not may_differ([line.text]))
        ]
        for file, some in lines.items()
    }
    return is_drawn_by_group([chunks[file] for file in drawn], chunks[TRAIN])
