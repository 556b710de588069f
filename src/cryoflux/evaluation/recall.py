"""Recall class by class, where a mean over all examples hides a class that is never right."""

from __future__ import annotations

__all__ = ["ClassRecall", "recalls"]

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_UNEVEN = 3
"""times as many examples as the smallest class has, from which on the largest one may hide it"""


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """How many examples of a class are right."""

    label: str
    count: int
    """examples of the class"""
    before: float | None
    """share of them, 0 to 1; none where it was not measured"""
    after: float


def recalls(
    classes: Sequence[str], before: Sequence[bool] | None, after: Sequence[bool]
) -> tuple[ClassRecall, ...]:
    """Recall of each class, the worst first; nothing where classes are about as large as one another.

    Args:
        classes: of the examples.
        before: which of them the first version gets right; none where that was not measured.
        after: which of them the head gets right.
    """
    counts = Counter(classes)
    if len(counts) < 2 or max(counts.values()) < _UNEVEN * min(counts.values()):
        return ()
    first = _hits(classes, before) if before is not None else None
    last = _hits(classes, after)
    found = (
        ClassRecall(label, n, first[label] / n if first is not None else None, last[label] / n)
        for label, n in counts.items()
    )
    return tuple(sorted(found, key=lambda one: (one.after, one.before or 0.0, one.label)))


def _hits(classes: Sequence[str], right: Sequence[bool]) -> Counter[str]:
    return Counter(label for label, hit in zip(classes, right, strict=True) if hit)
