"""What commands print of what was trained on top of an update."""

from __future__ import annotations

__all__ = ["descendant_lines", "descendants_document"]

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cryoflux.quantities import counted

if TYPE_CHECKING:
    from cryoflux.queries.descendants import Descendant, Descendants


def descendants_document(below: Descendants) -> dict[str, Any]:
    """What rests on an update, for a program."""
    return {"descendants": [_document(one) for one in below.found], "lists_missing": below.lists_missing}


def _document(one: Descendant) -> dict[str, Any]:
    return {
        "capsule": one.capsule,
        "offered_by": list(one.offered_by),
        "own": one.own,
        "was_adopted": one.adopted,
        "in_head": one.in_head,
    }


def descendant_lines(below: Descendants) -> Iterator[str]:
    """What rests on an update that is recalled, and what to do about it; nothing where nothing can."""
    if below.found:
        yield from _found_lines(below.found)
    if below.lists_missing:
        are = "is" if below.lists_missing == 1 else "are"
        yield f"there may be more: {counted(below.lists_missing, 'parent list')} {are} not here"


def _found_lines(found: Sequence[Descendant]) -> Iterator[str]:
    yield "trained on top of it, by the lists that are here:"
    for one in found:
        yield f"  {one.capsule[:16]}…  {_where(one)}"
    yield "What it changed is in none of them: each acts as a difference from what it was trained on."
    if any(one.adopted for one in found):
        yield "next, where you do not trust what was adopted: cryoflux capsule recall SHA --reason TEXT"
    if any(one.in_head and not one.adopted for one in found):
        yield "next, for own ones in the head: cryoflux models rollback leaves them behind"
    if any(one.own for one in found):
        yield "next, for what this log offers: train again, and offer that; who mixes towards it takes both"


def _where(one: Descendant) -> str:
    said = []
    if one.in_head:
        said.append("adopted, in the head" if one.adopted else "own, in the head")
    elif one.adopted:
        said.append("adopted, in the head no longer")
    if one.own:
        said.append("offered by this log")
    if one.offered_by:
        said.append(f"offered by {', '.join(one.offered_by)}")
    return "; ".join(said)
