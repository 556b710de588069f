"""Whose texts are like whose: near duplicates in the training set, in other sets, in those of other tasks.

All of it is searched, by `cryoflux.data.near`, and nothing of it is a failure: honest texts are near to each
other. What is found is counted, and a question where it is so much that it would account for what is
measured. Two tasks of one log may have sets in common for good reasons, such as other labels of the same
texts. But each counts its own looks at them, and what one is judged by may be what the other one learns.
"""

from __future__ import annotations

__all__ = ["among_sets", "in_training"]

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cryoflux.data.fold import fold
from cryoflux.data.near import NEAR, Likeness, find_near
from cryoflux.data.near_answers import find_near_documents
from cryoflux.verification.read_sets import TRAIN, ReadSets
from cryoflux.verification.result import Finding, unknown

_ALIKE = 4
"""one of so many texts of a set that are near to others is a question; and one that are not searched"""
_ALIKE_IN_ALL = 3
"""the same of long and short ones together"""


def in_training(sets: ReadSets) -> Iterator[Finding]:
    """Near duplicates of what judges among the examples that are trained on."""
    train = sets.answered(TRAIN)
    texts = [(file, text) for file in sets.judging for text in sets.answered(file)]
    if not train or not texts:
        return
    found = find_near_documents([text for _, text in texts], train)
    if not found.whole:
        detail = f"is too large, or too much alike, to be searched wholly by {NEAR}"
        yield unknown(f"{sets.where}/{TRAIN}", f"{detail}: {found.searched} of {len(train)} texts were read")
    counts = []
    for file in sets.judging:
        places = [place for place, (name, _) in enumerate(texts) if name == file]
        said, asks = _counted(found, file, places)
        counts += [said] if said and not asks else []
        if asks:
            yield unknown(f"{sets.where}/{file}", f"{said} are near to training examples by {NEAR}{asks}")
        yield from _left_out(sets, file, [found.judged[place] or not found.whole for place in places])
    if not any(found.judged):
        sets.said.append(f"no text is long enough to be searched by {NEAR}")
    if counts and found.whole:
        sets.said.append(f"near duplicates of training examples, found by {NEAR}: {', '.join(counts)}")


def _left_out(sets: ReadSets, file: str, judged: Sequence[bool]) -> Iterator[Finding]:
    bare = len(judged) - sum(judged)
    if bare * _ALIKE > len(judged):
        detail = f"{bare} of its {len(judged)} texts have fewer than three words"
        yield unknown(f"{sets.where}/{file}", f"{detail}: near copies of those are not looked for")


def _counted(found: Likeness, file: str, places: Sequence[int]) -> tuple[str, str]:
    """How many texts of a set are near to others, in words, and one of them where that is a question."""
    long = [place for place in places if found.judged[place] and not found.short[place]]
    short = [place for place in places if found.short[place]]
    near_long, near_short = (sum(place in found.near for place in those) for those in (long, short))
    said = []
    if long:
        said.append(f"{near_long or 'none'} of the {len(long)} texts of {file} that are long enough")
    if short:
        which = f"its {len(short)} short ones" if long else f"the {len(short)} short texts of {file}"
        said.append(f"{near_short or 'none'} of {which}")
    many = max(near_long, near_short) * _ALIKE > len(places)
    many |= (near_long + near_short) * _ALIKE_IN_ALL > len(places)
    near = min(found.near.keys() & set(places)) if many else -1
    such = f", such as line {near - places[0] + 1} to line {found.near[near] + 1} there" if many else ""
    return " and ".join(said), such


@dataclass(frozen=True, slots=True)
class _Set:
    """One set among those of all tasks."""

    task: int
    """number of its data set, in the order of their use"""
    name: str
    """its path in the state"""
    texts: list[str]


_Found = dict[int, int]
"""Place of a text in its set → number of a set that has it, or one that is near to it."""


def among_sets(read_sets: Sequence[ReadSets]) -> Iterator[Finding]:
    """What judges and stands in another set that judges, or in what another task trains on."""
    judging, trained = _of_files(read_sets, judging=True), _of_files(read_sets, judging=False)
    used, whole = _search(judging, judging, lambda number, other: other < number)
    for number, one in enumerate(judging):
        again = {n: o for n, o in used[number].items() if judging[o].task == one.task}
        if len(again) * _ALIKE > len(one.texts):
            detail = f"{len(again)} of its {len(one.texts)} texts are near to those of other sets by {NEAR}"
            yield unknown(one.name, f"{detail}: it is no fresh one")
        used[number] = {n: o for n, o in used[number].items() if n not in again}
    yield from _told(judging, judging, used, "judge another task, too", "their looks are counted apart")
    if len(read_sets) > 1:
        differ = [[one.task != other.task for other in trained] for one in judging]
        learned, all_of_it = _search(judging, trained, lambda number, other: differ[number][other])
        said = "a model that goes on from one of that task has seen them"
        yield from _told(judging, trained, learned, "are what another task trains on", said)
        whole &= all_of_it
        counts = [sum(map(len, found)) or "none" for found in (used, learned)]
        shares = f"{counts[0]} judge another one before it, {counts[1]} are what another one trains on"
        read_sets[-1].said.append(f"of the texts that judge a task, {shares}")
    if not whole:
        what = f"the sets that judge are too large, or too much alike, to be searched wholly by {NEAR}"
        yield unknown(read_sets[0].where, what)


def _of_files(read_sets: Sequence[ReadSets], *, judging: bool) -> list[_Set]:
    return [
        _Set(task, f"{sets.where}/{file}", sets.texts(file))
        for task, sets in enumerate(read_sets)
        for file in sets.lines
        if (file != TRAIN) == judging
    ]


def _search(
    wanted: Sequence[_Set], sets: Sequence[_Set], compared: Callable[[int, int], bool]
) -> tuple[list[_Found], bool]:
    """For each wanted set which of its texts stand in others, and whether all were searched.

    Args:
        wanted: whose texts are looked for.
        sets: that are searched.
        compared: by number of a wanted set and of a set, whether it is searched for that one's texts.
    """
    looked_for = [(number, place) for number, one in enumerate(wanted) for place in range(len(one.texts))]
    owners = [number for number, one in enumerate(sets) for _ in one.texts]
    found: list[_Found] = [{} for _ in wanted]
    likeness = find_near(
        [text for one in wanted for text in one.texts],
        [text for one in sets for text in one.texts],
        lambda index, place: compared(looked_for[index][0], owners[place]),
    )
    for index, place in likeness.near.items():
        number, within = looked_for[index]
        found[number][within] = owners[place]
    copies: dict[str, list[int]] = {}
    for number, one in enumerate(sets):
        for folded in set(map(fold, one.texts)):
            copies.setdefault(folded, []).append(number)
    for number, one in enumerate(wanted):  # too short to be near to anything, or the same all over
        for within, folded in enumerate(map(fold, one.texts)):
            others = (other for other in copies.get(folded, ()) if compared(number, other))
            if within not in found[number] and (other := next(others, None)) is not None:
                found[number][within] = other
    return found, likeness.whole


def _told(
    sets: Sequence[_Set], others: Sequence[_Set], found: Sequence[_Found], what: str, meaning: str
) -> Iterator[Finding]:
    """A question about each set of which much was found in those of other tasks."""
    for one, texts in zip(sets, found, strict=True):
        if len(texts) * _ALIKE > len(one.texts):
            most = others[Counter(texts.values()).most_common(1)[0][0]].name
            how = f"as they are or near to it by {NEAR}, in {most}"
            yield unknown(one.name, f"{len(texts)} of its {len(one.texts)} texts {what}: {how}; {meaning}")
