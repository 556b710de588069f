"""What the check of a claim says: its steps, and every comparison with the value that it was judged by."""

from __future__ import annotations

__all__ = ["ClaimReport"]

from dataclasses import dataclass
from typing import Any

from cryoflux.claims.evaluation import EvaluatedClause
from cryoflux.claims.wording import sentence, shown, spelt
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
        return sentence(self.expression, self.judged, self.tasks, self.readings)

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
            **where,
        }
        return {**self.report.to_json(), "claim": claim}
