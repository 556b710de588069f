"""A log that was gone through, for the steps on request; what is kept of it is bounded."""

from __future__ import annotations

__all__ = ["Recent", "Walked"]

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryoflux.log_state import LogState
from cryoflux.receipts.statement import Outcome
from cryoflux.verification.material import Material
from cryoflux.verification.walk import Paired, Seen, follow, read_rows


class Recent:
    """The newest receipts that were evaluated, and the newest that were accepted.

    Args:
        most: of each.
    """

    def __init__(self, most: int) -> None:
        self.evaluated: deque[Paired] = deque(maxlen=most + 1)
        """oldest first"""
        self.accepted: deque[Paired] = deque(maxlen=max(1, most))
        """oldest first"""
        self.receipts = self.evaluations = 0

    def take(self, seen: Seen) -> None:
        """Keep the next entry, if it is such a receipt."""
        if (paired := seen.paired) is None:
            return
        self.receipts += 1
        if paired.receipt.evaluation is not None:
            self.evaluations += 1
            self.evaluated.append(paired)
        if paired.receipt.outcome is Outcome.ACCEPTED:
            self.accepted.append(paired)


@dataclass(frozen=True, slots=True)
class Walked:
    """A log that was gone through."""

    material: Material
    memory: LogState
    """what it has come to"""
    roots: Mapping[int, bytes]
    """size → root, for the sizes of all heads that are known of it"""
    recent: Recent

    @property
    def size(self) -> int:
        """Entries."""
        return self.memory.size

    def pairs(self) -> Iterator[Paired]:
        """Every receipt with its intent, read once more."""
        memory = LogState()
        for seen in read_rows(self.material.rows, memory):
            if seen.paired is not None:
                yield seen.paired
            follow(seen, memory)  # what is wrong with it was said in the first pass
