"""Spends what a run may spend, attempt by attempt, and says what it came to."""

from __future__ import annotations

__all__ = ["spend"]

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.orchestrator import enough_reserve_j, least_reserve_uj
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.decision.evidence import Evidence
from cryoflux.errors import BudgetError
from cryoflux.network.recording import RoundRecord
from cryoflux.quantities import MICRO, Energy, format_energy
from cryoflux.receipts.per_token import tokens_per_example
from cryoflux.receipts.session import SessionEnd
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.registry.versions import Version
from cryoflux.runs.base_losses import base_uj, measure_bases
from cryoflux.runs.between import Between, Ended
from cryoflux.runs.makers import Attempts, OwnAttempts, RunLimits
from cryoflux.runs.monitoring import Monitoring
from cryoflux.runs.needed import closing_uj, needs_of
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.pruning import AfterMerges
from cryoflux.runs.scores import audit_known, audit_scores, holdout_recalls, holdout_scores
from cryoflux.runs.summary import Summary, TaskSummary
from cryoflux.runs.watch import Joined, RunObserver
from cryoflux.scheduling.policy import Plateau
from cryoflux.sentences import say

if TYPE_CHECKING:
    from cryoflux.runs.adopting import Adopting  # it would bring numpy

_SLACK = 20
"""an attempt may overdraw its reservation by the share; the audit at the end is not called off for that"""
_MILESTONE = 10
"""looks at the holdout after which the audit set is consulted, so that drift by reuse is seen"""
_MOST_EXHAUSTED = 2
"""times in a row that each arm may fail for want of joules before the run says that it cannot work"""


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    context: Context
    attempts: Attempts
    session: OpenSession | None
    observer: RunObserver
    firsts: dict[str, Version]
    """task → its head before the run"""
    records: list[AttemptRecord]
    freeing: AfterMerges
    spent: Energy | None = None
    audit_cpu_seconds: float = 0.0
    rotated: set[tuple[str, str]] = field(default_factory=set)
    """(task, holdout) that were told to take over"""
    monitoring: Monitoring | None = None
    """what heads are held against; none where nobody asked for it"""
    adopting: Sequence[Adopting] = ()
    """what makes rounds; none in a state that is no node's"""
    rounds: list[RoundRecord] = field(default_factory=list)
    only_rounds: bool = False


def spend(
    context: Context,
    limits: RunLimits,
    observer: RunObserver,
    began: float,
    session: OpenSession | None,
    monitoring: Monitoring | None = None,
    between: Between | None = None,
    adopting: Sequence[Adopting] = (),
    attempts: Attempts | None = None,
) -> Summary:
    """Make attempts until budget, time or their number is used up, or somebody asks to stop.

    Args:
        context: what the attempts work with.
        limits: when to end.
        observer: is told of every attempt.
        began: when the run began, monotonic seconds.
        session: what it may spend, and pays from beside its attempts; none where it was stopped before.
        monitoring: holds heads against versions before them; none where nobody asked for it.
        between: what comes between attempts, and waits where nothing can be tried; the run ends, without.
        adopting: what makes rounds between attempts; none in a state that is no node's.
        attempts: who makes them; this process where nobody else does.

    Raises:
        BudgetError: the joules do not reach for one attempt.
    """
    firsts = {name: opened.task.head for name, opened in context.tasks.items()}
    freeing = AfterMerges(context, context.terms.keep, {version.digest for version in firsts.values()})
    by = attempts or OwnAttempts(context)
    run = _Run(context, by, session, observer, firsts, [], freeing, monitoring=monitoring, adopting=adopting)
    run.only_rounds = limits.only_rounds
    while True:
        if between is not None and not context.stop():
            between.between()
        ended, reason = _next(run, limits, began)
        if ended is None:
            continue
        waits = between is not None and ended in {"budget", "plateau"}
        if not waits or between is None or not between.wait(ended, run.spent.uj if run.spent else 0):
            break
    if between is None and (unpaid := _unpaid(run, ended)) is not None:
        if session is not None:
            session.end(SessionEnd.BUDGET)
        raise unpaid
    observer.closing()
    return _summary(run, ended, reason or _why(run, limits, ended))


def _check_heads(run: _Run) -> None:
    if run.monitoring is not None and run.session is not None and not run.context.stop():
        for checked in run.monitoring.check(run.session):
            run.observer.monitored(checked)


def _next(run: _Run, limits: RunLimits, began: float) -> tuple[Ended | None, str]:
    """Make the next attempt; else why there is none, and that as a sentence where it is known."""
    context, session = run.context, run.session
    _check_heads(run)
    ended = _ended(run, limits, began)
    _tell_troubles(run)
    if ended is not None and not run.attempts.busy:
        return ended, ""
    if ended is None:
        _tell_rotated(run)
        if (made := _make_round(run)) is not None:
            return made
        if session is not None and not measure_bases(context, session, run.observer.preparing):
            ended = "interrupted"
    if ended is not None and not run.attempts.busy:
        return ended, ""
    record = run.attempts.next(_for_attempts_uj(run), 0 if ended is not None else _may_begin(run, limits))
    if isinstance(record, Plateau):
        run.observer.plateau(record)
        return "plateau", say(record.reason)
    if record is not None:
        _note(run, record)
    return None, ""


def _may_begin(run: _Run, limits: RunLimits) -> int | None:
    """How many attempts may be begun now; none for any number."""
    if limits.attempts is None:
        return None
    return max(0, limits.attempts - len(run.records) - run.attempts.busy)


def _make_round(run: _Run) -> tuple[Ended | None, str] | None:
    """Make the next round, where it is the turn of one; what follows where no attempt is made."""
    for adopting in run.adopting:
        try:
            record = adopting.next(_for_attempts_uj(run), beside_attempts=not run.only_rounds)
        except BudgetError as error:
            if run.only_rounds and not run.rounds:
                raise
            if run.only_rounds:
                return "budget", error.what
            continue
        if record is not None:
            run.rounds.append(record)
            charged = record.record.energy.energy
            run.spent = run.spent + charged if run.spent else charged
            run.observer.adopted(record)
            return None, ""
    return ("plateau", "Nothing that others offer waits for a round.") if run.only_rounds else None


def _tell_troubles(run: _Run) -> None:
    """What a task could not read when it looked for what there is to do; it goes on without."""
    for name, opened in run.context.tasks.items():
        for file, problem in opened.task.troubles():
            run.observer.joined(Joined(file, task=name, problem=problem))


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
    if record.receipt.outcome is Outcome.ACCEPTED and (freed := run.freeing.merged()) is not None:
        run.observer.freed(len(freed.going), freed.size)
    opened = run.context.tasks[record.receipt.task.name]
    if record.evidence and (looks := _looks(opened)) and looks % _MILESTONE == 0:
        start = time.process_time()
        first = run.firsts[opened.task.name]
        holdout = holdout_scores(run.context, opened, first)
        quick = run.context.stop()
        audit = audit_scores(run.context, opened, first, run.observer.preparing, quick=quick)
        run.observer.milestone(opened.task.name, looks, holdout, audit)
        run.audit_cpu_seconds += time.process_time() - start


def _looks(opened: Opened) -> int:
    known = opened.known()
    return known.tally(opened.data.file_digests[opened.used]).looks if known is not None else 0


def _summary(run: _Run, ended: Ended, reason: str) -> Summary:
    context, records, session = run.context, run.records, run.session
    start = time.process_time()
    quick = ended == "interrupted" or not _pays_for_audit(run)
    tasks = tuple(_task_summary(run, opened, quick=quick) for opened in context.tasks.values())
    audit_cpu_seconds = run.audit_cpu_seconds + time.process_time() - start
    overhead = session.end(SessionEnd(ended)) if session is not None else None
    outcomes = [record.receipt.outcome for record in records]
    return Summary(
        attempts=len(records),
        kept=outcomes.count(Outcome.ACCEPTED),
        rejected=outcomes.count(Outcome.REJECTED),
        undecided=outcomes.count(Outcome.UNDECIDED),
        carried=outcomes.count(Outcome.CARRIED),
        aborted=outcomes.count(Outcome.ABORTED),
        spent=run.spent,
        overhead=overhead,
        spendable_uj=session.budget_uj if session is not None else 0,
        remaining_uj=context.agent.bucket_uj(),
        tasks=tasks,
        state=context.state.path,
        ended=ended,
        saved_uj=sum(record.saved_uj for record in records),
        reason=reason,
        audit_cpu_seconds=audit_cpu_seconds,
        exhausted=sum(map(_exhausted, records)),
        only_rounds=run.only_rounds,
        waits=_waits(run),
        rounds=tuple(one.record for one in run.rounds),
    )


def _task_summary(run: _Run, opened: Opened, *, quick: bool) -> TaskSummary:
    name, first = opened.task.name, run.firsts[opened.task.name]
    kept = _kept_by(run, opened)
    return TaskSummary(
        name=name,
        metric=opened.task.metric,
        total_delta=sum(evidence.delta_mean for evidence in kept if evidence),
        holdout=holdout_scores(run.context, opened, first),
        audit=audit_scores(run.context, opened, first, run.observer.preparing, quick=quick),
        head=opened.task.head.digest,
        looks=_looks(opened),
        tokens_per_example=_tokens_per_example(run, name),
        recalls=holdout_recalls(run.context, opened, run.firsts[name]),
    )


def _tokens_per_example(run: _Run, task: str) -> float | None:
    said = (tokens_per_example(one.receipt) for one in run.records if one.receipt.task.name == task)
    return next(filter(None, said), None)


def _kept_by(run: _Run, opened: Opened) -> list[Evidence | None]:
    """What the run's updates gained that the head rests on; one that was gone back from gained nothing."""
    made: dict[str, tuple[Evidence | None, str]] = {
        record.receipt.result.digest: (record.evidence, record.receipt.base.digest)
        for record in run.records
        if record.receipt.outcome is Outcome.ACCEPTED and record.receipt.task.name == opened.task.name
    }
    # What a round gained is sealed.
    made |= {one.record.result.digest: (None, one.record.base.digest) for one in run.rounds}
    found, digest = [], opened.task.head.digest
    while (by := made.pop(digest, None)) is not None:
        evidence, digest = by
        found.append(evidence)
    return found


def _exhausted(record: AttemptRecord) -> bool:
    return record.receipt.cause is Cause.EXHAUSTED


def _unpaid(run: _Run, ended: Ended) -> BudgetError | None:
    """The error of a run whose joules reached for nothing; none where they did."""
    if run.rounds or run.only_rounds:
        return None
    dry = sum(map(_exhausted, run.records))
    unpaid = ended == "budget" or (ended == "plateau" and run.records)
    if not unpaid or dry != len(run.records):
        return None
    return _too_little(run, dry)


def _ended(run: _Run, limits: RunLimits, began: float) -> Ended | None:
    context = run.context
    if context.stop() or run.session is None:
        return "interrupted"
    if limits.attempts is not None and len(run.records) >= limits.attempts:
        return "attempts"
    if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
        return "time"
    return None if run.only_rounds else _ended_for_attempts(run)


def _ended_for_attempts(run: _Run) -> Ended | None:
    """Why no attempt can be made, where one was asked for."""
    if _runs_dry(run):
        return "budget"
    if _waits(run):
        return "plateau"
    left_uj = _for_attempts_uj(run)
    return None if left_uj >= least_reserve_uj(run.context, left_uj) else "budget"


def _waits(run: _Run) -> bool:
    """Whether every task has gone back from a head, and the same examples would lead there again."""
    return all(opened.waits for opened in run.context.tasks.values())


def _runs_dry(run: _Run) -> bool:
    """Whether each arm has failed for want of joules, again and again."""
    most = _MOST_EXHAUSTED * sum(len(o.task.arms(o.drawn, o.part)) for o in run.context.tasks.values())
    return 0 < most <= len(run.records) and all(map(_exhausted, run.records[-most:]))


def _for_attempts_uj(run: _Run) -> int:
    """What the next attempt can reserve, beside what ends the run and what comes before attempts, µJ."""
    context = run.context
    foreseen_uj = run.monitoring.foreseen_uj if run.monitoring is not None else 0
    left_uj = _left_uj(run) - closing_uj(context, run.firsts) - base_uj(context) - foreseen_uj
    return min(left_uj, context.agent.bucket_uj() - run.attempts.aside_uj)


def _left_uj(run: _Run) -> int:
    """What may still be spent, everything counted, µJ."""
    if run.session is None:
        return 0
    held_uj = run.attempts.held_uj
    return run.session.budget_uj - run.session.spent().uj - (run.spent.uj if run.spent else 0) - held_uj


def _pays_for_audit(run: _Run) -> bool:
    """Whether what is left pays for the audit set; whether an update was kept is known by now."""
    needed_uj = 0
    for name, opened in run.context.tasks.items():
        versions = {version.digest: version for version in (run.firsts[name], opened.task.head)}
        unknown = sum(not audit_known(run.context, opened, version) for version in versions.values())
        needed_uj += unknown * opened.task.evaluation_uj("audit")
    return needed_uj <= _left_uj(run) + run.context.terms.reserve_uj // _SLACK


def _why(run: _Run, limits: RunLimits, ended: Ended) -> str:
    if ended == "interrupted":
        return "It was asked to stop."
    if ended == "attempts":
        return f"As many attempts as were asked for are made: {limits.attempts}."
    if ended == "time":
        return f"The time is up: {limits.seconds:g} s."
    if ended == "plateau":
        return "It went back from a worse head: the same examples would lead there again; add others."
    if _runs_dry(run):
        return "Attempt after attempt ran out of joules: raise --reserve."
    left_uj = _for_attempts_uj(run)
    end_uj, needed_uj = closing_uj(run.context, run.firsts), least_reserve_uj(run.context, left_uj)
    left, needed = format_energy(max(0, left_uj)), format_energy(needed_uj)
    if left == needed:
        left, needed = f"{left_uj / MICRO:.6f} J", f"{needed_uj / MICRO:.6f} J"
    for_audit = f", beside about {format_energy(end_uj)} for the audit set" if end_uj else ""
    return f"{left} are left{for_audit}, less than the {needed} that an attempt reserves."


def _too_little(run: _Run, dry: int) -> BudgetError:
    context, session = run.context, run.session
    reserve = format_energy(context.terms.reserve_uj)
    if dry:
        return BudgetError(
            f"{dry} of {dry} attempts ended because {reserve} do not pay for evaluation and training both.",
            why="What they used is charged and recorded; nothing was kept.",
            hint=f"Raise the reservation, for example --reserve {enough_reserve_j(context)}J, or lower "
            "--max-tokens.",
        )
    if session is None:
        raise ValueError("a run that may spend nothing is no run whose joules do not reach")
    foreseen_uj = run.monitoring.foreseen_uj if run.monitoring is not None else 0
    needs = needs_of(context, run.firsts, session, foreseen_uj)
    budget_j = -(-needs.joules * 3 // 200) * 100  # half as much again, for the next attempts
    return BudgetError(
        f"{format_energy(session.budget_uj)} do not pay for one attempt and for what a run costs besides.",
        why=needs.words,
        hint=f"Grant at least {needs.joules} J: cryoflux run --budget {budget_j}J.",
    )
