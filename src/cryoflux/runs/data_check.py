"""What a file of examples is and what a run would make of it, worked out before a joule is spent."""

from __future__ import annotations

__all__ = ["WIDE", "DataCheck", "TextLengths", "check_data"]

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryoflux.config import Settings
from cryoflux.data.balance import balanced
from cryoflux.data.examples import normalise
from cryoflux.data.found import FileFound
from cryoflux.data.remarks import Remark, remarks_on
from cryoflux.data.sources import GivenSets, read_sets
from cryoflux.data.split import FEWEST_FILE, Splits, split
from cryoflux.errors import DataError
from cryoflux.runs.detecting import SPREADS, detectable_by_spread, holdout_needed

_SHARE = 0.15
WIDE = SPREADS[-1]
"""spread of Δ between examples at which texts that are needed are counted, nats: of a large update"""
_FEW = 256
"""examples of a holdout; below so many it is said how many texts would show what"""
_WORTH = (0.3, 0.1, 0.05)
"""Δ of a first update that learns most of what there is, and of later ones, nats"""
_BALANCES = (10, 20, 50, 100)
_SETS_OF_A_CLASS = 4
"""distinct texts of a class, so that holdout and audit set have one and two are left to train on"""


@dataclass(frozen=True, slots=True)
class TextLengths:
    """How long texts are, in characters."""

    median: int
    most_95: int
    """95 % are at most so long"""
    longest: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> TextLengths:
        """The lengths of some texts, of which there is one."""
        ranked = sorted(map(len, texts))
        return cls(ranked[len(ranked) // 2], ranked[math.ceil(0.95 * len(ranked)) - 1], ranked[-1])


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What was found, and what a run would make of it."""

    found: Mapping[str, FileFound]
    """set → how its file was read"""
    classes: Mapping[str, int]
    """class → training examples, the most frequent first"""
    distinct: int
    """training texts, copies left out"""
    unbalanced: int
    """training examples that --balance leaves out"""
    lengths: TextLengths
    sets: Mapping[str, int]
    """set → examples; empty where a run would refuse"""
    dropped: Mapping[str, int]
    """set → duplicates; ``conflicting`` → those with another label"""
    lacking: Mapping[str, int]
    """set that judges → classes that it has no example of"""
    remarks: Sequence[Remark]
    refusal: DataError | None
    """what a run would say; none where it would begin"""
    holdout: int
    """examples of the holdout; what 15 % of the texts are where a run would refuse"""
    detectable_nats: Mapping[str, float]
    """spread of Δ between examples, nats → smallest Δ that this holdout finds with 90 % power, nats"""
    min_delta: float
    needed: Mapping[str, int]
    """spread → examples of a holdout that finds `min_delta`"""
    texts_needed: Mapping[str, int]
    """Δ, nats → distinct texts of a file whose holdout finds it at the spread `WIDE`; empty where there are
    enough, or the holdout is a file of its own"""


def check_data(settings: Settings) -> DataCheck:
    """Read the files that the settings name, and split them as a run would.

    Raises:
        DataError: a file cannot be read at all.
        UsageError: that takes a library that is not installed.
    """
    sets = read_sets(settings.data, lenient=True)
    counts = Counter(example.label for example in sets.train)
    classes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    splits, refusal = _split(settings, sets)
    distinct = len(sets.train) - splits.dropped["train"] if splits is not None else _distinct(sets)
    remarks = [_advised(one, settings, sets, counts) for one in remarks_on(classes)]
    holdout = len(splits.holdout) if splits is not None else _would_hold(settings, sets, distinct)
    if splits is not None:
        remarks += _scarce(splits, counts)
    delta = settings.decision.min_delta
    return DataCheck(
        found=sets.found,
        classes=classes,
        distinct=distinct,
        unbalanced=sets.unbalanced,
        lengths=TextLengths.of(example.text for example in sets.train),
        sets={"train": len(splits.train), **{n: len(s) for n, s in splits.judging.items()}} if splits else {},
        dropped=splits.dropped if splits else {},
        lacking=_lacking(splits) if splits else {},
        remarks=remarks,
        refusal=refusal,
        holdout=holdout,
        detectable_nats=detectable_by_spread(settings, holdout) if holdout else {},
        min_delta=delta,
        needed={str(spread): holdout_needed(settings, delta, spread) for spread in SPREADS}
        if delta > 0
        else {},
        texts_needed=_texts_needed(settings) if sets.holdout is None and holdout < _FEW else {},
    )


def _texts_needed(settings: Settings) -> dict[str, int]:
    """Δ → the fewest distinct texts of which a share is a holdout that finds it."""
    holdouts = {str(delta): holdout_needed(settings, delta, WIDE) for delta in _WORTH}
    return {delta: max(FEWEST_FILE, math.ceil(count / _SHARE)) for delta, count in holdouts.items()}


def _advised(remark: Remark, settings: Settings, sets: GivenSets, counts: Mapping[str, int]) -> Remark:
    """A remark with what can be done about it: nothing that a run would refuse then."""
    if remark.code != "skewed":
        return remark
    times = [n for n in _BALANCES if n * min(counts.values()) < max(counts.values())]
    evened = {n: replace(sets, train=balanced(sets.train, n)) for n in times}
    begins = next((n for n, some in evened.items() if _split(settings, some)[0] is not None), None)
    advice = [f"--balance {begins} leaves {len(evened[begins].train)} examples"] if begins else []
    advice.append("--class-weights sqrt or balanced lets the rare ones weigh more in training")
    return replace(remark, said=f"{remark.said}. {'; '.join(advice)}")


def _distinct(sets: GivenSets) -> int:
    return len({normalise(example.text) for example in sets.train})


def _would_hold(settings: Settings, sets: GivenSets, distinct: int) -> int:
    if sets.holdout is not None:
        return len(sets.holdout)
    return min(settings.data.holdout_size, int(distinct * _SHARE))


def _split(settings: Settings, sets: GivenSets) -> tuple[Splits | None, DataError | None]:
    data = settings.data
    broken = [error for one in sets.found.values() if (error := one.too_many(data.most_dropped)) is not None]
    if broken:
        return None, broken[0]
    try:
        found = split(
            sets.train,
            sets.holdout,
            sets.audit,
            holdout_size=data.holdout_size,
            spare_holdouts=0 if data.holdout else data.spare_holdouts,
            monitor_size=settings.monitor.monitor_size,
        )
    except DataError as error:
        return None, error
    return found, None


def _lacking(splits: Splits) -> dict[str, int]:
    known = {*splits.labels}
    return {name: len(known - {one.label for one in examples}) for name, examples in splits.judging.items()}


def _scarce(splits: Splits, counts: Mapping[str, int]) -> list[Remark]:
    """Classes that holdout or audit set have nothing of, and how many examples they would need."""
    judged = [{one.label for one in examples} for examples in (splits.holdout, splits.audit)]
    names = [name for name in splits.labels if not all(name in labels for labels in judged)]
    if not names:
        return []
    more = sum(max(0, _SETS_OF_A_CLASS - counts[name]) for name in names)
    fewest = min(names, key=lambda name: (counts[name], name))
    return [
        Remark(
            "scarce",
            f"{len(names)} of {len(splits.labels)} classes are not in both holdout and audit set, such as "
            f"{fewest[:40]!r} ({counts[fewest]}): what they gain or lose is not judged there. "
            f"{_SETS_OF_A_CLASS} distinct texts of each are enough: {more} more in all",
            tuple(names[:5]),
        )
    ]
