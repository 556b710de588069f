"""Makes train, holdouts and audit disjoint, and decides who is in which.

- Two texts that are equal after normalisation are one example; it stays in the set that matters more:
  holdout, then audit, then train. What was dropped is counted.
- Where a set is not given, it is split off the training file by content hash (`lowest_hash`): the same
  examples go to the same set whatever their order, and a larger file keeps them there.
- What is a copy of a text in a set that matters more, but for what no reader sees (`fold`), is dropped as
  well. Who belongs where is settled before, so which text is drawn does not depend on the fold.
- Spare holdouts are split off where the training file is large enough; one takes over when the error budget
  of the one before is spent.
"""

from __future__ import annotations

__all__ = ["FEWEST_HOLDOUT", "Splits", "hiding_texts", "near_train", "rules_of", "split"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryoflux.data.examples import Example, normalise
from cryoflux.data.fold import FOLD, fold, hides_something
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, by_hash
from cryoflux.data.near import find_near
from cryoflux.errors import DataError

FEWEST_HOLDOUT = 30
_SHARE = 0.15


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


def split(
    train: Iterable[Example],
    holdout: Iterable[Example] | None,
    audit: Iterable[Example] | None,
    *,
    holdout_size: int,
    spare_holdouts: int = 0,
    folded: bool = True,
) -> Splits:
    """Disjoint sets.

    Args:
        train: the training file.
        holdout: the holdout file; none to split it off ``train``.
        audit: the audit file; none to split it off ``train``.
        holdout_size: most examples of a set that is split off.
        spare_holdouts: most further holdouts that are split off.
        folded: whether copies by the fold are dropped, too; older data sets were made without.

    Raises:
        DataError: one class only, a holdout that is too small or shares everything with train, or a
            class that is judged but never trained.
    """
    conflicts: list[Example] = []
    pool, repeats = _unique(train, conflicts)
    held, repeats_held = _unique(holdout or (), conflicts)
    audited, repeats_audit = _unique(audit or (), conflicts)
    if held and _all_in(held, pool, folded=folded):
        raise DataError(
            "Every holdout example is also a training example.",
            why="Δ on examples that were trained on says nothing about improvement.",
            hint="Give a holdout that was set aside: --holdout FILE, or leave it out to have it split off.",
        )
    overlap = _drop(pool, held) + _drop(pool, audited)
    overlap_audit = _drop(audited, held)
    if holdout is None:
        held = _take(pool, holdout_size, len(pool))
    if audit is None:
        audited = _take(pool, holdout_size, len(pool) + (len(held) if holdout is None else 0))
    spares = _spares(pool, len(held), spare_holdouts)
    copies = _drop_copies([held, audited, *spares, pool]) if folded else [0, 0]
    overlap += sum(copies[2:]) + (copies[1] if audit is None else 0)
    overlap_audit += copies[1] if audit is not None else 0
    splits = Splits(
        tuple(pool.values()),
        tuple(held.values()),
        tuple(audited.values()),
        tuple(sorted({e.label for e in pool.values()})),
        {
            "train": repeats + overlap,
            "holdout": repeats_held,
            "audit": repeats_audit + overlap_audit,
            "conflicting": len(conflicts),
        },
        tuple(tuple(spare.values()) for spare in spares),
    )
    _check(splits)
    return splits


def rules_of(*, holdout_given: bool, audit_given: bool) -> dict[str, str]:
    """By which rules a split is made, as intents name them: ``holdout``, ``audit``, ``copies``."""
    drawn = {"holdout": holdout_given, "audit": audit_given}
    return {name: GIVEN if given else LOWEST_HASH for name, given in drawn.items()} | {"copies": FOLD}


def near_train(splits: Splits) -> int:
    """How many texts of the holdout have a near duplicate among those that are trained on; they are kept."""
    train = [example.text for example in splits.train]
    return len(find_near([example.text for example in splits.holdout], train).near)


def hiding_texts(splits: Splits) -> int:
    """How many texts of all sets have characters that show nothing where no spelling needs them."""
    sets = (splits.train, splits.holdout, splits.audit, *splits.spares)
    return sum(hides_something(example.text) for examples in sets for example in examples)


def _unique(examples: Iterable[Example], conflicts: list[Example]) -> tuple[dict[str, Example], int]:
    unique: dict[str, Example] = {}
    seen = 0
    for example in examples:
        seen += 1
        if unique.setdefault(normalise(example.text), example).label != example.label:
            conflicts.append(example)
    return unique, seen - len(unique)


def _drop(pool: dict[str, Example], other: dict[str, Example]) -> int:
    shared = pool.keys() & other.keys()
    for key in shared:
        del pool[key]
    return len(shared)


def _all_in(held: dict[str, Example], pool: dict[str, Example], *, folded: bool) -> bool:
    known = {fold(example.text) for example in pool.values()} if folded else set()
    return all(key in pool or fold(example.text) in known for key, example in held.items())


def _drop_copies(sets: Sequence[dict[str, Example]]) -> list[int]:
    """Drop what is a copy of a text in a set before; how many were dropped of each set."""
    dropped, seen = [], set[str]()
    for drawn in sets:
        keys = {key: fold(example.text) for key, example in drawn.items()}
        copies = [key for key, folded in keys.items() if folded in seen]
        seen.update(keys.values())
        for key in copies:
            del drawn[key]
        dropped.append(len(copies))
    return dropped


def _take(pool: dict[str, Example], size: int, total: int) -> dict[str, Example]:
    return {key: pool.pop(key) for key in by_hash(pool)[: min(size, int(total * _SHARE))]}


def _spares(pool: dict[str, Example], size: int, most: int) -> list[dict[str, Example]]:
    # only as many as leave the training set seven times as large as one of them, and every class in it
    spares: list[dict[str, Example]] = []
    while len(spares) < most and len(pool) >= 8 * size:
        taken = _take(pool, size, len(pool))
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
            raise DataError(
                f"The {name} set has {len(examples)} examples after duplicates were dropped.",
                why=f"Below {FEWEST_HOLDOUT}, no improvement can be told from noise.",
                hint=f"Give more distinct texts ({len(splits.train)} are left to train on); "
                "a set that is split off is 15 % of them.",
            )
        unknown = sorted({e.label for e in examples} - set(splits.labels))
        if unknown:
            raise DataError(
                f"The {name} set has the class {unknown[0]!r}, which the training set lacks.",
                why="A model cannot learn a class that it is never shown.",
                hint="Add training examples of that class, or check the labels' spelling.",
            )
