"""Lists of updates that others hang on: each a file that its digest names.

An update acts as a difference from the version that it was trained on, and that version is known by its list.
Of updates of one's own the list stands earlier in the head's list; of others', and of all once a round has
changed weights, it does not. Nor does a list that was folded into one term. So those are kept beside, and
whoever composes asks for them here.
"""

from __future__ import annotations

__all__ = [
    "ListOf",
    "adapter_place",
    "keep_lists",
    "list_place",
    "lists_of",
    "names_update",
    "no_lists",
    "parent_lists",
    "updates_of",
]

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from cryoflux.errors import ModelError
from cryoflux.files import read_regular, storage_errors, write_atomic
from cryoflux.registry.composition import (
    MOST_DEPTH,
    MOST_TERMS,
    MOST_UPDATES,
    Term,
    beginnings,
    cannot_compose,
    list_digest,
    parse_list,
)
from cryoflux.state import StateFolder

ListOf = Callable[[str], tuple[Term, ...]]
"""a list by its digest; raises a `ModelError` where it is not known"""
_MOST_BYTES = (MOST_TERMS + 1) * 160


def list_place(state: Path, digest: str) -> Path:
    """Where a list lies in a state."""
    return state / "network" / "lists" / digest


def parent_lists(state: Path) -> ListOf:
    """The lists that a state keeps, and those that one of them begins with.

    Args:
        state: its directory.
    """
    begun = beginnings(())
    seen = set[str]()

    def list_of(digest: str) -> tuple[Term, ...]:
        if digest in begun:
            return begun[digest]
        try:
            content = read_regular(list_place(state, digest), _MOST_BYTES)
        except OSError as error:
            for name in sorted(_kept_in(state) - seen):
                seen.add(name)
                with suppress(ModelError, OSError):
                    begun.update(beginnings(_read(name)))
            if digest in begun:
                return begun[digest]
            raise cannot_compose(f"The list {digest[:16]}… is not here.") from error
        return _parsed(content, digest)

    def _read(name: str) -> tuple[Term, ...]:
        return _parsed(read_regular(list_place(state, name), _MOST_BYTES), name)

    return list_of


def _kept_in(state: Path) -> set[str]:
    try:
        return {path.name for path in list_place(state, "").iterdir()}
    except OSError:
        return set()


def _parsed(content: bytes, digest: str) -> tuple[Term, ...]:
    terms = parse_list(content)
    if list_digest(terms) != digest:
        raise cannot_compose(f"The list {digest[:16]}… is another one than its name says.")
    return terms


def no_lists(digest: str) -> tuple[Term, ...]:
    """Where no list is known.

    Raises:
        ModelError: always.
    """
    raise cannot_compose(f"The list {digest[:16]}… is not known.")


def updates_of(terms: Sequence[Term], list_of: ListOf) -> list[Term]:
    """The updates of a list, with those of the lists that it has folded: each once, the outer ones first.

    Args:
        terms: the list.
        list_of: a folded list by its digest.

    Raises:
        ModelError: a list is not known, or there are too many of them, or of updates, or they hang too deep.
    """
    found, lists = dict[tuple[str, str], Term](), set[str]()
    level = list(terms)
    for _ in range(MOST_DEPTH):
        found |= {(one.adapter, one.parent): one for one in level if not one.is_list}
        below = {one.parent: None for one in level if one.is_list and one.parent not in lists}
        lists |= below.keys()
        if max(len(found), len(lists)) > MOST_UPDATES:
            raise cannot_compose(f"A version would be the sum of more than {MOST_UPDATES:,} updates.")
        if not below:
            return list(found.values())
        level = [one for digest in below for one in list_of(digest)]
    raise cannot_compose(f"More than {MOST_DEPTH} lists hang below one another.")


def names_update(terms: Sequence[Term], adapter: str, lists: Mapping[str, tuple[Term, ...]]) -> bool:
    """Whether a list has an update, as a term or in a list that it has folded.

    Args:
        terms: the list.
        adapter: the update, or a folded list.
        lists: those that are known, by their digests; in others nothing is found.
    """
    below: Sequence[Term] = ()
    with suppress(ModelError):  # they hang too deep: nobody composes that
        below = updates_of(terms, lambda digest: lists.get(digest, ()))
    return any(one.adapter == adapter for one in (*terms, *below))


def adapter_place(state: StateFolder) -> Callable[[str], Path]:
    """Where an adapter lies by the digest of its file: among those that were judged here, or fetched."""

    def place(digest: str) -> Path:
        own = state.capsule(digest)
        return own if own.is_dir() else state.path / "network" / "incoming" / digest

    return place


def lists_of(state: Path) -> tuple[ListOf, Callable[[Iterable[Sequence[Term]]], None]]:
    """How a list of a state is found, and how some are kept."""
    return parent_lists(state), partial(keep_lists, state)


def keep_lists(state: Path, lists: Iterable[Sequence[Term]]) -> None:
    """Keep some lists; those that are here already stay.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    for terms in lists:
        place = list_place(state, list_digest(terms))
        if terms and not place.is_file():
            with storage_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(place, "".join(term.line for term in terms).encode())
