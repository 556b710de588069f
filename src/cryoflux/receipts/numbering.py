"""Numbers of attempts and rounds, the same in every run and view, for everybody who reads the log.

An attempt has its place among the intents (``#3``), a round its place among the records of rounds (``#r2``):
one that was announced gets the next one, and keeps it once it has its record.
"""

from __future__ import annotations

__all__ = ["AttemptNumbers", "RoundNumbers", "number_entries", "number_rounds", "round_name"]

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


class RoundNumbers:
    """Numbers rounds as the entries of a log go by."""

    def __init__(self) -> None:
        self.recorded = 0
        """rounds that have a record so far"""

    def take(self, entry: Entry) -> int | None:
        """The number of the round that the next entry is about; none where it is about none."""
        if entry.round is not None:
            self.recorded += 1
            return self.recorded
        return self.recorded + 1 if entry.round_intent is not None else None


def number_rounds(entries: Iterable[Entry]) -> list[int | None]:
    """The number of the round that each entry is about; none where it is about none."""
    numbers = RoundNumbers()
    return [numbers.take(entry) for entry in entries]


def round_name(number: int) -> str:
    """What a round is called, and what can be typed for it: ``#r2``."""
    return f"#r{number}"
