"""Copies among what is offered, found before anything is composed: the earlier commitment has priority.

Two updates are compared as `cryoflux.network.similarity` does, function included, on texts of the node's own
training side that nobody else has. So a copy is no candidate beside its original, whatever it would be worth.
"""

from __future__ import annotations

__all__ = ["CopyScreen", "find_copies"]

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular, storage_errors, write_atomic
from cryoflux.network.similarity import Direction, alikeness, is_copy
from cryoflux.registry.compose import F64
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.tasks.interface import Composing

TEXTS = 240
"""whose logits are compared"""
_MOST_BYTES = TEXTS * 8 * 100_000


class CopyScreen:
    """Where updates move a model.

    Args:
        composing: makes versions of lists.
        kept: folder of what need not be computed twice, and may be deleted.
        texts: SHA-256 of the training set that the texts are of.
    """

    def __init__(self, composing: Composing, kept: Path, texts: str) -> None:
        self._composing, self._kept = composing, kept
        self._indices = list(composing.screen[:TEXTS])
        self._named = f"{texts}/{self._indices}"
        self._logits_of = cache(self._logits)

    def direction(self, update: OfferedUpdate) -> Direction:
        """Where an update moves the genesis.

        Raises:
            ModelError: it cannot be added up.
        """
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
        computed: F64 = np.asarray(self._composing.logits(composed, "train", self._indices), dtype="<f8")
        with storage_errors(place):
            self._kept.mkdir(parents=True, exist_ok=True)
            write_atomic(place, computed.tobytes())
        return computed


def find_copies(
    known: Iterable[OfferedUpdate],
    offers: Iterable[OfferedUpdate],
    direction: Callable[[OfferedUpdate], Direction],
) -> dict[str, str]:
    """Which updates are copies, and of what.

    Args:
        known: updates that were there before.
        offers: those that are new, in the order of their commitments.
        direction: where an update moves the model.

    Returns:
        adapter of a copy → that of the earliest update that it is one of.
    """
    before = [(update.adapter, direction(update)) for update in known]
    found: dict[str, str] = {}
    for update in offers:
        moves = direction(update)
        original = next((name for name, one in before if is_copy(alikeness(moves, one))), None)
        if original is None:
            before.append((update.adapter, moves))
        elif original != update.adapter:
            found[update.adapter] = original
    return found
