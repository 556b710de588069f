"""The sums of a comparison, in the form that is signed and in the form that the rules judge: one way each."""

from __future__ import annotations

__all__ = ["Sums", "anytime_ends", "evidence_of", "sums_of"]

import math
from typing import TypedDict

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.interval import anytime_interval
from cryoflux.decision.rules import WITH_BUDGET
from cryoflux.receipts.statement import Evaluation, Hits, Measurement, Receipt, Screen


class Sums(TypedDict):
    """The fields that a screen, an evaluation and a measurement share."""

    base_loss_sum: int
    new_loss_sum: int
    delta_squared_sum: str
    hits: Hits | None


def sums_of(evidence: Evidence) -> Sums:
    """The signed form of some evidence."""
    hits = None
    if evidence.hits:
        hits = Hits(
            base=evidence.base_correct,
            new=evidence.new_correct,
            gained=evidence.gained,
            lost=evidence.lost,
        )
    return Sums(
        base_loss_sum=evidence.base_loss,
        new_loss_sum=evidence.new_loss,
        delta_squared_sum=str(evidence.delta_squared),
        hits=hits,
    )


def evidence_of(said: Evaluation | Screen | Measurement) -> Evidence:
    """The evidence in the form that the rules judge."""
    hits = said.hits
    return Evidence(
        count=said.read if isinstance(said, Evaluation) else said.count,
        base_loss=said.base_loss_sum,
        new_loss=said.new_loss_sum,
        delta_squared=int(said.delta_squared_sum),
        base_correct=hits.base if hits else 0,
        new_correct=hits.new if hits else 0,
        gained=hits.gained if hits else 0,
        lost=hits.lost if hits else 0,
        hits=hits is not None,
    )


def anytime_ends(receipt: Receipt) -> tuple[float | None, float | None]:
    """Both ends of the anytime interval of mean Δ, in its unit.

    None where there is none: no Δ, a rule without a bar, a bar that rules nothing out, or a reading that
    stopped early, whose number of examples depends on what they showed.
    """
    found, decision = receipt.evaluation, receipt.decision
    if found is None or decision is None or decision.rule.name not in WITH_BUDGET:
        return None, None
    if found.read != receipt.holdout.count or decision.bar.needed_milli < 1:
        return None, None
    low, high = anytime_interval(evidence_of(found), decision.bar.needed_milli)
    return (low, high) if math.isfinite(low) else (None, None)
