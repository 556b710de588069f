"""Whether a holdout measures anything but memory: whose texts it has, and who chose them.

The sets of a data set are compared in three ways, each stricter than it has to be for the next:

- texts that are the same after `normalise`, by which a split is made: no split leaves any, so one is a
  failure;
- copies but for what no reader sees (`cryoflux.data.fold`). Where the log says that its preparation dropped
  them, one is a failure. Where it does not, a few are what honest preparations have left, and a question;
  more than one in ten are a failure whatever was prepared, because what is measured then is memory;
- near duplicates, in `alike`.

Where the log says that the sets were drawn by `cryoflux.data.by_class`, `by_group` or `lowest_hash`, they are
drawn again.
"""

from __future__ import annotations

__all__ = ["compared"]

from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec.structs import replace

from cryoflux.data.by_class import BY_CLASS, DrawnText, is_drawn_by_class
from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART
from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold, hides_something
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, is_drawn, may_differ
from cryoflux.data.near_answers import NEAR_ANSWERS
from cryoflux.verification.alike import among_sets, in_training
from cryoflux.verification.chunks import apart, drawn_in_groups
from cryoflux.verification.leak_guard import COSINE
from cryoflux.verification.read_sets import AUDIT, HOLDOUT, MONITOR, SIMILAR, TRAIN, ReadSets
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.topics import Topic

_SEARCHED = NumberedStep(9, "copies between data sets", Knowledge.SEARCHED)
_COPIED = 10
"""one of so many texts of a set that are copies is more than honest preparations leave"""
_BY_GROUP = (BY_GROUP, BY_GROUP_APART)
_HIDING = 100
"""one of so many texts that have characters that show nothing is a question"""


def compared(read_sets: Sequence[ReadSets]) -> list[Check]:
    """The lines about the sets of each data set; none where no set is here."""
    findings = [finding for sets in read_sets for finding in (*_copies(sets), *in_training(sets))]
    findings += among_sets(read_sets)
    about = (apart, _chosen, _guarded)
    findings += [finding for sets in read_sets for look in about for finding in look(sets)]
    told = [replace(finding, topic=Topic.HOLDOUT) for finding in findings]
    return conclude(_SEARCHED, told, "; ".join(text for sets in read_sets for text in sets.said))


def _copies(sets: ReadSets) -> Iterator[Finding]:
    folded = {file: _folded(sets, file) for file in sets.lines}
    keys = {file: set(found) for file, found in sets.keys.items()}
    found = 0
    for one, other in combinations(sets.lines, 2):
        if shared := len(keys[one] & keys[other]):
            yield failed(
                f"{sets.where}/{other}", f"shares {shared} texts with {one}: the sets are not disjoint"
            )
        alike = ((folded[one][key], folded[other][key]) for key in folded[one].keys() & folded[other].keys())
        copies = [pair for pair in alike if sets.keys[other][pair[1]] not in keys[one]]
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


def _folded(sets: ReadSets, file: str) -> dict[str, int]:
    """Folded text → the first place where it stands."""
    places: dict[str, int] = {}
    for place, (line, folded) in enumerate(zip(sets.lines[file], sets.folds[file], strict=True)):
        if line.written:
            places.setdefault(folded, place)
    return places


def _copied(sets: ReadSets, one: str, other: str, copies: Sequence[tuple[int, int]]) -> Finding:
    judging = len(sets.lines[other])
    theirs, ours = min(copies, key=lambda pair: pair[1])
    detail = (
        f"{len(copies)} of its {judging} texts are copies of texts in {one} but for what no reader sees "
        f"({FOLD}), such as line {ours + 1} of line {theirs + 1} there"
    )
    if sets.rules is not None and sets.rules.copies in {FOLD, NEAR_ANSWERS}:
        return failed(f"{sets.where}/{other}", f"{detail}; the log says that there are none")
    if len(copies) * _COPIED > judging:
        return failed(f"{sets.where}/{other}", f"{detail}: what is measured on it is memory")
    return unknown(f"{sets.where}/{other}", detail)


def _chosen(sets: ReadSets) -> Iterator[Finding]:
    """What the log says of who chose the holdout, and whether it is so."""
    drawn = _drawn_sets(sets)
    missing = [file for file in (*drawn, TRAIN) if file not in sets.lines]
    missing += [SIMILAR] if SIMILAR in sets.listed and not sets.left_out else []
    if missing:
        if drawn and sets.rules is not None:
            yield unknown(f"{sets.where}/{drawn[0]}", f"cannot be drawn again: {missing[0]} is not here")
        return
    follows = _follow(sets, drawn)
    if sets.rules is not None and drawn and not follows:
        yield _departs(sets, drawn)
    elif HOLDOUT in drawn and follows:
        yield from _drawn(sets, drawn)
    if detail := _not_drawn(sets, follows=follows):
        yield unknown(f"{sets.where}/{HOLDOUT}", detail)


def _guarded(sets: ReadSets) -> Iterator[Finding]:
    """What the log says of a leak guard; whether it is so, only embedding the texts again tells."""
    if sets.rules is None or (said := sets.rules.similar) is None:
        return
    if said.rule != COSINE:
        yield unknown(f"{sets.where}/{TRAIN}", f"is held to the leak guard {said.rule!r}, not known here")
        return
    sets.said.append(
        f"{said.dropped} training texts were left out by a leak guard, and none that is here has a cosine of "
        f"{said.least_milli / 1000:g} or more with one that judges, says the log: --recompute 1 looks"
    )


def _drawn(sets: ReadSets, drawn: Sequence[str]) -> Iterator[Finding]:
    """What a draw that the rule repeats is worth."""
    count = sets.count()
    hiding = sum(
        hides_something(line.text) for file in sets.lines for line in sets.drawn_from(file) if line.written
    )
    if hiding * _HIDING > count:
        detail = f"{hiding} of its {count} texts have characters that show nothing"
        yield unknown(sets.where, f"{detail}: by such marks it can be chosen which texts the rule draws")
    verb = "has" if hiding == 1 else "have"
    marks = f"; {hiding} of them {verb} characters that show nothing" if hiding else ""
    sets.said.append(
        f"{_rule(sets)}, applied again to these {count} examples as they are spelled, draws "
        f"{' and '.join(drawn)}, which says nothing of how they were spelled or chosen before{marks}"
    )


def _not_drawn(sets: ReadSets, *, follows: bool) -> str:
    """Why nobody can say how the holdout was chosen; empty where the log says it, or where it shows."""
    if sets.rules is None:
        rule = f"is not what {LOWEST_HASH} draws from these {sets.count()} examples"
        return "" if follows else f"{rule}: somebody chose it, and the log does not say how"
    if sets.rules.holdout == _rule(sets):
        return ""
    if sets.rules.holdout == GIVEN:
        return "was handed over by the owner: who chose its examples, and how, is not known here"
    return f"was drawn by {sets.rules.holdout!r}, which is not known here"


def _drawn_sets(sets: ReadSets) -> list[str]:
    """Files that the rule drew, in its order; of a log that does not say, those of which it may be so."""
    rules, rule = sets.rules, _rule(sets)
    holdout = rules is None or rules.holdout == rule
    audit = rules is not None and rules.audit == rule and AUDIT in sets.listed
    files = sets.holdouts if holdout else []
    monitor = (holdout or audit) and MONITOR in sets.listed
    return [*files[:1], *([AUDIT] if audit else []), *([MONITOR] if monitor else []), *files[1:]]


def _rule(sets: ReadSets) -> str:
    """The rule that drew what was drawn; of a log that does not say, the one of its time."""
    rules = sets.rules
    named = {rules.holdout, rules.audit} if rules is not None else set()
    return next((rule for rule in (BY_CLASS, *_BY_GROUP) if rule in named), LOWEST_HASH)


def _follow(sets: ReadSets, drawn: Sequence[str], *, sure: bool = False) -> bool:
    """Whether the rule is kept to; if ``sure``, but for texts that another Python may normalise otherwise."""
    if _rule(sets) in _BY_GROUP:
        return drawn_in_groups(sets, drawn, sure=sure)
    texts = {
        file: [
            DrawnText.of(key, line.label, folded)
            for key, line, folded in zip(sets.keys[file], sets.drawn_from(file), sets.folds[file])  # noqa: B905
            if not sure or not may_differ([line.text])
        ]
        for file in (*drawn, TRAIN)
    }
    texts[TRAIN] += [
        DrawnText.of(normalise(line.text), line.label, fold(line.text))
        for line in sets.left_out
        if not sure or not may_differ([line.text])
    ]
    if _rule(sets) == BY_CLASS:
        return is_drawn_by_class([texts[file] for file in drawn], texts[TRAIN], exactly=not sure)
    keys = {file: [text.key for text in found] for file, found in texts.items()}
    return is_drawn([keys[file] for file in drawn], keys[TRAIN])


def _departs(sets: ReadSets, drawn: Sequence[str]) -> Finding:
    detail = f"{' and '.join(drawn)} are not what {_rule(sets)} draws from these {sets.count()} examples"
    if any(may_differ([line.text]) for lines in sets.lines.values() for line in lines) and _follow(
        sets, drawn, sure=True
    ):
        older = "some have characters that another version of Python may normalise in another way"
        return unknown(sets.where, f"{detail}, but {older}")
    return failed(sets.where, f"{detail}, though the log says so: they were chosen otherwise")
