"""How versions came about, each from another one, back to the genesis of their list.

A version is made by an update that is added to another version, by the steps of a round, or by a recall,
which is the other version without one update. So a list is not written down: it follows, and what a head
would be had it never adopted an update follows by leaving out the steps that brought it.
"""

from __future__ import annotations

__all__ = ["MOST_MADE", "KnownLists", "MadeVersion", "list_of", "lists_on_the_way"]

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from cryoflux.registry.composition import Composition, Term, beginnings, list_digest
from cryoflux.registry.mixture import ListStep, after

KnownLists = dict[str, tuple[Term, ...]]
"""lists by their digests"""
MOST_MADE = 1024
"""versions between a genesis and what is made of it"""


class MadeVersion(Struct, frozen=True, array_like=True):
    """How a version was made: by exactly one of an update, steps, and a recall."""

    genesis: str
    """digest of the version that its list begins at"""
    on: str
    """digest of the version that it was made of"""
    term: Term | None = None
    """the update that was added"""
    steps: tuple[ListStep, ...] = ()
    """of a round"""
    recalled: str = ""
    """the adapter that was taken out"""


def list_of(made: Mapping[str, MadeVersion], version: str, *, never: str = "") -> Composition | None:
    """What a version is composed of.

    Args:
        made: digest of a version → how it was made, as far as that is remembered.
        version: its digest.
        never: an adapter that is left out, as if it had never been adopted.

    Returns:
        None where it is not remembered, back to the genesis.

    Raises:
        ModelError: without that adapter the steps of a round make no list.
    """
    way = _way(made, version)
    return [*_compositions(way, never, {})][-1] if way else None


def lists_on_the_way(made: Mapping[str, MadeVersion], version: str, *, never: str = "") -> KnownLists:
    """The lists that hang below a version's: earlier ones, proposers', and those that were folded.

    Args:
        made: digest of a version → how it was made, as far as that is remembered.
        version: its digest.
        never: an adapter that is left out, as if it had never been adopted.

    Raises:
        ModelError: without that adapter the steps of a round make no list.
    """
    found: KnownLists = {list_digest(()): ()}
    way = _way(made, version) or []
    for one, composed in zip(way, _compositions(way, never, found), strict=True):
        found[composed.digest] = composed.terms
        for step in one.steps:
            found |= beginnings(step.update.parent)
    return found


def _way(made: Mapping[str, MadeVersion], version: str) -> list[MadeVersion] | None:
    """How a version was made, from its genesis on."""
    way: list[MadeVersion] = []
    at = made.get(version)
    genesis = at.genesis if at is not None else ""
    while at is not None and at.genesis == genesis and len(way) < MOST_MADE:
        way.append(at)
        if at.on == genesis:
            return way[::-1]
        at = made.get(at.on)
    return None


def _compositions(way: Sequence[MadeVersion], never: str, folds: KnownLists) -> Iterator[Composition]:
    """What each version on a way is composed of; ``folds`` takes the lists that are folded."""
    gone = {never} - {""}
    for at, one in enumerate(way):
        if at == 0 or one.recalled:
            composed = Composition(genesis=way[0].genesis)
        if one.recalled:
            gone.add(one.recalled)
            for earlier in way[:at]:
                composed = _made(composed, earlier, gone, folds)
        else:
            composed = _made(composed, one, gone, folds)
        yield composed


def _made(composed: Composition, one: MadeVersion, gone: set[str], folds: KnownLists) -> Composition:
    if one.term is None or one.term.adapter in gone:
        return after(composed, one.steps, gone, folds)
    if composed.is_full:
        folds[composed.digest] = composed.terms
    return composed.adding(one.term)
