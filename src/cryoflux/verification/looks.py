"""How often each holdout had been looked at before an attempt was announced.

The error budget of ``evidence/v2`` counts verdicts, so a verifier counts them itself, from the receipts
before an intent: whatever carries an evaluation is a look, under any rule.
"""

from __future__ import annotations

__all__ = ["Tallies", "Tally", "with_tallies"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryoflux.receipts.entry import Entry, intent_of, receipt_of
from cryoflux.receipts.statement import Intent, Outcome, Receipt
from cryoflux.verification.history import History


@dataclass(frozen=True, slots=True)
class Tally:
    """What one holdout has given so far."""

    looks: int = 0
    """verdicts"""
    kept: int = 0
    """how many of them were acceptances"""


def with_tallies(history: History) -> Iterator[tuple[Entry, Intent, Mapping[str, Tally]]]:
    """Every intent, with the tally before it of each holdout that was looked at, by its digest."""
    tallies = Tallies()
    for entry in history.entries:
        if (intent := intent_of(entry)) is not None:
            yield entry, intent, dict(tallies)
        elif (receipt := receipt_of(entry)) is not None:
            tallies.count(receipt)


class Tallies(dict[str, Tally]):
    """The tally so far of each holdout that was looked at, by its digest."""

    def count(self, receipt: Receipt) -> None:
        """Take a receipt into account."""
        if receipt.evaluation is None:
            return
        before = self.get(receipt.holdout.sha256, Tally())
        kept = before.kept + (receipt.outcome is Outcome.ACCEPTED)
        self[receipt.holdout.sha256] = Tally(before.looks + 1, kept)
