"""Copies among what is offered, found before anything is composed: the earlier commitment has priority.

Two updates are compared as `cryoflux.network.similarity` does, function included, on texts of the node's own
training side that nobody else has. So a copy is no candidate beside its original, whatever it would be worth.
Where the copy came here before its original it is in the head, which the original cannot help any more: that
is said, and nothing of its worth.
Where nobody can tell which of two was first, neither is called a copy: the search takes what helps.
"""

from __future__ import annotations

__all__ = ["TEXTS", "CopiesFound", "CopyScreen", "WasBefore", "Whose", "by_time", "find_copies"]

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular, storage_errors, write_atomic
from cryoflux.network.head_times import SeenBy
from cryoflux.network.similarity import Direction, alikeness, is_copy
from cryoflux.registry.compose import F64
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.tasks.composing import Composing

TEXTS = 240
"""whose logits are compared"""
_MOST_BYTES = TEXTS * 8 * 100_000


class Whose(Protocol):
    """An update, and whose it is."""

    @property
    def update(self) -> OfferedUpdate:
        """The update."""

    @property
    def origin(self) -> str:
        """Of the log that offers it."""

    @property
    def seen(self) -> SeenBy | None:
        """When its receipt was seen; none where it was here before anything was offered."""


WasBefore = Callable[[SeenBy, SeenBy], bool]
"""whether the one was surely committed before the other"""


def by_time(one: SeenBy, other: SeenBy) -> bool:
    """By clocks alone, which one trusts where all of them are one's own."""
    return one.time_s < other.time_s


@dataclass(frozen=True, slots=True)
class CopiesFound:
    """What updates are alike, and of different logs."""

    of: dict[str, str] = field(default_factory=dict)
    """adapter of a copy → that of the earliest update that it is one of"""
    contested: dict[str, str] = field(default_factory=dict)
    """adapter of one that is no copy → that of one that it is like, where nobody can tell which was first"""
    copied: dict[str, str] = field(default_factory=dict)
    """adapter of one that is no copy → that of a later copy of it which the head has"""


class CopyScreen:
    """Where updates move a model.

    Args:
        composing: makes versions of lists.
        kept: folder of what need not be computed twice, and may be deleted.
        part: name of the set that the texts are of.
        digest: SHA-256 of its file.
        indices: of the texts, which nobody else has.
    """

    def __init__(
        self, composing: Composing, kept: Path, part: str, digest: str, indices: Sequence[int]
    ) -> None:
        self._composing, self._kept, self._part = composing, kept, part
        self._indices = list(indices[:TEXTS])
        self._named = f"{digest}/{self._indices}"
        self._logits_of, self._direction_of = cache(self._logits), cache(self._direction)

    def direction(self, update: OfferedUpdate) -> Direction:
        """Where an update moves the genesis.

        Raises:
            ModelError: it cannot be added up.
        """
        return self._direction_of(update)

    def _direction(self, update: OfferedUpdate) -> Direction:
        low_rank, whole = self._composing.moves(update)
        with_it = Composition(genesis=update.genesis, terms=(update.term,))
        change = self._logits_of(with_it) - self._logits_of(Composition(genesis=update.genesis))
        return Direction(low_rank, whole, change)

    def _logits(self, composed: Composition) -> F64:
        """Of a list's model: bytes of float64, row after row, where they were computed before."""
        name = sha256_hex(f"{composed.genesis}/{composed.digest}/{self._named}".encode())
        place, count = self._kept / name, len(self._indices)
        if place.is_file() and (content := read_regular(place, _MOST_BYTES)) and len(content) % count == 0:
            return np.frombuffer(content, dtype="<f8").reshape(count, -1)
        computed: F64 = np.asarray(self._composing.logits(composed, self._part, self._indices), dtype="<f8")
        with storage_errors(place):
            self._kept.mkdir(parents=True, exist_ok=True)
            write_atomic(place, computed.tobytes())
        return computed


def find_copies(
    known: Iterable[Whose],
    offers: Iterable[Whose],
    direction: Callable[[OfferedUpdate], Direction],
    before: WasBefore = by_time,
    held: Collection[str] = (),
) -> CopiesFound:
    """Which updates are copies of somebody else's, and of what.

    Of two the one that was committed later is the copy, whichever was seen first. Whoever goes on from an
    update of his own has not copied it: a later one of the same log is no copy.

    Args:
        known: updates that are in the head, or were considered before.
        offers: those that are new, by the times of their commitments.
        direction: where an update moves the model.
        before: says which of two was committed first.
        held: adapters that the head rests on.
    """
    new = list(offers)
    every = [*known, *new]
    moves = {one.update.adapter: direction(one.update) for one in every}
    found = CopiesFound()
    for offer in new:
        _compare(offer, every, moves, before, held, found)
    return found


def _compare(
    offer: Whose,
    every: Iterable[Whose],
    moves: Mapping[str, Direction],
    before: WasBefore,
    held: Collection[str],
    found: CopiesFound,
) -> None:
    """Take note of how an offer is like another's."""
    adapter, copied, contested = offer.update.adapter, "", ""
    for one in every:
        other, is_first = one.update.adapter, _is_before(offer, one, before)
        if one.origin == offer.origin or (is_first and other not in held):
            continue
        if not is_copy(alikeness(moves[adapter], moves[other])):
            continue
        if is_first:
            copied = copied or other
        elif _is_before(one, offer, before):
            found.of[adapter] = other
            return
        else:
            contested = contested or other
    if copied:
        found.copied[adapter] = copied
    elif contested:
        found.contested[adapter] = contested


def _is_before(one: Whose, other: Whose, before: WasBefore) -> bool:
    """Whether an update was there before another one, as far as that can be told."""
    if one.seen is None or other.seen is None:
        return one.seen is None and other.seen is not None
    return before(one.seen, other.seen)
