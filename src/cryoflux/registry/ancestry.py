"""On which updates another one rests: those of the list that it was trained on, and of theirs.

An update acts as a difference from the version that it was trained on. So one that was trained on top of a
poisoned one brings no poison by that; but it was made beside it, and whoever takes the version that it was
trained on, as a mix does, takes the poison along.
"""

from __future__ import annotations

__all__ = ["ALONE", "Ancestry", "ancestry_of"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.errors import ModelError
from cryoflux.registry.composition import Term
from cryoflux.registry.parent_lists import ListOf

_MOST_LISTS = 4_096
"""that are looked up for one update: who offers names others' lists as it likes"""


@dataclass(frozen=True, slots=True)
class Ancestry:
    """What an update rests on, as far as its lists are here."""

    adapters: frozenset[str] = frozenset()
    """of updates; and digests of lists that were folded, which are recalled as a whole"""
    folded: frozenset[str] = frozenset()
    """those of them that are lists"""
    missing: frozenset[str] = frozenset()
    """lists that are not here, or too many to be looked up: it may rest on more"""


ALONE = Ancestry()
"""of an update that was trained on the genesis"""


def ancestry_of(parent: Sequence[Term], list_of: ListOf) -> Ancestry:
    """On what an update rests: all updates of its parent's list, of theirs, and so on.

    Args:
        parent: the list of the version that it was trained on.
        list_of: a list by its digest.
    """
    adapters, folded, missing, seen, left = set[str](), set[str](), set[str](), set[str](), [*parent]
    while left:
        term = left.pop()
        adapters.add(term.adapter)
        if term.is_list:
            folded.add(term.adapter)
        if term.parent in seen:
            continue
        seen.add(term.parent)
        if len(seen) > _MOST_LISTS:
            missing.add(term.parent)
            continue
        try:
            left += list_of(term.parent)
        except ModelError:
            missing.add(term.parent)
    return Ancestry(frozenset(adapters), frozenset(folded), frozenset(missing))
