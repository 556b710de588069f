"""Makes train, holdouts and audit disjoint, and decides who is in which.

- Two texts that are equal after normalisation are one example; it stays in the set that matters more:
  holdout, then audit, then train. What was dropped is counted.
- Where a set is not given, it is split off the training file by content hash, each class by its share
  (`by_class`): the same examples go to the same set whatever their order. Older states were split off without
  a look at classes (`lowest_hash`).
- What is a copy of a text in a set that matters more, but for what no reader sees (`fold`), is dropped as
  well.
- Spare holdouts are split off where the training file is large enough; one takes over when the error budget
  of the one before is spent.
"""

from __future__ import annotations

__all__ = ["FEWEST_FILE", "FEWEST_HOLDOUT", "Splits", "hiding_texts", "near_train", "rules_of", "split"]

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from cryoflux.data.by_class import BY_CLASS, LEAST_OF_CLASS, DrawnText, draw, with_enough
from cryoflux.data.examples import Example, normalise
from cryoflux.data.fold import FOLD, fold, hides_something
from cryoflux.data.lowest_hash import GIVEN, by_hash
from cryoflux.data.near import find_near
from cryoflux.errors import DataError

FEWEST_HOLDOUT = 30
_SHARE = 0.15
FEWEST_FILE = round(FEWEST_HOLDOUT / _SHARE)
"""distinct texts that a holdout can be split off"""
_Take = Callable[[dict[str, Example], int, int], dict[str, Example]]
"""takes a set out of a pool: of at most so many examples, and of a share of so many"""


@dataclass(frozen=True, slots=True)
class Splits:
    """Disjoint sets and what was dropped to make them so."""

    train: tuple[Example, ...]
    holdout: tuple[Example, ...]
    audit: tuple[Example, ...]
    labels: tuple[str, ...]
    """all classes, sorted"""
    dropped: dict[str, int]
    """set → examples dropped as duplicates; ``conflicting`` → those of them with another label"""
    spares: tuple[tuple[Example, ...], ...] = ()
    """further holdouts"""
    monitor: tuple[Example, ...] = ()
    """what heads are held against after they were kept; nothing where none was asked for"""
    similar: tuple[Example, ...] = ()
    """training examples that were left out because they are like one that judges"""
    similar_to: dict[str, int] = field(default_factory=dict)
    """set that judges → how many of those are like one of its texts, each counted once"""

    @property
    def judging(self) -> dict[str, tuple[Example, ...]]:
        """The sets that judge, by their names, in the order in which they are used."""
        spares = {f"holdout-{number}": spare for number, spare in enumerate(self.spares, 2)}
        monitor = {"monitor": self.monitor} if self.monitor else {}
        return {"holdout": self.holdout, **spares, "audit": self.audit, **monitor}

    def without(self, near: Mapping[int, str]) -> Splits:
        """The same without training examples that are like one that judges.

        Args:
            near: their place in the training set → the set that judges.

        Raises:
            DataError: nothing is left to train a class on.
        """
        train = tuple(example for place, example in enumerate(self.train) if place not in near)
        if lost := sorted(set(self.labels) - {example.label for example in train}):
            raise DataError(
                f"Every training example of the class {lost[0]!r} is like a text that judges.",
                why="The leak guard leaves those out; a model cannot learn a class that it is never shown.",
                hint="Raise --leak-guard, up to 1; or leave it out, and look: cryoflux leaks.",
            )
        counts = {name: count for name in self.judging if (count := [*near.values()].count(name))}
        left_out = tuple(self.train[place] for place in sorted(near))
        return replace(self, train=train, similar=left_out, similar_to=counts)


def split(
    train: Iterable[Example],
    holdout: Iterable[Example] | None,
    audit: Iterable[Example] | None,
    *,
    holdout_size: int,
    spare_holdouts: int = 0,
    monitor_size: int = 0,
    folded: bool = True,
    by_class: bool = True,
) -> Splits:
    """Disjoint sets.

    Args:
        train: the training file.
        holdout: the holdout file; none to split it off ``train``.
        audit: the audit file; none to split it off ``train``.
        holdout_size: most examples of a set that is split off.
        spare_holdouts: most further holdouts that are split off.
        monitor_size: most examples of a monitor that is split off; 0 for none.
        folded: whether copies by the fold are dropped, too; older data sets were made without.
        by_class: whether each class is drawn by its share; older data sets were made without.

    Raises:
        DataError: one class only, a holdout that is too small or shares everything with train, or a
            class that is judged but never trained; or more classes than a set may have examples.
    """
    conflicts: list[Example] = []
    pool, repeats = _unique(train, conflicts)
    held, repeats_held = _unique(holdout or (), conflicts)
    audited, repeats_audit = _unique(audit or (), conflicts)
    _refuse_trained(held, pool, folded=folded)
    distinct, distinct_audit = len(pool), len(audited)
    fold_of: Callable[[str], str] = cache(fold)  # each text once: it is what takes the longest
    _separate(pool, held, audited, fold_of if by_class else None)
    take = _ByClass(pool, fold_of).take if by_class else _take
    before = len(pool)
    held = take(pool, holdout_size, before) if holdout is None else held
    audited = take(pool, holdout_size, before) if audit is None else audited
    monitor = take(pool, monitor_size, before) if monitor_size else {}
    spares = _spares(pool, len(held), spare_holdouts, take)
    if folded and not by_class:
        _drop_copies([held, audited, monitor, *spares, pool], fold_of)
    drawn = [*([held] if holdout is None else []), *([audited] if audit is None else []), monitor, *spares]
    splits = Splits(
        tuple(pool.values()),
        tuple(held.values()),
        tuple(audited.values()),
        tuple(sorted({e.label for e in pool.values()})),
        {
            "train": repeats + distinct - len(pool) - sum(map(len, drawn)),
            "holdout": repeats_held,
            "audit": repeats_audit + (distinct_audit - len(audited) if audit is not None else 0),
            "conflicting": len(conflicts),
        },
        tuple(tuple(spare.values()) for spare in spares),
        tuple(monitor.values()),
    )
    _check(splits)
    return splits


def rules_of(*, holdout_given: bool, audit_given: bool) -> dict[str, str]:
    """By which rules a split is made, as intents name them: ``holdout``, ``audit``, ``copies``."""
    drawn = {"holdout": holdout_given, "audit": audit_given}
    return {name: GIVEN if given else BY_CLASS for name, given in drawn.items()} | {"copies": FOLD}


def near_train(splits: Splits) -> int:
    """How many texts of the holdout have a near duplicate among those that are trained on; they are kept."""
    train = [example.text for example in splits.train]
    return len(find_near([example.text for example in splits.holdout], train).near)


def hiding_texts(splits: Splits) -> int:
    """How many texts of all sets have characters that show nothing where no spelling needs them."""
    sets = (splits.train, splits.holdout, splits.audit, splits.monitor, *splits.spares)
    return sum(hides_something(example.text) for examples in sets for example in examples)


def _unique(examples: Iterable[Example], conflicts: list[Example]) -> tuple[dict[str, Example], int]:
    unique: dict[str, Example] = {}
    seen = 0
    for example in examples:
        seen += 1
        if unique.setdefault(normalise(example.text), example).label != example.label:
            conflicts.append(example)
    return unique, seen - len(unique)


def _drop(pool: dict[str, Example], other: dict[str, Example]) -> None:
    for key in pool.keys() & other.keys():
        del pool[key]


def _separate(
    pool: dict[str, Example],
    held: dict[str, Example],
    audited: dict[str, Example],
    fold_of: Callable[[str], str] | None,
) -> None:
    """Drop from the training and audit side what the other sets have; copies too, where they are folded."""
    for other, examples in ((pool, held), (pool, audited), (audited, held)):
        _drop(other, examples)
    if fold_of is not None:
        _drop_copies([held, audited, pool], fold_of)


def _refuse_trained(held: dict[str, Example], pool: dict[str, Example], *, folded: bool) -> None:
    if held and _all_in(held, pool, folded=folded):
        raise DataError(
            "Every holdout example is also a training example.",
            why="Δ on examples that were trained on says nothing about improvement.",
            hint="Give a holdout that was set aside: --holdout FILE, or leave it out to have it split off.",
        )


def _all_in(held: dict[str, Example], pool: dict[str, Example], *, folded: bool) -> bool:
    known = {fold(example.text) for example in pool.values()} if folded else set()
    return all(key in pool or fold(example.text) in known for key, example in held.items())


def _drop_copies(sets: Sequence[dict[str, Example]], fold_of: Callable[[str], str]) -> None:
    """Drop what is a copy of a text in a set before."""
    seen = set[str]()
    for drawn in sets:
        keys = {key: fold_of(example.text) for key, example in drawn.items()}
        copies = [key for key, folded in keys.items() if folded in seen]
        seen.update(keys.values())
        for key in copies:
            del drawn[key]


class _ByClass:
    """Takes sets out of a pool by the shares of its classes."""

    def __init__(self, pool: dict[str, Example], fold_of: Callable[[str], str]) -> None:
        self._left = [DrawnText.of(key, one.label, fold_of(one.text)) for key, one in pool.items()]

    def take(self, pool: dict[str, Example], size: int, total: int) -> dict[str, Example]:
        """A set with all classes of which there are enough; larger than its share where it has to be."""
        if (needed := with_enough(self._left)) > size:
            raise DataError(
                f"{needed} classes have {LEAST_OF_CLASS} examples or more; a set split off has {size}.",
                why="A class that the holdout lacks is not judged.",
                hint=f"Allow larger ones: --holdout-size {needed}; or leave classes out.",
            )
        drawn, left = draw(self._left, max(needed, min(size, int(total * _SHARE))))
        found = {key: pool[key] for key in drawn}
        for gone in {text.key for text in self._left} - {text.key for text in left}:
            del pool[gone]
        self._left = left
        return found


def _take(pool: dict[str, Example], size: int, total: int) -> dict[str, Example]:
    return {key: pool.pop(key) for key in by_hash(pool)[: min(size, int(total * _SHARE))]}


def _spares(pool: dict[str, Example], size: int, most: int, take: _Take) -> list[dict[str, Example]]:
    # only as many as leave the training set seven times as large as one of them, and every class in it
    spares: list[dict[str, Example]] = []
    while len(spares) < most and len(pool) >= 8 * size:
        try:
            taken = take(pool, size, len(pool))
        except DataError:  # a holdout that was handed over may be smaller than there are classes
            break
        if {e.label for e in taken.values()} - {e.label for e in pool.values()}:
            pool |= taken
            break
        spares.append(taken)
    return spares


def _check(splits: Splits) -> None:
    if len(splits.labels) < 2:
        raise DataError(
            "The training examples have only one class." if splits.labels else "No training example is left.",
            why="With fewer than two there is nothing to tell apart.",
            hint="Give examples of at least two classes.",
        )
    for name, examples in (("holdout", splits.holdout), ("audit", splits.audit)):
        if len(examples) < FEWEST_HOLDOUT:
            counts = Counter(example.label for example in splits.train)
            alone = sum(count == 1 for count in counts.values())
            of_one = f", of which {alone} are the only ones of their class and stay there" if alone else ""
            raise DataError(
                f"The {name} set has {len(examples)} examples after duplicates were dropped.",
                why=f"Below {FEWEST_HOLDOUT}, no improvement can be told from noise.",
                hint=f"Give more distinct texts ({len(splits.train)} are left to train on{of_one}): a set "
                f"that is split off is 15 % of them, so {FEWEST_FILE} are enough; or give sets of "
                f"{FEWEST_HOLDOUT} or more: --holdout FILE --audit FILE. cryoflux data check says "
                "how many show what.",
            )
        unknown = sorted({e.label for e in examples} - set(splits.labels))
        if unknown:
            raise DataError(
                f"The {name} set has the class {unknown[0]!r}, which the training set lacks.",
                why="A model cannot learn a class that it is never shown.",
                hint="Add training examples of that class, or check the labels' spelling.",
            )
