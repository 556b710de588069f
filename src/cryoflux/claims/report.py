"""What the check of a claim says: its steps, and every comparison with the value that it was judged by."""

from __future__ import annotations

__all__ = ["ClaimReport"]

from dataclasses import dataclass
from typing import Any

from cryoflux.claims.backing import BackedRounds
from cryoflux.claims.evaluation import EvaluatedClause
from cryoflux.claims.wording import backed_in_words, sentence, shown, spelt
from cryoflux.quantities import MICRO, NANO
from cryoflux.verification.result import Report


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """All checks of a claim, and what it says."""

    report: Report
    expression: str
    """in its one spelling; empty where the file is none"""
    judged: tuple[EvaluatedClause, ...]
    first: int
    end: int
    size: int
    """entries that the head covers"""
    metering: str = ""
    """what is known of who metered: ``self-reported``, unless whoever checks named the meter's key"""
    tasks: int = 1
    """that the attempts of the range are of"""
    readings: int = 1
    """holdouts, or ways to compute a loss on them, that the losses of the range are of"""
    rounds: int = 0
    """with a record in the range"""
    backed: BackedRounds | None = None
    """what stands behind certified nats; none where the claim names none"""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return self.report.ok

    @property
    def whole(self) -> bool:
        """Whether the range is all of the log up to the head."""
        return (self.first, self.end) == (0, self.size)

    @property
    def sentence(self) -> str:
        """What is claimed, with the tier of its joules."""
        said = sentence(self.expression, self.judged, self.tasks, self.readings)
        return said if self.backed is None else f"{said}; {backed_in_words(self.backed)}"

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        clauses = [
            {
                "clause": found.clause.text,
                "quantity": found.clause.quantity.value,
                "value": spelt(found.value),
                "shown": shown(found.clause.quantity, found.value),
                "tier": found.tier.value if found.tier is not None else None,
                "holds": found.holds,
                "range_kind": found.range_kind.value if found.range_kind else None,
            }
            for found in self.judged
        ]
        where = {"first": self.first, "end": self.end, "size": self.size, "whole": self.whole}
        claim = {
            "expression": self.expression,
            "sentence": self.sentence,
            "holds": self.ok,
            "clauses": clauses,
            "metering": self.metering,
            "task_count": self.tasks,
            "reading_count": self.readings,
            "rounds": self.rounds,
            "backing": _backing(self.backed),
            **where,
        }
        return {**self.report.to_json(), "claim": claim}


def _backing(backed: BackedRounds | None) -> dict[str, Any] | None:
    if backed is None:
        return None
    said = backed.backing
    return {
        "certified_nats": backed.nano / NANO,
        "rounds": backed.rounds,
        "guests": [
            {
                "root": root,
                "was_opened": root in backed.opened,
                "was_compared": backed.opened.get(root, False),
            }
            for root in said.guests
        ],
        "list_before": said.list_before,
        "list_after": said.list_after,
        "upper_joules": said.upper_microjoules / MICRO,
        "tier": said.tier.value,
    }
