"""Copies among what is offered, found before anything is composed: the earlier commitment has priority.

Two updates are compared as `cryoflux.network.similarity` does, function included, on texts of the node's own
training side that nobody else has. So a copy is no candidate beside its original, whatever it would be worth.
"""

from __future__ import annotations

__all__ = ["TEXTS", "CopyScreen", "Whose", "find_copies"]

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular, storage_errors, write_atomic
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
    def committed_s(self) -> int:
        """When a quorum had seen its receipt, Unix seconds."""


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
) -> dict[str, str]:
    """Which updates are copies of somebody else's, and of what.

    Of two the one that was committed later is the copy, whichever was seen first. Whoever goes on from an
    update of his own has not copied it: a later one of the same log is no copy.

    Args:
        known: updates that are in the head, or were considered before.
        offers: those that are new, in the order of their commitments.
        direction: where an update moves the model.

    Returns:
        adapter of a copy → that of the earliest update that it is one of.
    """
    before = [(one, direction(one.update)) for one in known]
    found: dict[str, str] = {}
    for offer in offers:
        moves = direction(offer.update)
        originals = (
            one.update.adapter
            for one, theirs in before
            if one.origin != offer.origin
            and one.committed_s <= offer.committed_s
            and is_copy(alikeness(moves, theirs))
        )
        if (original := next(originals, None)) is not None:
            found[offer.update.adapter] = original
        before.append((offer, moves))
    return found
