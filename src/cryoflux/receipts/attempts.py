"""A finished attempt as its receipt tells it: what a program, a table or a page shows of one."""

from __future__ import annotations

__all__ = ["Attempt", "attempt_of"]

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any

from cryoflux.decision.evidence import Z95
from cryoflux.quantities import MICRO, NANO, RangeKind, Tier, efficiency
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause, Evaluation, Outcome, ReceiptStatement
from cryoflux.receipts.sums import evidence_of
from cryoflux.sentences import say


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt: everything here is derived from its signed receipt, for display.

    What belongs to the holdout is none where the holdout was not read: the attempt was aborted, or its screen
    refused the update.
    """

    number: int
    """of the receipt in its log, from 1"""
    task_id: str
    task: str
    """``lora_delta``"""
    arm: str
    """the recipe that was tried"""
    outcome: Outcome
    """``accepted``, ``rejected``, ``undecided`` or ``aborted``"""
    cause: Cause
    """why it ended without a verdict; empty where there is one"""
    reason: str
    """why it was kept or not, as a sentence"""
    code: str
    """the same as a word that programs compare: ``evidence.delta``"""
    unit: str | None
    """of losses and Δ: ``nats``"""
    base_loss: float | None
    new_loss: float | None
    delta: float | None
    """mean of base loss − new loss"""
    delta_lo: float | None
    """lower end of its 95 % interval"""
    delta_hi: float | None
    accuracy_gain: float | None
    """accuracy after minus before, 0 to 1; none too where an example is neither right nor wrong"""
    examples: int | None
    """of the holdout that were read"""
    joules: float
    """that it was charged"""
    joules_lo: float
    """lower end of their range"""
    joules_hi: float
    tier: Tier
    """how the joules came about"""
    range_kind: RangeKind
    """what both ends say: a 95 % interval, or what is plausible where joules are modelled"""
    eta: float | None
    """Δ per joule"""
    eta_lo: float | None
    """the same by the upper end of the joules"""
    base: str
    """digest of the version that was to be improved"""
    result: str
    """digest of the head afterwards"""
    receipt_hash: str
    """RFC 6962 leaf hash of the receipt"""
    started: datetime | None
    """by the wall clock, which is only a label; none where the label is no time"""
    finished: datetime | None

    @property
    def kept(self) -> bool:
        """Whether the update was kept."""
        return self.outcome is Outcome.ACCEPTED

    def row(self) -> dict[str, Any]:
        """The attempt as a row of a table: name → plain value."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.value if isinstance(value, Enum) else value for name, value in found.items()}


def attempt_of(entry: Entry, number: int) -> Attempt | None:
    """The attempt that an entry finishes; none where the entry is no receipt.

    Args:
        entry: of a log.
        number: of the receipt in that log, from 1.
    """
    if not isinstance(entry.statement, ReceiptStatement):
        return None
    receipt = entry.statement.predicate
    figure, evaluation = receipt.energy, receipt.evaluation
    judged = _judged(evaluation)
    delta = judged["delta"]
    return Attempt(
        number=number,
        task_id=receipt.task.id,
        task=receipt.task.name,
        arm=receipt.task.arm,
        outcome=receipt.outcome,
        cause=receipt.cause,
        reason=say(receipt.reason),
        code=receipt.reason.code,
        unit=evaluation.metric.unit if evaluation is not None else None,
        **judged,
        examples=evaluation.read if evaluation is not None else None,
        joules=figure.microjoules / MICRO,
        joules_lo=figure.lo_microjoules / MICRO,
        joules_hi=figure.hi_microjoules / MICRO,
        tier=figure.tier,
        range_kind=figure.tier.range_kind,
        eta=None if delta is None else efficiency(delta, figure.microjoules),
        eta_lo=None if delta is None else efficiency(delta, figure.hi_microjoules),
        base=receipt.base.digest,
        result=receipt.result.digest,
        receipt_hash=entry.leaf_hash,
        started=_time(receipt.started_at),
        finished=_time(receipt.finished_at),
    )


def _judged(evaluation: Evaluation | None) -> dict[str, float | None]:
    if evaluation is None:
        return dict.fromkeys(("base_loss", "new_loss", "delta", "delta_lo", "delta_hi", "accuracy_gain"))
    found = evidence_of(evaluation)
    mean, width = found.delta_mean, Z95 * found.delta_se
    return {
        "base_loss": found.base_loss / found.count / NANO,
        "new_loss": found.new_loss / found.count / NANO,
        "delta": mean,
        "delta_lo": mean - width,
        "delta_hi": mean + width,
        "accuracy_gain": found.accuracy_gain if found.hits else None,
    }


def _time(label: str) -> datetime | None:
    try:
        return datetime.fromisoformat(label)
    except ValueError:
        return None
