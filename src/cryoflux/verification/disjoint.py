"""Whether a holdout measures anything but memory: whose texts it has, and who chose them.

The sets of a data set are compared in three ways, each stricter than it has to be for the next:

- texts that are the same after `normalise`, by which a split is made: no split leaves any, so one is a
  failure;
- copies but for what no reader sees (`cryoflux.data.fold`). Where the log says that its preparation dropped
  them, one is a failure. Where it does not, a few are what honest preparations have left, and a question;
  more than one in ten are a failure whatever was prepared, because what is measured then is memory;
- near duplicates among the training examples (`cryoflux.data.near`). Honest texts are near to each other,
  in the embedded data set about one in seven of the holdout: they are counted, and a question from one in
  four.

Where the log says that the sets were drawn by `cryoflux.data.lowest_hash`, they are drawn again.
"""

from __future__ import annotations

__all__ = ["ReadSets", "TextLine", "compared"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace

from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, is_drawn, may_differ
from cryoflux.data.near import NEAR, find_near
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.topics import Topic

_SEARCHED = NumberedStep(9, "copies between data sets", Knowledge.SEARCHED)
_TRAIN, _HOLDOUT, _AUDIT = "train.jsonl", "holdout.jsonl", "audit.jsonl"
_COPIED = 10
"""one of so many texts of a set that are copies is more than honest preparations leave"""
_ALIKE = 4
"""one of so many texts of a set that are near to training examples is a question"""


class TextLine(NamedTuple):
    """One example of a set."""

    text: str
    """the line itself where it has none"""
    written: bool
    """whether it has a text"""


@dataclass(slots=True)
class ReadSets:
    """The sets of one data set that are here and have the signed bytes."""

    where: str
    rules: SetRules | None
    """by which the log says that they were made"""
    lines: Mapping[str, Sequence[TextLine]]
    """file → its examples; holdouts in the order of their use"""
    listed: frozenset[str]
    """files that the data set has, here or not"""
    said: list[str] = field(default_factory=list)
    """what was looked for and not found"""
    keys: dict[str, list[str]] = field(init=False)
    """file → what each example is called by the split"""

    def __post_init__(self) -> None:
        self.keys = {
            file: [normalise(line.text) if line.written else line.text for line in lines]
            for file, lines in self.lines.items()
        }

    @property
    def holdouts(self) -> list[str]:
        """Files that are holdouts, here or not, in the order of their use."""
        spares = self.listed - {_TRAIN, _HOLDOUT, _AUDIT}
        return [_HOLDOUT, *sorted(spares, key=lambda file: (len(file), file))]

    def count(self) -> int:
        """Examples of all sets that are here."""
        return sum(map(len, self.lines.values()))


def compared(read_sets: Sequence[ReadSets]) -> list[Check]:
    """The lines about the sets of each data set; none where no set is here."""
    findings = [finding for sets in read_sets for finding in (*_copies(sets), *_near(sets), *_chosen(sets))]
    about = [replace(finding, topic=Topic.HOLDOUT) for finding in findings]
    return conclude(_SEARCHED, about, "; ".join(text for sets in read_sets for text in sets.said))


def _copies(sets: ReadSets) -> Iterator[Finding]:
    folded = {file: _folded(lines) for file, lines in sets.lines.items()}
    found = 0
    for one, other in combinations(sets.lines, 2):
        if shared := len(set(sets.keys[one]) & set(sets.keys[other])):
            yield failed(
                f"{sets.where}/{other}", f"shares {shared} texts with {one}: the sets are not disjoint"
            )
        same = set(sets.keys[one])
        copies = [
            (folded[one][key], place)
            for key, place in folded[other].items()
            if key in folded[one] and sets.keys[other][place] not in same
        ]
        found += shared + len(copies)
        if copies:
            yield _copied(sets, one, other, copies)
    lines = [line for in_file in sets.lines.values() for line in in_file]
    bare = sum(not line.written for line in lines)
    if bare:
        detail = f"{bare} of {len(lines)} examples have no text: of those only whole lines were compared"
        yield unknown(sets.where, detail)
    if len(sets.lines) > 1 and not found:
        copies_too = f", nor a copy of it by {FOLD}" if bare < len(lines) else ""
        sets.said.append(f"no text of one set is one of another one{copies_too}")


def _folded(lines: Sequence[TextLine]) -> dict[str, int]:
    """Folded text → the first place where it stands."""
    places: dict[str, int] = {}
    for place, line in enumerate(lines):
        if line.written:
            places.setdefault(fold(line.text), place)
    return places


def _copied(sets: ReadSets, one: str, other: str, copies: Sequence[tuple[int, int]]) -> Finding:
    judging = len(sets.lines[other])
    theirs, ours = copies[0]
    detail = (
        f"{len(copies)} of its {judging} texts are copies of texts in {one} but for what no reader sees "
        f"({FOLD}), such as line {ours + 1} of line {theirs + 1} there"
    )
    if sets.rules is not None and sets.rules.copies == FOLD:
        return failed(f"{sets.where}/{other}", f"{detail}; the log says that there are none")
    if len(copies) * _COPIED > judging:
        return failed(f"{sets.where}/{other}", f"{detail}: what is measured on it is memory")
    return unknown(f"{sets.where}/{other}", detail)


def _near(sets: ReadSets) -> Iterator[Finding]:
    train = [line.text for line in sets.lines.get(_TRAIN, ()) if line.written]
    judging = [file for file in sets.lines if file != _TRAIN]
    texts = [(file, line.text) for file in judging for line in sets.lines[file] if line.written]
    if not train or not texts:
        return
    found = find_near([text for _, text in texts], train)
    if not found.whole:
        detail = f"is too large, or too much alike, to be searched wholly by {NEAR}"
        yield unknown(f"{sets.where}/{_TRAIN}", f"{detail}: {found.searched} of {len(train)} texts were read")
    counts = []
    for file in judging:
        places = [place for place, (name, _) in enumerate(texts) if name == file]
        long = sum(found.judged[place] for place in places)
        near = [place for place in places if place in found.near]
        said = f"{len(near)} of the {long} texts of {file} that are long enough"
        if near and len(near) * _ALIKE > len(places):
            example = f"line {near[0] - places[0] + 1} to line {found.near[near[0]] + 1}"
            detail = f"{said} are near to training examples by {NEAR}, such as {example} there"
            yield unknown(f"{sets.where}/{file}", detail)
        elif long:
            counts.append(said if near else f"none of the {long} texts of {file} that are long enough")
    yield from _near_each_other(sets, judging)
    if not any(found.judged):
        sets.said.append(f"no text is long enough to be searched by {NEAR}")
    if counts and found.whole:
        sets.said.append(f"near duplicates of training examples, found by {NEAR}: {', '.join(counts)}")


def _near_each_other(sets: ReadSets, judging: Sequence[str]) -> Iterator[Finding]:
    """Whether a spare holdout is one that was used, or the audit set, over again."""
    before: list[str] = []
    for file in judging:
        texts = [line.text for line in sets.lines[file] if line.written]
        near = find_near(texts, before).near if before else {}
        if len(near) * _ALIKE > len(texts):
            detail = f"{len(near)} of its {len(texts)} texts are near to those of other sets by {NEAR}"
            yield unknown(f"{sets.where}/{file}", f"{detail}: it is no fresh one")
        before += texts


def _chosen(sets: ReadSets) -> Iterator[Finding]:
    """What the log says of who chose the holdout, and whether it is so."""
    drawn = _drawn_sets(sets)
    if missing := [file for file in (*drawn, _TRAIN) if file not in sets.lines]:
        if drawn and sets.rules is not None:
            yield unknown(f"{sets.where}/{drawn[0]}", f"cannot be drawn again: {missing[0]} is not here")
        return
    follows = is_drawn([sets.keys[file] for file in drawn], sets.keys[_TRAIN])
    if sets.rules is not None and drawn and not follows:
        yield _departs(sets, drawn)
    elif _HOLDOUT in drawn and follows:
        those = " and ".join(drawn)
        examples = f"these {sets.count()} examples as they are spelled"
        sets.said.append(f"{LOWEST_HASH}, applied again to {examples}, draws {those}")
    if detail := _not_drawn(sets, follows=follows):
        yield unknown(f"{sets.where}/{_HOLDOUT}", detail)


def _not_drawn(sets: ReadSets, *, follows: bool) -> str:
    """Why nobody can say how the holdout was chosen; empty where the log says it, or where it shows."""
    if sets.rules is None:
        rule = f"is not what {LOWEST_HASH} draws from these {sets.count()} examples"
        return "" if follows else f"{rule}: somebody chose it, and the log does not say how"
    if sets.rules.holdout == LOWEST_HASH:
        return ""
    if sets.rules.holdout == GIVEN:
        return "was handed over by the owner: who chose its examples, and how, is not known here"
    return f"was drawn by {sets.rules.holdout!r}, which is not known here"


def _drawn_sets(sets: ReadSets) -> list[str]:
    """Files that the rule drew, in its order; of a log that does not say, those of which it may be so."""
    rules = sets.rules
    holdout = rules is None or rules.holdout == LOWEST_HASH
    audit = rules is not None and rules.audit == LOWEST_HASH and _AUDIT in sets.listed
    files = sets.holdouts if holdout else []
    return [*files[:1], *([_AUDIT] if audit else []), *files[1:]]


def _follow_without_newer(sets: ReadSets, drawn: Sequence[str]) -> bool:
    """Whether the rule is kept to but for texts that another version of Python may normalise otherwise."""
    sure = {
        file: [key for key, line in zip(sets.keys[file], lines, strict=True) if not may_differ([line.text])]
        for file, lines in sets.lines.items()
    }
    return is_drawn([sure[file] for file in drawn], sure[_TRAIN])


def _departs(sets: ReadSets, drawn: Sequence[str]) -> Finding:
    detail = f"{' and '.join(drawn)} are not what {LOWEST_HASH} draws from these {sets.count()} examples"
    if _follow_without_newer(sets, drawn):
        older = "some have characters that another version of Python may normalise in another way"
        return unknown(sets.where, f"{detail}, but {older}")
    return failed(sets.where, f"{detail}, though the log says so: they were chosen otherwise")
