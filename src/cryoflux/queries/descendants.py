"""What was trained on top of an update: own and fetched offers, and what is in the head.

They are found by their parent lists, as far as those are here. Of what was fetched these are its own log's
word until it is checked; those of the head are its own.
"""

from __future__ import annotations

__all__ = ["Descendant", "Descendants", "descendants_of", "memory_here"]

from collections.abc import Iterable
from dataclasses import dataclass

from cryoflux.errors import ModelError
from cryoflux.log_state import LogState
from cryoflux.queries.capsules import CapsuleView, lists_here
from cryoflux.receipts.reading import each_entry
from cryoflux.registry.ancestry import ancestry_of
from cryoflux.registry.composition import Term
from cryoflux.registry.parent_lists import ListOf, updates_of
from cryoflux.state import StateFolder


@dataclass(frozen=True, slots=True)
class Descendant:
    """An update that rests on another one."""

    capsule: str
    """SHA-256 of its adapter"""
    offered_by: tuple[str, ...]
    """other logs that offer it"""
    own: bool
    """whether this log offers it"""
    adopted: bool
    """whether a round of this log did, so that it can be recalled"""
    in_head: bool


@dataclass(frozen=True, slots=True)
class Descendants:
    """What is known to rest on an update."""

    found: tuple[Descendant, ...] = ()
    lists_missing: int = 0
    """that others were trained on, and that are not here: by those, more of them may rest on it"""


def descendants_of(
    capsule: str, views: Iterable[CapsuleView], memory: LogState, state: StateFolder
) -> Descendants:
    """What rests on an update, by the lists that are here.

    Args:
        capsule: SHA-256 of its adapter.
        views: what is offered here.
        memory: what the log of the state has come to.
        state: the state.
    """
    list_of, missing = lists_here(state, memory), set[str]()
    offers: dict[str, list[CapsuleView]] = {}
    for one in views:
        if capsule in one.ancestry.adapters:
            offers.setdefault(one.capsule, []).append(one)
        elif one.capsule != capsule:
            missing |= one.ancestry.missing
    heads: set[str] = set()
    for known in memory.tasks.values():
        updates, folded = _updates(known.composition.terms, list_of)
        missing |= folded
        for term in updates:
            rests = ancestry_of([term], list_of)
            if capsule in rests.adapters or term.adapter in offers:
                heads.add(term.adapter)
            else:
                missing |= rests.missing
    adopted = {one for node in memory.nodes.values() for one in node.adopted}
    found = (
        Descendant(
            capsule=one,
            offered_by=tuple(view.origin for view in offers.get(one, ()) if not view.own),
            own=any(view.own for view in offers.get(one, ())),
            adopted=one in adopted,
            in_head=one in heads,
        )
        for one in sorted({*offers, *heads} - {capsule})
    )
    return Descendants(tuple(found), len(missing))


def _updates(terms: tuple[Term, ...], list_of: ListOf) -> tuple[list[Term], frozenset[str]]:
    """The updates of a head, and folded lists that are not here: then they are those of its own list."""
    try:
        return updates_of(terms, list_of), frozenset()
    except ModelError:
        folded = [term for term in terms if term.is_list]
        return [term for term in terms if not term.is_list], ancestry_of(folded, list_of).missing


def memory_here(state: StateFolder) -> LogState:
    """What the log of a state has come to; nothing where it has none."""
    memory = LogState()
    if state.receipts.is_file():
        for entry in each_entry(state.path):
            memory.take(entry)
    return memory
