"""Numbers of attempts: an attempt's place among the intents of its log, the same in every run and view."""

from __future__ import annotations

__all__ = ["AttemptNumbers", "number_entries"]

from collections.abc import Iterable

from cryoflux.receipts.entry import Entry


class AttemptNumbers:
    """Numbers attempts as the entries of a log go by, in memory for those that have no receipt yet."""

    def __init__(self) -> None:
        self.announced = 0
        """intents so far"""
        self._open: dict[str, int] = {}

    def take(self, entry: Entry) -> int | None:
        """The number of the attempt that the next entry is about; none where it is about none.

        Also none for a receipt whose intent is not in the log, or has got its receipt before.
        """
        if entry.intent is not None:
            self.announced += 1
            self._open[entry.leaf_hash] = self.announced
            return self.announced
        return self._open.pop(entry.receipt.intent, None) if entry.receipt is not None else None


def number_entries(entries: Iterable[Entry]) -> list[int | None]:
    """The number of the attempt that each entry is about; none where it is about none."""
    numbers = AttemptNumbers()
    return [numbers.take(entry) for entry in entries]
