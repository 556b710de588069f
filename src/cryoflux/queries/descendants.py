"""What was trained on top of an update: own and fetched offers, and what is in the head.

They are found by their parent lists. Of what was fetched these are its own log's word until it is checked;
those of the head are its own.
"""

from __future__ import annotations

__all__ = ["Descendant", "descendants_of", "memory_here"]

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


def descendants_of(
    capsule: str, views: Iterable[CapsuleView], memory: LogState, state: StateFolder
) -> list[Descendant]:
    """What rests on an update, by the lists that are here.

    Args:
        capsule: SHA-256 of its adapter.
        views: what is offered here.
        memory: what the log of the state has come to.
        state: the state.
    """
    list_of = lists_here(state, memory)
    offers: dict[str, list[CapsuleView]] = {}
    for one in views:
        if capsule in one.ancestry.adapters:
            offers.setdefault(one.capsule, []).append(one)
    heads: set[str] = set()
    for known in memory.tasks.values():
        for term in _updates(known.composition.terms, list_of):
            try:
                rests = capsule in ancestry_of(list_of(term.parent), list_of).adapters
            except ModelError:  # of before there were lists
                rests = False
            if rests or term.adapter in offers:
                heads.add(term.adapter)
    adopted = {one for node in memory.nodes.values() for one in node.adopted}
    return [
        Descendant(
            capsule=one,
            offered_by=tuple(view.origin for view in offers.get(one, ()) if not view.own),
            own=any(view.own for view in offers.get(one, ())),
            adopted=one in adopted,
            in_head=one in heads,
        )
        for one in sorted({*offers, *heads} - {capsule})
    ]


def _updates(terms: tuple[Term, ...], list_of: ListOf) -> list[Term]:
    """The updates of a head; only those of its own list where one that was folded is not here."""
    try:
        return updates_of(terms, list_of)
    except ModelError:
        return [term for term in terms if not term.is_list]


def memory_here(state: StateFolder) -> LogState:
    """What the log of a state has come to; nothing where it has none."""
    memory = LogState()
    if state.receipts.is_file():
        for entry in each_entry(state.path):
            memory.take(entry)
    return memory
