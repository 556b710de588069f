"""Spends what a run may spend, attempt by attempt, and says what it came to."""

from __future__ import annotations

__all__ = ["Ended", "RunLimits", "Summary", "TaskSummary", "spend"]

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.orchestrator import run_attempt
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.errors import BudgetError
from cryoflux.quantities import MICRO, Energy, format_energy
from cryoflux.receipts.statement import Cause, Metric, Outcome
from cryoflux.registry.versions import Version
from cryoflux.runs.scores import Change, audit_scores, holdout_scores
from cryoflux.runs.watch import RunObserver
from cryoflux.scheduling.policy import Plateau
from cryoflux.sentences import say

Ended = Literal["budget", "attempts", "time", "interrupted", "plateau"]
_MILESTONE = 10
"""looks at the holdout after which the audit set is consulted, so that drift by reuse is seen"""
_MOST_EXHAUSTED = 2
"""times in a row that each arm may fail for want of joules before the run says that it cannot work"""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """When a run ends."""

    budget_uj: int | None = None
    """granted on top of what the account holds, µJ"""
    seconds: float | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What a run came to for one task."""

    name: str
    metric: Metric
    total_delta: float
    """Σ Δ of what was kept, in the metric's unit"""
    holdout: Change
    audit: Change
    head: str
    """digest of the head"""
    looks: int
    """verdicts that the holdout in use has given"""


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
    tasks: tuple[TaskSummary, ...]
    state: Path
    ended: Ended
    saved_uj: int
    """what stopping hopeless attempts early saved; modelled, µJ"""
    reason: str
    """why the run ended, as a sentence"""
    audit_cpu_s: float
    """CPU-seconds of this process for evaluating the audit set"""

    @property
    def first(self) -> TaskSummary:
        """The task that the run is about, where it is about one."""
        return self.tasks[0]


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    context: Context
    observer: RunObserver
    firsts: dict[str, Version]
    """task → its head before the run"""
    records: list[AttemptRecord]
    spent: Energy | None = None
    audit_cpu_s: float = 0.0
    rotated: set[tuple[str, str]] = field(default_factory=set)
    """(task, holdout) that were told to take over"""


def spend(
    context: Context, limits: RunLimits, observer: RunObserver, began: float, spendable_uj: int
) -> Summary:
    """Make attempts until budget, time or their number is used up, or somebody asks to stop.

    Args:
        context: what the attempts work with.
        limits: when to end.
        observer: is told of every attempt.
        began: when the run began, monotonic seconds.
        spendable_uj: what the run may spend, µJ.

    Raises:
        BudgetError: the joules do not reach for one attempt.
    """
    firsts = {name: opened.task.head for name, opened in context.tasks.items()}
    run, reason = _Run(context, observer, firsts, []), ""
    while (ended := _ended(run, limits, began, spendable_uj)) is None:
        _tell_rotated(run)
        record = run_attempt(context)
        if isinstance(record, Plateau):
            observer.plateau(record)
            ended, reason = "plateau", say(record.reason)
            break
        _note(run, record)
    _check_paid(run, ended)
    return _summary(run, ended, reason or _why(run, limits, ended, spendable_uj), spendable_uj)


def _tell_rotated(run: _Run) -> None:
    """A task may have to wait for its turn on the holdout that takes over: say it once."""
    for name, opened in run.context.tasks.items():
        if opened.part != opened.used and (name, opened.part) not in run.rotated:
            run.rotated.add((name, opened.part))
            run.observer.rotated(name, opened.part)


def _note(run: _Run, record: AttemptRecord) -> None:
    run.records.append(record)
    charged = record.receipt.energy.energy
    run.spent = run.spent + charged if run.spent else charged
    run.observer.finished(record)
    opened = run.context.tasks[record.receipt.task.name]
    if record.evidence and (looks := _looks(opened)) and looks % _MILESTONE == 0:
        start = time.process_time()
        first = run.firsts[opened.task.name]
        holdout = holdout_scores(run.context, opened, first)
        quick = run.context.stop()
        audit = audit_scores(run.context, opened, first, run.observer.preparing, quick=quick)
        run.observer.milestone(opened.task.name, looks, holdout, audit)
        run.audit_cpu_s += time.process_time() - start


def _looks(opened: Opened) -> int:
    known = opened.known()
    return known.tally(opened.data.file_digests[opened.used]).looks if known is not None else 0


def _summary(run: _Run, ended: Ended, reason: str, spendable_uj: int) -> Summary:
    context, records = run.context, run.records
    start = time.process_time()
    tasks = tuple(
        _task_summary(run, opened, quick=ended == "interrupted") for opened in context.tasks.values()
    )
    outcomes = [record.receipt.outcome for record in records]
    return Summary(
        attempts=len(records),
        kept=outcomes.count(Outcome.ACCEPTED),
        rejected=outcomes.count(Outcome.REJECTED),
        undecided=outcomes.count(Outcome.UNDECIDED),
        aborted=outcomes.count(Outcome.ABORTED),
        spent=run.spent,
        overhead=_overhead(context, run.spent),
        spendable_uj=spendable_uj,
        remaining_uj=context.agent.bucket_uj(),
        tasks=tasks,
        state=context.state.path,
        ended=ended,
        saved_uj=sum(record.saved_uj for record in records),
        reason=reason,
        audit_cpu_s=run.audit_cpu_s + time.process_time() - start,
    )


def _task_summary(run: _Run, opened: Opened, *, quick: bool) -> TaskSummary:
    name, first = opened.task.name, run.firsts[opened.task.name]
    kept = [
        record.evidence
        for record in run.records
        if record.receipt.outcome is Outcome.ACCEPTED and record.receipt.task.name == name
    ]
    return TaskSummary(
        name=name,
        metric=opened.task.metric,
        total_delta=sum(evidence.delta_mean for evidence in kept if evidence),
        holdout=holdout_scores(run.context, opened, first),
        audit=audit_scores(run.context, opened, first, run.observer.preparing, quick=quick),
        head=opened.task.head.digest,
        looks=_looks(opened),
    )


def _exhausted(record: AttemptRecord) -> bool:
    return record.receipt.cause is Cause.EXHAUSTED


def _check_paid(run: _Run, ended: Ended) -> None:
    dry = sum(map(_exhausted, run.records))
    unpaid = ended == "budget" or (ended == "plateau" and run.records)
    if unpaid and dry == len(run.records):
        raise _too_little(run.context, dry)


def _ended(run: _Run, limits: RunLimits, began: float, spendable_uj: int) -> Ended | None:
    context, records = run.context, run.records
    if context.stop():
        return "interrupted"
    if limits.attempts is not None and len(records) >= limits.attempts:
        return "attempts"
    if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
        return "time"
    most = _MOST_EXHAUSTED * sum(len(o.task.arms(o.drawn, o.part)) for o in context.tasks.values())
    if len(records) >= most and all(map(_exhausted, records[-most:])):
        return "budget"
    left_uj = spendable_uj - (run.spent.uj if run.spent else 0)
    affordable = min(left_uj, context.agent.bucket_uj()) >= context.terms.reserve_uj
    return None if affordable else "budget"


def _why(run: _Run, limits: RunLimits, ended: Ended, spendable_uj: int) -> str:
    if ended == "interrupted":
        return "It was asked to stop."
    if ended == "attempts":
        return f"As many attempts as were asked for are made: {limits.attempts}."
    if ended == "time":
        return f"The time is up: {limits.seconds:g} s."
    left_uj = spendable_uj - (run.spent.uj if run.spent else 0)
    left_uj, reserve_uj = min(left_uj, run.context.agent.bucket_uj()), run.context.terms.reserve_uj
    if left_uj >= reserve_uj:
        return "Attempt after attempt ran out of joules: raise --reserve."
    left, needed = format_energy(max(0, left_uj)), format_energy(reserve_uj)
    if left == needed:
        left, needed = f"{left_uj / MICRO:.6f} J", f"{reserve_uj / MICRO:.6f} J"
    return f"{left} are left, less than the {needed} that an attempt reserves."


def _overhead(context: Context, spent: Energy | None) -> Energy | None:
    own = context.agent.sample().own
    if own is None:
        return None
    uj = max(0, own.uj - (spent.uj if spent else 0))
    lo = max(0, own.lo_uj - (spent.lo_uj if spent else 0))
    hi = max(0, own.hi_uj - (spent.hi_uj if spent else 0))
    return Energy(uj, min(lo, uj), max(hi, uj), own.tier, own.flags)


def _enough(context: Context) -> int:
    # base and candidate evaluated once each, and as much again for training
    reserve_uj = context.terms.reserve_uj
    dearest = max(
        opened.task.aside_uj(offer.arm, opened.part, reserve_uj)
        for opened in context.tasks.values()
        for offer in opened.task.arms(opened.drawn, opened.part)
    )
    return max(1, round(4 * dearest / MICRO))


def _too_little(context: Context, dry: int) -> BudgetError:
    reserve = format_energy(context.terms.reserve_uj)
    if dry:
        return BudgetError(
            f"{dry} of {dry} attempts ended because {reserve} do not pay for evaluation and training both.",
            why="What they used is charged and recorded; nothing was kept.",
            hint=f"Raise the reservation, for example --reserve {_enough(context)}J, or lower --max-tokens.",
        )
    return BudgetError(
        f"The bucket holds {format_energy(context.agent.bucket_uj())}; one attempt reserves {reserve}.",
        why="Nothing was tried and nothing was spent.",
        hint="Grant more: cryoflux run --budget 2kJ.",
    )
