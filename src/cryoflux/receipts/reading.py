"""Reading the log without changing it, and finding an entry by what a person types."""

from __future__ import annotations

__all__ = ["find_entry", "read_entries"]

from collections.abc import Sequence
from pathlib import Path

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.receipts.store import DATABASE, read_rows

_SHORTEST_PREFIX = 4


def read_entries(state: Path) -> list[Entry]:
    """Every entry of a state's log, in order.

    Raises:
        UsageError: the state holds no log.
        StateTamperedError: an entry is not well formed.
    """
    path = state / DATABASE
    if not path.is_file():
        raise UsageError(
            f"{state} holds no receipts.",
            why="A state directory has a receipts.db.",
            hint="Name another one with --state DIR, or make one with cryoflux run.",
        )
    entries = []
    for index, row in enumerate(read_rows(path)):
        try:
            entries.append(parse_entry(index, row.envelope))
        except VerificationError as error:
            raise StateTamperedError(
                f"Entry {index} of {path} is damaged: {error.what}",
                why="What it says is not evidence any more.",
                hint="cryoflux verify names everything that is wrong.",
            ) from error
    return entries


def find_entry(entries: Sequence[Entry], text: str) -> Entry:
    """The entry that an index, a task id or the beginning of a leaf hash names.

    A task id names its receipt, or its intent as long as there is no receipt.

    Raises:
        UsageError: nothing, or more than one entry, has that name.
    """
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) < len(entries):
        return entries[int(text)]
    of_task = [entry for entry in entries if entry.statement.predicate.task.id == text]
    receipts = [entry for entry in of_task if isinstance(entry.statement, ReceiptStatement)]
    if found := receipts[-1:] or of_task[-1:]:
        return found[0]
    hashed = [entry for entry in entries if entry.leaf_hash.startswith(text)]
    if len(text) >= _SHORTEST_PREFIX and len(hashed) == 1:
        return hashed[0]
    reason = "Several entries begin so." if len(hashed) > 1 else f"The log has {len(entries)} entries."
    raise UsageError(
        f"No single entry is called {text!r}.",
        why=reason,
        hint="Give an index, a task id, or the first digits of a receipt hash; see cryoflux receipts list.",
    )
