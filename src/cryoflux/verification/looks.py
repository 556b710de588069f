"""How often each holdout had been looked at before an attempt was announced.

The error budget of ``evidence/v2`` counts verdicts, so a verifier counts them itself, from the receipts
before an intent: whatever carries an evaluation is a look, under any rule.
"""

from __future__ import annotations

__all__ = ["Tally", "with_tallies"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryoflux.receipts.entry import Entry, intent_of
from cryoflux.receipts.statement import Intent, Outcome
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
    receipts = {attempt.entry.index: attempt.receipt for attempt in history.attempts}
    tallies: dict[str, Tally] = {}
    for entry in history.entries:
        receipt = receipts.get(entry.index)
        if (intent := intent_of(entry)) is not None:
            yield entry, intent, dict(tallies)
        elif receipt is not None and receipt.evaluation is not None:
            before = tallies.get(receipt.holdout.sha256, Tally())
            kept = before.kept + (receipt.outcome is Outcome.ACCEPTED)
            tallies[receipt.holdout.sha256] = Tally(before.looks + 1, kept)
