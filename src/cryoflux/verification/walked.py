"""A log that was gone through, for the steps on request; what is kept of it is bounded."""

from __future__ import annotations

__all__ = ["Recent", "Walked"]

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct, field

from cryoflux.log_state import LogState, OpenIntent
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.statement import Outcome, ReceiptStatement
from cryoflux.receipts.store import Row
from cryoflux.registry.composition import Composition
from cryoflux.task_state import Chain
from cryoflux.task_tallies import EVERYTHING, PoolParts
from cryoflux.verification.binding import Binding
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep
from cryoflux.verification.walk import Fold, Paired, Seen, Tally, follow, read_rows


class _Place(Struct):
    """Where a receipt is, and what was known when it was read: see `Paired`."""

    index: int
    opened: int | None
    drawn: int
    pool_seed: int
    composed: Composition | None = None
    chain: Chain | None = None
    pool: PoolParts = EVERYTHING


class _Counts(Tally):
    receipts: int = 0
    evaluations: int = 0
    evaluated: list[_Place] = field(default_factory=list)
    """where the newest ones are; filled when it is kept"""
    accepted: list[_Place] = field(default_factory=list)


class Recent(Fold):
    """The newest receipts that were evaluated, and the newest that were accepted; it finds nothing.

    Args:
        most: of each.
    """

    step: ClassVar = NumberedStep(0, "receipts for the steps on request")
    tally: _Counts

    def __init__(self, most: int) -> None:
        super().__init__()
        self.tally = _Counts()
        self.evaluated: deque[Paired] = deque(maxlen=most + 1)
        """oldest first"""
        self.accepted: deque[Paired] = deque(maxlen=max(1, most))
        """oldest first"""

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Keep the next entry, if it is such a receipt."""
        if seen.entry is not None and seen.entry.judgement is not None:
            self.tally.receipts += 1
        if (paired := seen.paired) is None:
            return
        self.tally.receipts += 1
        if paired.receipt.evaluation is not None:
            self.tally.evaluations += 1
            self.evaluated.append(paired)
        if paired.receipt.outcome is Outcome.ACCEPTED:
            self.accepted.append(paired)

    def conclude(self, memory: LogState) -> list[Check]:  # noqa: ARG002
        """Nothing."""
        return []

    def keep(self) -> None:
        """Note in the tally where the receipts are."""
        self.tally.evaluated = [_place(paired) for paired in self.evaluated]
        self.tally.accepted = [_place(paired) for paired in self.accepted]

    def look_up(self, rows: Sequence[Row], knows: Callable[[int, str], bool]) -> None:
        """Read the receipts again that the tally names.

        Args:
            rows: of the log.
            knows: whether an entry, by its place and leaf hash, is the one that was judged.

        Raises:
            LookupError, CryoFluxError: they are not there any more, or cannot be read.
        """
        self.evaluated.extend(_paired(place, rows, knows) for place in self.tally.evaluated)
        self.accepted.extend(_paired(place, rows, knows) for place in self.tally.accepted)


def _place(paired: Paired) -> _Place:
    opened = paired.opened.index if paired.opened is not None else None
    known = (paired.drawn, paired.pool_seed, paired.composed, paired.chain, paired.pool)
    return _Place(paired.entry.index, opened, *known)


def _entry(index: int, rows: Sequence[Row], knows: Callable[[int, str], bool]) -> Entry:
    entry = parse_entry(index, rows[index].envelope)
    if not knows(index, entry.leaf_hash):
        raise LookupError(index)
    return entry


def _paired(place: _Place, rows: Sequence[Row], knows: Callable[[int, str], bool]) -> Paired:
    entry, opened = _entry(place.index, rows, knows), None
    if place.opened is not None:
        announced = _entry(place.opened, rows, knows)
        if announced.intent is not None:
            opened = OpenIntent(announced.intent, announced.leaf_hash, place.opened, place.drawn)
    statement = entry.statement
    if type(statement) is not ReceiptStatement:
        raise LookupError(place.index)
    known = (place.drawn, place.pool_seed, place.composed, place.chain, place.pool)
    return Paired(entry, statement, opened, *known)


@dataclass(frozen=True, slots=True)
class Walked:
    """A log that was gone through."""

    material: Material
    memory: LogState
    """what it has come to"""
    roots: Mapping[int, bytes]
    """size → root, for the sizes of all heads that are known of it"""
    recent: Recent
    binding: Binding = Binding.NONE
    """whose word it is that the key of its head is the log's"""

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
