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
from itertools import combinations

from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART, Chunk, is_drawn_by_group
from cryoflux.data.examples import normalise
from cryoflux.data.lowest_hash import may_differ
from cryoflux.data.near_answers import NEAR_ANSWERS, near_answers
from cryoflux.verification.read_sets import AUDIT, HOLDOUT, SIMILAR, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Finding, failed, unknown

_MOST_OF_ONE = 4
"""one in so many documents of a set that are chunks of one is a question"""


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
    train = sets.drawn_from(TRAIN)
    near, _ = near_answers(judged, _said(train))
    far = {*range(len(sets.left_out))} - near_answers(judged, _said(sets.left_out))[0]
    for file, places, lines, what in (
        (TRAIN, near, train, "answer as one that judges"),
        (SIMILAR, far, sets.left_out, "were left out and answer as none that judges"),
    ):
        if places:
            detail = (
                f"{len(places)} of its documents {what}, by {NEAR_ANSWERS}, such as line {min(places) + 1}"
            )
            sure = not may_differ([*judged, *_said(lines)])
            yield (failed if sure else unknown)(f"{sets.where}/{file}", detail)
    if not near:
        left_out = f" ({len(sets.left_out)} were left out)" if sets.left_out else ""
        sets.said.append(f"no trained answer is near to one that judges, by {NEAR_ANSWERS}{left_out}")


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
