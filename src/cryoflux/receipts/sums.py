"""The sums of a comparison, in the form that is signed and in the form that the rules judge: one way each."""

from __future__ import annotations

__all__ = ["Sums", "evidence_of", "sums_of"]

from typing import TypedDict

from cryoflux.decision.evidence import Evidence
from cryoflux.receipts.statement import Evaluation, Hits, Measurement, Screen


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
