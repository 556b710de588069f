"""How versions came about, each from another one, back to the genesis of their list.

A version is made by an update that is added to another version, by the steps of a round, or by a recall,
which is the other version without one update. So a list is not written down: it follows, and what a head
would be had it never adopted an update follows by leaving out the steps that brought it.

A recall takes out of what came before it, and of nothing else: where later steps bring the same update in
again, by themselves or with what others had trained on it, it is there, as the weights have it.
"""

from __future__ import annotations

__all__ = ["MOST_MADE", "KnownLists", "MadeVersion", "list_of", "lists_on_the_way", "made_on"]

from collections.abc import Collection, Iterator, Mapping, Sequence

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
    left_out = {never} - {""}
    composed = Composition(genesis=way[0].genesis if way else "")
    for at, one in enumerate(way):
        if one.recalled:
            composed = _without(way[: at + 1], left_out, folds)
        else:
            composed = made_on(composed, one, left_out, folds)
        yield composed


def _without(way: Sequence[MadeVersion], left_out: Collection[str], folds: KnownLists) -> Composition:
    """What a way makes whose recalls each take out of what came before them."""
    gone = [set(left_out)]
    for one in reversed(way):
        gone.append(gone[-1] | {one.recalled} if one.recalled else gone[-1])
    composed = Composition(genesis=way[0].genesis)
    for one, without in zip(way, reversed(gone[:-1]), strict=True):
        if not one.recalled:
            composed = made_on(composed, one, without, folds)
    return composed


def made_on(
    composed: Composition,
    one: MadeVersion,
    without: Collection[str] = frozenset(),
    folds: KnownLists | None = None,
) -> Composition:
    """The list of a version that was made of another one, by an update or by steps.

    Args:
        composed: the list of that one.
        one: how it was made.
        without: adapters that are left out.
        folds: takes the lists that are folded on the way.

    Raises:
        ModelError: the steps make no list.
    """
    if one.term is None or one.term.adapter in without:
        return after(composed, one.steps, without, folds)
    if composed.is_full and folds is not None:
        folds[composed.digest] = composed.terms
    return composed.adding(one.term)
