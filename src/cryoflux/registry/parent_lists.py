"""Lists of updates that others' updates were trained on: each a file that its digest names.

An update acts as a difference from the version that it was trained on, and that version is known by its list.
Of updates of one's own the list stands earlier in the head's list; of others', and of all once a round has
changed weights, it does not. So those are kept beside, and whoever composes asks for them here.
"""

from __future__ import annotations

__all__ = ["ListOf", "adapter_place", "keep_lists", "list_place", "parent_lists"]

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cryoflux.files import read_regular, storage_errors, write_atomic
from cryoflux.registry.composition import MOST_TERMS, Term, cannot_compose, list_digest, parse_list
from cryoflux.state import StateFolder

ListOf = Callable[[str], tuple[Term, ...]]
"""a list by its digest; raises a `ModelError` where it is not known"""
_MOST_BYTES = (MOST_TERMS + 1) * 160


def list_place(state: Path, digest: str) -> Path:
    """Where a list lies in a state."""
    return state / "network" / "lists" / digest


def parent_lists(state: Path) -> ListOf:
    """The lists that a state keeps.

    Args:
        state: its directory.
    """

    def list_of(digest: str) -> tuple[Term, ...]:
        if digest == list_digest(()):
            return ()
        try:
            content = read_regular(list_place(state, digest), _MOST_BYTES)
        except OSError as error:
            raise cannot_compose(f"The list {digest[:16]}… is not here.") from error
        terms = parse_list(content)
        if list_digest(terms) != digest:
            raise cannot_compose(f"The list {digest[:16]}… is another one than its name says.")
        return terms

    return list_of


def adapter_place(state: StateFolder) -> Callable[[str], Path]:
    """Where an adapter lies by the digest of its file: among those that were judged here, or fetched."""

    def place(digest: str) -> Path:
        own = state.capsule(digest)
        return own if own.is_dir() else state.path / "network" / "incoming" / digest

    return place


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
