"""Spends what a run may spend, attempt by attempt, and says what it came to."""

from __future__ import annotations

__all__ = ["Ended", "Limits", "RunObserver", "Summary", "spend"]

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from cryoflux.attempt.context import Bench, Observer
from cryoflux.attempt.orchestrator import run_attempt
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.energy.interface import Sample
from cryoflux.errors import BudgetError
from cryoflux.quantities import MICRO, Energy, format_energy
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.registry.versions import Version
from cryoflux.runs.inputs import Origin
from cryoflux.runs.scores import Change, audit_scores, holdout_scores
from cryoflux.scheduling.policy import Plateau

Ended = Literal["budget", "attempts", "time", "interrupted", "plateau"]
_MILESTONE = 10
"""looks at the holdout after which the audit set is consulted, so that drift by reuse is seen"""
_MOST_EXHAUSTED = 2
"""times in a row that each recipe may fail for want of joules before the run says that it cannot work"""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends."""

    budget_uj: int | None = None
    """granted on top of what the account holds, µJ"""
    seconds: float | None = None
    attempts: int | None = None


class RunObserver(Observer, Protocol):
    """Watches a whole run."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Something that takes a while before the first attempt, or after the last."""

    def opened(self, bench: Bench, origin: Origin, sample: Sample, spendable_uj: int) -> None:
        """The state is open and the budget granted."""

    def recovered(self, receipt: Receipt) -> None:
        """An attempt of a dead run got its receipt."""

    def finished(self, record: AttemptRecord) -> None:
        """An attempt has its receipt."""

    def milestone(self, looks: int, holdout: Change, audit: Change) -> None:
        """The holdout has been looked at so often; how both sets have changed since the run began."""

    def rotated(self, part: str) -> None:
        """The error budget of the holdout is spent; a spare one takes over."""

    def plateau(self, plateau: Plateau) -> None:
        """No arm is expected to pay any more."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    attempts: int
    kept: int
    rejected: int
    undecided: int
    aborted: int
    spent: Energy | None
    """charged to this run's attempts"""
    overhead: Energy | None
    """this process's energy outside its attempts; none where nobody can tell"""
    spendable_uj: int
    """what the run could spend, µJ"""
    remaining_uj: int
    total_delta: float
    """Σ Δ of what was kept, nats"""
    holdout: Change
    audit: Change
    state: Path
    head: str
    """digest of the head model"""
    ended: Ended
    saved_uj: int
    """what stopping hopeless attempts early saved; modelled, µJ"""
    looks: int
    """verdicts that the holdout in use has given"""
    reason: str
    """why the run ended before its budget did; empty otherwise"""
    audit_cpu_s: float
    """CPU-seconds of this process for evaluating the audit set"""


def spend(bench: Bench, limits: Limits, observer: RunObserver, began: float, spendable_uj: int) -> Summary:
    """Make attempts until budget, time or their number is used up, or somebody asks to stop.

    Args:
        bench: what the attempts work with.
        limits: when to end.
        observer: is told of every attempt.
        began: when the run began, monotonic seconds.
        spendable_uj: what the run may spend, µJ.

    Raises:
        BudgetError: the joules do not reach for one attempt.
    """
    first = bench.head
    records: list[AttemptRecord] = []
    spent: Energy | None = None
    reason, audit_cpu_s = "", 0.0
    while (ended := _ended(bench, limits, records, began, spendable_uj, spent)) is None:
        if bench.rotate():
            observer.rotated(bench.holdout_use.part)
        record = run_attempt(bench)
        if isinstance(record, Plateau):
            observer.plateau(record)
            ended, reason = "plateau", record.reason
            break
        records.append(record)
        charged = record.receipt.energy.energy
        spent = spent + charged if spent else charged
        observer.finished(record)
        if record.evidence and bench.holdout_use.looks % _MILESTONE == 0:
            audit_cpu_s += _milestone(bench, first, observer)
    _check_paid(bench, records, ended)
    start = time.process_time()
    audit = audit_scores(bench, first, bench.head, observer.preparing, quick=ended == "interrupted")
    audit_cpu_s += time.process_time() - start
    outcomes = [record.receipt.outcome for record in records]
    kept = [r for r in records if r.receipt.outcome is Outcome.ACCEPTED]
    return Summary(
        attempts=len(records),
        kept=len(kept),
        rejected=outcomes.count(Outcome.REJECTED),
        undecided=outcomes.count(Outcome.UNDECIDED),
        aborted=outcomes.count(Outcome.ABORTED),
        spent=spent,
        overhead=_overhead(bench, spent),
        spendable_uj=spendable_uj,
        remaining_uj=bench.agent.bucket_uj(),
        total_delta=sum(record.evidence.delta_mean for record in kept if record.evidence),
        holdout=holdout_scores(bench, first, bench.head),
        audit=audit,
        state=bench.state,
        head=bench.head.digest,
        ended=ended,
        saved_uj=sum(record.saved_uj for record in records),
        looks=bench.holdout_use.looks,
        reason=reason,
        audit_cpu_s=audit_cpu_s,
    )


def _check_paid(bench: Bench, records: list[AttemptRecord], ended: Ended) -> None:
    dry = [record for record in records if record.stopped == "exhausted"]
    unpaid = ended == "budget" or (ended == "plateau" and records)
    if unpaid and len(dry) == len(records):
        raise _too_little(bench, len(dry))


def _milestone(bench: Bench, first: Version, observer: RunObserver) -> float:
    """Report how far the sets have drifted apart; the CPU-seconds that this took."""
    start = time.process_time()
    holdout = holdout_scores(bench, first, bench.head)
    audit = audit_scores(bench, first, bench.head, observer.preparing, quick=bench.stop())
    observer.milestone(bench.holdout_use.looks, holdout, audit)
    return time.process_time() - start


def _ended(
    bench: Bench,
    limits: Limits,
    records: list[AttemptRecord],
    began: float,
    spendable_uj: int,
    spent: Energy | None,
) -> Ended | None:
    if bench.stop():
        return "interrupted"
    if limits.attempts is not None and len(records) >= limits.attempts:
        return "attempts"
    if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
        return "time"
    most = _MOST_EXHAUSTED * len(bench.recipes)
    if len(records) >= most and all(record.stopped == "exhausted" for record in records[-most:]):
        return "budget"
    left_uj = spendable_uj - (spent.uj if spent else 0)
    return None if _affordable(bench, left_uj) else "budget"


def _affordable(bench: Bench, left_uj: int) -> bool:
    return min(left_uj, bench.agent.bucket_uj()) >= bench.reserve_uj


def _overhead(bench: Bench, spent: Energy | None) -> Energy | None:
    own = bench.agent.sample().own
    if own is None:
        return None
    uj = max(0, own.uj - (spent.uj if spent else 0))
    lo = max(0, own.lo_uj - (spent.lo_uj if spent else 0))
    hi = max(0, own.hi_uj - (spent.hi_uj if spent else 0))
    return Energy(uj, min(lo, uj), max(hi, uj), own.tier, own.flags)


def _enough(bench: Bench) -> int:
    # base and candidate evaluated once each, and as much again for training
    dearest = max(bench.evaluation_uj(recipe) for recipe in bench.recipes.values())
    return max(1, round(4 * dearest / MICRO))


def _too_little(bench: Bench, dry: int) -> BudgetError:
    reserve = format_energy(bench.reserve_uj)
    if dry:
        return BudgetError(
            f"{dry} of {dry} attempts ended because {reserve} do not pay for evaluation and training both.",
            why="What they used is charged and recorded; nothing was kept.",
            hint=f"Raise the reservation, for example --reserve {_enough(bench)}J, or lower --max-tokens.",
        )
    return BudgetError(
        f"The bucket holds {format_energy(bench.agent.bucket_uj())}; one attempt reserves {reserve}.",
        why="Nothing was tried and nothing was spent.",
        hint="Grant more: cryoflux run --budget 2kJ.",
    )
