"""What a run does now, by what it leaves in its state; it is told as dead where its process is gone.

It is no evidence: whoever may write to the state may write this too. What cannot be read is nothing.
"""

from __future__ import annotations

__all__ = [
    "Activity",
    "AttemptNow",
    "BudgetNow",
    "CountNow",
    "EndNow",
    "MeterNow",
    "SourceNow",
    "StepMark",
    "TrainingNow",
    "read_activity",
]

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import astuple

from cryoflux.attempt.watch import Step
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.device_files import pid_namespace
from cryoflux.energy.processes import find_owner
from cryoflux.files import read_regular
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.statement import Outcome
from cryoflux.runs.activity_form import (
    MOST_NOW_BYTES,
    NOW,
    SaidAttempt,
    SaidCount,
    SaidEnergy,
    SaidMeter,
    SaidNow,
    SaidProcess,
    SaidStep,
)
from cryoflux.state import StateFolder

_FRESH_S = 10.0
"""a run of another machine, whose process cannot be asked for, lives while its document is no older"""

StepState = Literal["done", "now", "to come", "skipped"]
Phase = Literal["preparing", "attempting", "waiting", "closing", "ended"]


@dataclass(frozen=True, slots=True)
class StepMark:
    """One of the ten steps of an attempt."""

    step: Step
    state: StepState
    began_at: float | None
    """seconds since 1970"""
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class CountNow:
    """How far something is."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class TrainingNow:
    """How far training is."""

    step: int
    planned: int
    """steps, by what they have cost so far; 0 where nobody knows yet"""
    loss: float | None
    """of the last step; none where it is no number"""
    spent_uj: int
    reserved_uj: int


@dataclass(frozen=True, slots=True)
class AttemptNow:
    """The attempt that goes on, or the last one until the next begins."""

    number: int
    task: str
    """empty until it is chosen"""
    arm: str
    why: str
    """why it was chosen, one line"""
    began_at: float
    """seconds since 1970"""
    finished: bool
    """whether it has its receipt"""
    outcome: str
    """of its receipt, in the word that people are shown; empty until then"""
    spent_uj: int
    """up to now"""
    steps: tuple[StepMark, ...]
    """all ten, in order"""
    preparing: CountNow | None
    """what is computed before the first training step"""
    training: TrainingNow | None
    evaluation: CountNow | None
    """of the base, or of the candidate: ``what`` says it"""


@dataclass(frozen=True, slots=True)
class BudgetNow:
    """What the run may spend, everything counted, and has spent."""

    spendable_uj: int
    spent_uj: int
    """up to now, the attempt that goes on included"""
    attempts_uj: int
    """of that, charged to finished attempts and rounds"""
    session_uj: int
    """of that, spent beside attempts: starting up, evaluating the audit set"""
    closing_uj: int
    """what ending the run should take; modelled"""
    reserve_uj: int
    """what an attempt reserves"""

    @property
    def left_uj(self) -> int:
        """What may still be spent; never less than nothing."""
        return max(0, self.spendable_uj - self.spent_uj)


@dataclass(frozen=True, slots=True)
class SourceNow:
    """What one source of the meter showed last."""

    name: str
    kind: str
    tier: Tier
    power_w: float
    idle_w: float


@dataclass(frozen=True, slots=True)
class MeterNow:
    """The last sample of the meter."""

    at: float
    """seconds since 1970"""
    net_w: float
    """over the second or two before; `power_since` has ranges"""
    bucket_uj: int
    gross: Energy
    """since the meter started"""
    net: Energy
    """since the meter started, signed"""
    baseline_state: str
    sources: tuple[SourceNow, ...]
    daemon: bool
    """whether it is a JouleAgent's, and not in the run's process"""


@dataclass(frozen=True, slots=True)
class EndNow:
    """Why the run has ended."""

    at: float
    """seconds since 1970"""
    word: str
    """``budget``, ``attempts``, ``time``, ``interrupted``, ``plateau``, or ``failed``"""
    sentence: str


@dataclass(frozen=True, slots=True)
class Activity:
    """What the last run of a state does, or did last."""

    pid: int
    alive: bool
    """whether it goes on; one that is not alive and has no ``end`` has died"""
    phase: Phase
    began_at: float
    """seconds since 1970"""
    written_at: float
    """when the run said so"""
    deadline_at: float | None
    """no attempt begins after it"""
    doing: CountNow | None
    """what takes a while, while it is preparing or closing"""
    waiting_for: str
    """why it waits: ``budget``, ``plateau``, ``agent``; empty where it does not"""
    budget: BudgetNow | None
    """none before it is granted"""
    attempt: AttemptNow | None
    meter: MeterNow | None
    silent_s: float | None
    """how long ago the last sample is, of a run that is alive; none where there was none yet, or it is not"""
    end: EndNow | None

    @property
    def died(self) -> bool:
        """Whether it is gone without having ended."""
        return not self.alive and self.end is None


def read_activity(state: StateFolder, *, now: float | None = None) -> Activity | None:
    """What the last run of a state does; none where nothing can be read of it.

    Args:
        state: whose run.
        now: seconds since 1970; of the clock by default.
    """
    try:
        content = read_regular(state.activity / NOW, MOST_NOW_BYTES)
        said = msgspec.json.decode(content, type=SaidNow)
        return _told(said, time.time() if now is None else now)
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _told(said: SaidNow, now: float) -> Activity:
    alive = said.end is None and _lives(said.process, said.written_at, now)
    attempt = _attempt(said.attempt) if said.attempt is not None else None
    meter = _meter(said.meter) if said.meter is not None else None
    return Activity(
        pid=said.process.pid,
        alive=alive,
        phase="closing" if said.closing and said.phase == "preparing" else said.phase,
        began_at=said.began_at,
        written_at=said.written_at,
        deadline_at=said.deadline_at,
        doing=_count(said.doing),
        waiting_for=said.waiting_for,
        budget=_budget(said),
        attempt=attempt,
        meter=meter,
        silent_s=max(0.0, now - meter.at) if alive and meter is not None else None,
        end=EndNow(said.end.at, said.end.word, said.end.sentence) if said.end is not None else None,
    )


def _lives(process: SaidProcess, written_at: float, now: float) -> bool:
    boot_id = SystemClock().boot_id
    if process.start_ticks and process.boot_id == boot_id and process.namespace == pid_namespace():
        owner = find_owner(process.pid, boot_id)
        return owner is not None and owner.start_ticks == process.start_ticks
    return abs(now - written_at) <= _FRESH_S


def _count(said: SaidCount | None) -> CountNow | None:
    return CountNow(said.what, said.done, said.total) if said is not None else None


def _energy(said: SaidEnergy, flags: tuple[str, ...]) -> Energy:
    return Energy(said.uj, said.lo_uj, said.hi_uj, said.tier, flags)


def _meter(said: SaidMeter) -> MeterNow:
    flags = tuple(said.flags)
    return MeterNow(
        at=said.at,
        net_w=said.net_w,
        bucket_uj=said.bucket_uj,
        gross=_energy(said.gross, flags),
        net=_energy(said.net, flags),
        baseline_state=said.baseline_state,
        sources=tuple(
            SourceNow(one.name, one.kind, one.tier, one.power_w, one.idle_w) for one in said.sources
        ),
        daemon=said.daemon,
    )


def _budget(said: SaidNow) -> BudgetNow | None:
    if (budget := said.budget) is None:
        return None
    attempt = said.attempt
    # The net figure of the first moments may lie below nothing: nothing was spent then.
    under_way_uj = max(0, attempt.spent_uj) if attempt is not None and not attempt.finished else 0
    if min(astuple(budget)) < 0:  # no run says so: what it spends is not known
        return None
    return BudgetNow(
        spendable_uj=budget.spendable_uj,
        spent_uj=budget.attempts_uj + budget.session_uj + under_way_uj,
        attempts_uj=budget.attempts_uj,
        session_uj=budget.session_uj,
        closing_uj=budget.closing_uj,
        reserve_uj=budget.reserve_uj,
    )


def _attempt(said: SaidAttempt) -> AttemptNow:
    training = said.training
    return AttemptNow(
        number=said.number,
        task=said.task,
        arm=said.arm,
        why=said.why,
        began_at=said.began_at,
        finished=said.finished,
        outcome=_word(said.outcome),
        spent_uj=said.spent_uj,
        steps=_marks({one.step: one for one in said.steps}, finished=said.finished),
        preparing=_count(said.preparing),
        training=TrainingNow(
            training.step, training.planned, training.loss, training.spent_uj, training.reserved_uj
        )
        if training is not None
        else None,
        evaluation=_count(said.evaluation),
    )


def _word(outcome: str) -> str:
    return Outcome(outcome).word if outcome in set(Outcome) else outcome


def _marks(said: Mapping[Step, SaidStep], *, finished: bool) -> tuple[StepMark, ...]:
    order = list(Step)
    furthest = max((order.index(step) for step in said), default=-1)
    marks = list[StepMark]()
    for place, step in enumerate(order):
        if (one := said.get(step)) is None:
            passed = finished or place < furthest
            marks.append(StepMark(step, "skipped" if passed else "to come", None, None))
        else:
            state: StepState = "now" if one.ended_at is None and not finished else "done"
            marks.append(StepMark(step, state, one.began_at, one.ended_at))
    return tuple(marks)
