"""The one way through a log: each entry is read once, and every step looks at it in turn.

A step is a fold. It is told of each row with the state of the log before it (`cryoflux.log_state`), keeps
its findings, and says at the end what holds. Nothing here depends on how long the log is, and nothing raises
for what a log says: what cannot be read becomes a finding of step 1 and takes its place in the order, and
what a step did not foresee is a failed check of that step, which names the entry.
"""

from __future__ import annotations

__all__ = ["Fold", "Paired", "Seen", "Tally", "concluded", "follow", "read_rows", "walk"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from msgspec import Struct

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.log_state import LogState, OpenIntent
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.reading import uncollected
from cryoflux.receipts.statement import Intent, Receipt, ReceiptStatement
from cryoflux.receipts.store import DATABASE, Row
from cryoflux.registry.composition import Composition
from cryoflux.task_state import Chain
from cryoflux.task_tallies import EVERYTHING, PoolParts
from cryoflux.verification.result import Check, Findings, NumberedStep, failed

_EACH = 4_096
"""entries after which progress is told"""


class Paired(Struct, frozen=True):
    """A receipt, and the intent that it closes where one was open."""

    entry: Entry
    statement: ReceiptStatement
    opened: OpenIntent | None
    drawn: int = 0
    """training examples that it draws behind: of attempts of its task that were announced before it"""
    pool_seed: int = 0
    """that the training examples of its task were shuffled with"""
    composed: Composition | None = None
    """what the head of its task was composed of"""
    chain: Chain | None = None
    """that it goes on with, as the log has come to it; none where it is of no chain"""
    pool: PoolParts = EVERYTHING
    """training examples that it drew from"""

    @property
    def receipt(self) -> Receipt:
        """The receipt."""
        return self.statement.predicate

    @property
    def intent(self) -> Intent | None:
        """The intent, where there is one."""
        return self.opened.intent if self.opened is not None else None

    @property
    def name(self) -> str:
        """How a finding names it."""
        return self.entry.name


class Seen(Struct, frozen=True):
    """One row of the log, read."""

    index: int
    """its place, counted from 0"""
    row: Row
    leaf: str
    """leaf hash of its bytes, computed here"""
    before: str
    """leaf hash of the entry before it; empty where that is not here"""
    entry: Entry | None
    """none where it is not well formed"""
    complaint: str
    """why it is not; empty where it is"""
    paired: Paired | None
    """the receipt that it is, with its intent"""

    @property
    def name(self) -> str:
        """How a finding names it."""
        return self.entry.name if self.entry is not None else f"entry {self.index}"


class Tally(Struct):
    """What a step has to know of the entries that it was told of; values only, so it can be kept."""


class Fold(ABC):
    """One numbered step of a verification, entry after entry."""

    step: ClassVar[NumberedStep]
    tally: Tally

    def __init__(self) -> None:
        self.findings = Findings()
        self.tally = Tally()

    @abstractmethod
    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the next entry.

        Args:
            seen: the entry.
            memory: what the log had come to before it.
        """

    @abstractmethod
    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step.

        Args:
            memory: what the whole log has come to.
        """


def read_rows(rows: Iterable[Row], memory: LogState, *, part: bool = False) -> Iterator[Seen]:
    """Each row of a log, read; whoever goes on to the next has made ``memory`` follow.

    Args:
        rows: of the log, in order, from where ``memory`` stands.
        memory: what the log has come to before the row that is next.
        part: whether rows may be missing: each then lies where it says.
    """
    before, due = memory.last, memory.size
    for row in rows:
        index = row.index if part else due
        entry, complaint = _read(index, row.envelope)
        leaf = entry.leaf_hash if entry is not None else leaf_hash(row.envelope).hex()
        paired = _paired(entry, memory) if entry is not None else None
        yield Seen(index, row, leaf, before if index == due else "", entry, complaint, paired)
        before, due = leaf if row.lost is None else "", index + 1


def _read(index: int, envelope: bytes) -> tuple[Entry | None, str]:
    try:
        return parse_entry(index, envelope), ""
    except VerificationError as error:
        return None, error.what
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes provoke is said of that entry
        return None, f"cannot be read: {type(error).__name__}: {error}"


def _paired(entry: Entry, memory: LogState) -> Paired | None:
    if not isinstance(entry.statement, ReceiptStatement):
        return None
    receipt = entry.statement.predicate
    known, opened = memory.tasks.get(receipt.task.name), memory.open.get(receipt.intent)
    return Paired(
        entry,
        entry.statement,
        opened,
        opened.drawn if opened is not None else known.drawn if known is not None else 0,
        known.pool_seed if known is not None else 0,
        known.composition if known is not None else None,
        known.begin_chain(opened.intent) if known is not None and opened is not None else None,
        known.pool_for(opened.intent) if known is not None and opened is not None else EVERYTHING,
    )


def walk(
    rows: Iterable[Row],
    folds: Sequence[Fold],
    *,
    total: int = 0,
    progress: Callable[[int, int], None] | None = None,
    part: bool = False,
    memory: LogState | None = None,
) -> LogState:
    """Go through a log once, and return what it has come to.

    Args:
        rows: of the log, in order.
        folds: the steps that look at them; the first one says what cannot be read.
        total: how many rows there are, for progress.
        progress: is told how many entries of how many are done.
        part: whether rows may be missing: each then lies where it says.
        memory: what the log has come to before the first of the rows; none at its beginning.
    """
    memory = memory if memory is not None else LogState()
    with uncollected():
        try:
            for seen in read_rows(rows, memory, part=part):
                for fold in folds:
                    # The last line of defence: input that a step did not foresee is a failed check.
                    try:
                        fold.take(seen, memory)
                    except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and of which entry
                        fold.findings.add(failed(seen.name, _unfinished(error)))
                if complaint := follow(seen, memory):
                    folds[0].findings.add(failed(seen.name, complaint))
                if progress is not None and seen.index % _EACH == 0:
                    progress(seen.index, total)
        except CryoFluxError as error:  # the database itself is damaged
            folds[0].findings.add(failed(DATABASE, error.what))
    if progress is not None:
        progress(memory.size, total)
    return memory


def follow(seen: Seen, memory: LogState) -> str:
    """Take a row into the memory, and return what was wrong with that; empty where nothing was."""
    if seen.entry is None:
        memory.skip(seen.leaf)
        return ""
    try:
        memory.take(seen.entry)
    except Exception as error:  # noqa: BLE001 - what comes after is judged by a memory that may lack it
        return f"cannot be taken into account: {type(error).__name__}: {error}"
    return ""


def _unfinished(error: Exception) -> str:
    return f"the step could not finish: {type(error).__name__}: {error}"


def concluded(fold: Fold, memory: LogState) -> list[Check]:
    """The lines of a step; a failed one where it could not come to its end."""
    try:
        return fold.conclude(memory)
    except Exception as error:  # noqa: BLE001 - as in `walk`
        fold.findings.add(failed("the log", _unfinished(error)))
        return fold.findings.conclude(fold.step, "")
