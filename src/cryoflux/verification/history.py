"""The entries of a log as the steps see them: parsed once, paired once.

An entry that cannot be parsed is named by step 1 and left out of the later ones; its leaf hash still
takes its place in the chain.
"""

from __future__ import annotations

__all__ = ["Attempt", "History", "read_history", "said_by"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.errors import CryoFluxError
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.reading import uncollected
from cryoflux.receipts.statement import Intent, IntentStatement, Receipt, ReceiptStatement
from cryoflux.verification.material import Material
from cryoflux.verification.patterns import read_attempt


def said_by(entry: Entry) -> str:
    """How a check names an entry."""
    kind = "receipt" if isinstance(entry.statement, ReceiptStatement) else "intent"
    return f"entry {entry.index} ({kind} {entry.statement.predicate.task.id})"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A receipt, and the intent that it names where there is one."""

    entry: Entry
    statement: ReceiptStatement
    intent: Intent | None

    @property
    def receipt(self) -> Receipt:
        """What the receipt says."""
        return self.statement.predicate

    @property
    def name(self) -> str:
        """How a check names it."""
        return said_by(self.entry)


@dataclass(frozen=True, slots=True)
class History:
    """What the log tells, in order."""

    material: Material
    leaves: Sequence[bytes]
    """leaf hash of each row's bytes, computed here"""
    entries: Sequence[Entry]
    """those that are well formed"""
    malformed: dict[int, str]
    """index → what is wrong"""
    intents: Sequence[tuple[Entry, Intent]]
    attempts: Sequence[Attempt]


def read_history(material: Material) -> History:
    """Parse every entry; what cannot be parsed is kept as a finding, not raised."""
    entries: list[Entry] = []
    malformed: dict[int, str] = {}
    with uncollected():
        for position, row in enumerate(material.rows):
            try:
                entries.append(read_attempt(position, row.envelope))
            except CryoFluxError as error:
                malformed[position] = error.what
    announced = [(e, e.statement.predicate) for e in entries if isinstance(e.statement, IntentStatement)]
    return History(
        material=material,
        leaves=tuple(leaf_hash(row.envelope) for row in material.rows),
        entries=tuple(entries),
        malformed=malformed,
        intents=tuple(announced),
        attempts=_attempts(entries, announced),
    )


def _attempts(entries: list[Entry], announced: list[tuple[Entry, Intent]]) -> tuple[Attempt, ...]:
    by_leaf = {entry.leaf_hash: (entry.index, intent) for entry, intent in announced}
    attempts = []
    for entry in entries:
        if isinstance(entry.statement, ReceiptStatement):
            index, intent = by_leaf.get(entry.statement.predicate.intent, (entry.index, None))
            attempts.append(Attempt(entry, entry.statement, intent if index < entry.index else None))
    return tuple(attempts)
