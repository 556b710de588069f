"""What a run leaves in its state while it goes on, for pages that live in a process of their own.

It is written by the run, and read by `cryoflux.queries`. Nothing of the run depends on it: where it cannot be
written, or the meter does not answer, there is nothing of that moment, and the run goes on.

A thread asks the meter once a second: the run's own one where it is in this process, and otherwise the daemon
over a connection of its own, which is not waited for as the run's is.
"""

from __future__ import annotations

__all__ = ["ActivityObserver"]

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from msgspec.structs import replace

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.watch import Step
from cryoflux.config import Settings
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.device_files import pid_namespace
from cryoflux.energy.interface import JouleAgent, Reservation
from cryoflux.energy.processes import find_owner
from cryoflux.errors import CryoFluxError
from cryoflux.network.recording import RoundRecord
from cryoflux.runs.activity_files import ActivityFiles
from cryoflux.runs.activity_form import (
    SCHEMA,
    SaidAttempt,
    SaidBudget,
    SaidCount,
    SaidEnd,
    SaidNow,
    SaidProcess,
    SaidStep,
    SaidTraining,
    said_line,
    said_word,
)
from cryoflux.runs.activity_meter import MeterSeries, meter_beside
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import Opening, RunObserver
from cryoflux.scheduling.policy import Choice, Plateau
from cryoflux.sentences import say
from cryoflux.state import StateFolder
from cryoflux.tasks.pacing import Progress

_PERIOD_S = 1.0
"""between two samples"""
_APART_S = 0.25
"""between two documents of the same step"""
_LOG = logging.getLogger(__name__)


class ActivityObserver(RunObserver):
    """Watches a run and says in its state what it does.

    It is entered by who holds the lock of the state; nothing is written before that, or after.

    Args:
        state: of the run.
        seconds: no attempt begins so long after now; none where any may.
    """

    def __init__(self, state: StateFolder, seconds: float | None = None) -> None:
        self._files = ActivityFiles(state.activity)
        self._series = MeterSeries(self._files)
        began_at = time.time()
        self._now = SaidNow(
            schema=SCHEMA,
            written_at=began_at,
            process=_this_process(),
            began_at=began_at,
            deadline_at=began_at + seconds if seconds is not None else None,
            phase="preparing",
        )
        self._logged = 0
        """attempts that the log holds"""
        self._session = self._reserved = ""
        """ids of the session's reservation, and of the attempt's"""
        self._before_silence: dict[str, Any] | None = None
        """what the run did when its daemon did not answer any more; none while it does"""
        self._changing = threading.RLock()
        self._entered = False
        self._said_at = -math.inf
        self._left = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to say it."""
        self._entered = True
        self._change(at_once=True, doing=None)  # what was said before that is over
        try:
            self._thread = threading.Thread(target=self._beat, name="cryoflux-activity", daemon=True)
            self._thread.start()
        except RuntimeError:  # no thread can be started any more: there is no series
            self._thread = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how it ended, where nobody has yet, and stop."""
        if error is not None and self._now.end is None:
            stopped = isinstance(error, KeyboardInterrupt)
            what = (
                error.what if isinstance(error, CryoFluxError) else f"It ended with {type(error).__name__}."
            )
            self._end("interrupted" if stopped else "failed", "It was stopped at once." if stopped else what)
        self._left.set()
        if self._thread is not None:
            self._thread.join()
        self._entered = False

    @contextmanager
    def metering(self, settings: Settings, agent: JouleAgent) -> Iterator[None]:
        """Note once a second what the meter shows, until the end of the block.

        Args:
            settings: where the meter is.
            agent: what the run spends from.
        """
        apart = bool(settings.agent.agent)
        with meter_beside(settings, agent) as meter, self._series.of(meter, apart=apart):
            self._second()
            yield

    def ended(self, summary: Summary) -> Summary:
        """Say why the run has ended; returns what it was given."""
        budget = self._now.budget
        if budget is not None and summary.overhead is not None:
            spent_uj = summary.spent.uj if summary.spent is not None else 0
            charged = replace(budget, attempts_uj=spent_uj, session_uj=max(0, summary.overhead.uj))
            self._change(budget=charged)
        self._end(summary.ended, summary.reason)
        return summary

    def preparing(self, what: str, done: int, total: int) -> None:
        """Say what takes a while."""
        doing = self._now.doing
        new = doing is None or doing.what != what or self._now.phase != "preparing"
        said = SaidCount(said_line(what), max(0, done), max(0, total))
        self._change(at_once=new, phase="preparing", doing=said, waiting_for="")

    def funded(self, reservation: Reservation, spendable_uj: int) -> None:
        """Say what may be spent; of another session, that nothing of it was."""
        budget = self._now.budget
        if budget is None or reservation.id != self._session:
            self._session = reservation.id
            kept = (budget.closing_uj, budget.reserve_uj) if budget is not None else (0, 0)
            budget = SaidBudget(spendable_uj, 0, 0, *kept)
        self._change(budget=replace(budget, spendable_uj=spendable_uj), closing=False)

    def opened(self, opening: Opening) -> None:
        """Say what ending will take, and what an attempt reserves."""
        self._logged = opening.attempts
        budget = self._now.budget or SaidBudget(opening.spendable_uj, 0, 0, 0, 0)
        begun_uj = max(0, opening.startup.uj) if opening.startup is not None else budget.session_uj
        known = replace(
            budget, session_uj=begun_uj, closing_uj=opening.closing_uj, reserve_uj=opening.reserve_uj
        )
        self._change(at_once=True, budget=known)

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """Say which step goes on."""
        at = time.time()
        attempt = self._now.attempt
        if attempt is None or attempt.finished or (step is Step.SAMPLE and moment == "begin"):
            self._reserved = ""
            attempt = SaidAttempt(number=self._logged + 1, began_at=at, steps=[])
        steps = {one.step: one for one in attempt.steps}
        said = steps.get(step) or SaidStep(step, at)
        steps[step] = said if moment == "begin" else replace(said, ended_at=at)
        doing = {"phase": "attempting", "doing": None, "waiting_for": ""}
        self._change(at_once=True, attempt=replace(attempt, steps=list(steps.values())), **doing)

    def chosen(self, choice: Choice) -> None:
        """Say what is tried, and why."""
        arm = choice.arm
        self._tell(task=said_word(arm.task), arm=said_word(arm.name), why=said_line(say(choice.reason)))

    def reserved(self, reservation: Reservation) -> None:
        """Ask the meter about it from here on."""
        self._reserved = reservation.id

    def prepared(self, done: int, count: int) -> None:
        """Say how much is computed before training."""
        self._tell(preparing=SaidCount("activations", done, count))

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """Say how far training is."""
        loss = float(progress.loss) if math.isfinite(progress.loss) else None
        planned = max(0, progress.planned)
        training = SaidTraining(progress.step, planned, loss, progress.spent_uj, reserved_uj)
        self._tell(training=training, spent_uj=progress.spent_uj)

    def evaluated(self, done: int, count: int) -> None:
        """Say how much of the holdout is read."""
        attempt = self._now.attempt
        is_candidate = attempt is not None and any(one.step is Step.EVALUATE for one in attempt.steps)
        self._tell(evaluation=SaidCount("candidate" if is_candidate else "base", done, count))

    def finished(self, record: AttemptRecord) -> None:
        """Say what came of it, and what it was charged."""
        self._logged += 1
        self._reserved = ""
        charged_uj = record.receipt.energy.microjoules
        if (budget := self._now.budget) is not None:
            self._change(budget=replace(budget, attempts_uj=budget.attempts_uj + charged_uj))
        self._tell(at_once=True, finished=True, outcome=record.receipt.outcome.value, spent_uj=charged_uj)

    def adopted(self, record: RoundRecord) -> None:
        """Count what a round was charged with what attempts were."""
        charged_uj = record.record.energy.microjoules
        if (budget := self._now.budget) is not None:
            self._change(budget=replace(budget, attempts_uj=budget.attempts_uj + charged_uj))

    def plateau(self, plateau: Plateau) -> None:  # noqa: ARG002
        """Say that nothing is tried."""
        self._change(attempt=None)

    def waiting(self, why: str) -> None:
        """Say what is waited for; of a daemon, until it answers again."""
        if why == "agent" and self._before_silence is None:
            now = self._now
            self._before_silence = {"phase": now.phase, "doing": now.doing, "waiting_for": now.waiting_for}
        self._change(at_once=True, phase="waiting", doing=None, waiting_for=said_word(why))

    def closing(self) -> None:
        """Say that no attempt follows."""
        self._change(at_once=True, phase="preparing", doing=None, waiting_for="", closing=True)

    def _end(self, word: str, sentence: str) -> None:
        end = SaidEnd(time.time(), said_word(word), said_line(sentence))
        self._reserved = self._session = ""
        self._change(at_once=True, phase="ended", doing=None, waiting_for="", end=end)

    def _tell(self, *, at_once: bool = False, **changes: Any) -> None:
        """Change what is said of the attempt."""
        with self._changing:
            if self._now.attempt is not None:
                self._change(at_once=at_once, attempt=replace(self._now.attempt, **changes))

    def _change(self, *, at_once: bool = False, **changes: Any) -> None:
        """Change what is said, and write it down now or within a second."""
        with self._changing:
            self._now = replace(self._now, **changes)
            if at_once or time.monotonic() - self._said_at >= _APART_S:
                self._write()

    def _write(self) -> None:
        if not self._entered:
            return
        self._said_at = time.monotonic()
        self._now = replace(self._now, written_at=time.time())
        try:
            self._files.write_now(msgspec.json.encode(self._now))
        except (OSError, TypeError, ValueError):  # a full disk; a task that counts in something else
            _LOG.debug("what happens now could not be written", exc_info=True)

    def _beat(self) -> None:
        while not self._left.wait(_PERIOD_S):
            self._second()

    def _second(self) -> None:
        try:
            self._note()
        except (CryoFluxError, OSError):
            _LOG.debug("a second is missing", exc_info=True)
        except Exception:  # noqa: BLE001 - whoever watches must not end the run that is watched
            _LOG.warning("what a run does could not be noted", exc_info=True)

    def _answered(self) -> None:
        """The meter answers: a run that waited for it goes on with what it did."""
        before, self._before_silence = self._before_silence, None
        if before is not None and self._now.waiting_for == "agent":
            self._now = replace(self._now, **before)

    def _note(self) -> None:
        """Note what the meter shows and what was spent, and write both down."""
        attempt, session, reserved = self._now.attempt, self._session, self._reserved
        going = attempt if attempt is not None and not attempt.finished else None
        try:
            shown = self._series.note(going.number if going else 0, _current(going))
            session_uj = self._series.spent_uj(session) if session else None
            reserved_uj = self._series.spent_uj(reserved) if reserved else None
            with self._changing:
                if shown is not None:
                    self._now = replace(self._now, meter=shown)
                    self._answered()
                budget = self._now.budget
                if session_uj is not None and budget is not None and session == self._session:
                    self._now = replace(self._now, budget=replace(budget, session_uj=max(0, session_uj)))
                if reserved_uj is not None and reserved == self._reserved:
                    self._tell(spent_uj=max(0, reserved_uj))
        finally:
            self._change(at_once=True)


def _current(attempt: SaidAttempt | None) -> Step | None:
    """The step that goes on."""
    begun = [one.step for one in attempt.steps if one.ended_at is None] if attempt is not None else []
    return begun[-1] if begun else None


def _this_process() -> SaidProcess:
    boot_id = SystemClock().boot_id
    owner = find_owner(os.getpid(), boot_id)
    start_ticks = owner.start_ticks if owner is not None else 0
    return SaidProcess(os.getpid(), start_ticks, boot_id, pid_namespace())
