"""Recall class by class in words, and as a document."""

from __future__ import annotations

__all__ = ["recall_documents", "recall_lines"]

from collections.abc import Sequence
from typing import Any

from cryoflux.evaluation.recall import ClassRecall

_MOST = 5
"""classes that are shown, the worst first"""
_WIDEST = 28
"""columns of a class's name"""


def recall_lines(found: Sequence[ClassRecall]) -> list[str]:
    """The worst classes, and whether only one is ever right; nothing of classes of about the same size."""
    if not found:
        return []
    which = f"the worst {_MOST} of {len(found)} classes" if len(found) > _MOST else "its classes"
    shown = [(_short(one.label), f"{one.count:,}", _change(one)) for one in found[:_MOST]]
    name, count = (max(len(row[column]) for row in shown) for column in (0, 1))
    return [
        f"recall   on the holdout, {which}, which are uneven:",
        *(f"         {row[0]:<{name}}  {row[1]:>{count}} examples  {row[2]}" for row in shown),
        *_never(found),
    ]


def _short(label: str) -> str:
    return label if len(label) <= _WIDEST else f"{label[: _WIDEST - 1]}…"


def _change(one: ClassRecall) -> str:
    first = f"{100 * one.before:.1f} → " if one.before is not None else ""
    return f"{first}{100 * one.after:.1f} %"


def _never(found: Sequence[ClassRecall]) -> list[str]:
    right = [one.label for one in found if one.after > 0]
    if len(right) == 1:
        return [f"         only {_short(right[0])!r} is ever right: as if it were said of every text"]
    never = len(found) - len(right)
    return [f"         {never} of {len(found)} classes are never right"] if never > 1 else []


def recall_documents(found: Sequence[ClassRecall]) -> list[dict[str, Any]]:
    """All of them, for a program; shares from 0 to 1."""
    return [
        {
            "label": one.label,
            "examples": one.count,
            "recall_before": one.before,
            "recall_after": one.after,
        }
        for one in found
    ]
