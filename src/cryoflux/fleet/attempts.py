"""Attempts of a fleet: announced here, trained by workers at once, and judged here one after another.

Everything that the log is made of is done by this process alone, in the order of the log: so the error budget
of a holdout stays one sequence, and the bar of a look is the one of its verdict. An update whose head has
moved meanwhile is merged into the present one and screened anew before anybody looks
(`attempt.training.received`).
"""

from __future__ import annotations

__all__ = ["FleetAttempts"]

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryoflux.attempt.context import Context
from cryoflux.attempt.orchestrator import (
    AnnouncedAttempt,
    abort_attempt,
    begin_attempt,
    finish_attempt,
    give_up_attempt,
    least_reserve_uj,
)
from cryoflux.attempt.phase_joules import PhaseJoules
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.training import Delivered, work_order
from cryoflux.attempt.watch import AttemptStopped, Phases, Step
from cryoflux.energy.interface import Reservation, lent_request
from cryoflux.errors import BudgetError
from cryoflux.fleet.by_meter import MeterFold
from cryoflux.fleet.charging import FleetCharging, UnpaidCharging
from cryoflux.fleet.crew import Crew, LeaseEnd
from cryoflux.fleet.deliveries import Fetching, stopped_at_worker
from cryoflux.fleet.documents import Lease, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.stations import Station
from cryoflux.fleet.words import LastWord, LastWords
from cryoflux.receipts.statement import Cause
from cryoflux.scheduling.policy import Plateau
from cryoflux.tasks.interface import WorkOrder

_ROUND_S = 0.3
"""between two rounds of questions to the workers"""
_ASKED = 8
"""of more workers at work, a round takes longer: so many are asked in that time"""


@dataclass(frozen=True, slots=True)
class _Open:
    """An attempt that a worker is at."""

    attempt: AnnouncedAttempt
    order: WorkOrder
    lent: Reservation
    phases: Phases

    @property
    def own_uj(self) -> int:
        """What is set aside for what is done here."""
        return self.attempt.intent.reserved_microjoules - self.lent.reserved_uj


class FleetAttempts:
    """Makes attempts with a crew.

    Args:
        context: the run.
        crew: its workers, started.
        words: the last words of their meters.
        silence_s: a worker that is not asked for so long ends by itself, s.
        watched: is told how it goes at the workers, a few times a second.
        lost: is told of a worker that was lost, and why.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        context: Context,
        crew: Crew,
        words: LastWords,
        silence_s: int,
        *,
        watched: Callable[[Mapping[str, WorkerState | None]], None] = lambda _states: None,
        lost: Callable[[str, str], None] = lambda _worker, _why: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._context, self._crew, self._words = context, crew, words
        self._silence_s, self._watched, self._lost, self._sleep = silence_s, watched, lost, sleep
        self._open: dict[str, _Open] = {}
        """by the id of the attempt"""
        self._stopping = False
        self._by_meter, self._told = MeterFold(), 0

    @property
    def busy(self) -> int:
        """Attempts that are open."""
        return len(self._open)

    @property
    def held_uj(self) -> int:
        """What open attempts have reserved or set aside, µJ."""
        return sum(one.attempt.intent.reserved_microjoules for one in self._open.values())

    @property
    def aside_uj(self) -> int:
        """What of that is taken from the bucket only once there is something to judge, µJ."""
        return sum(one.own_uj for one in self._open.values())

    def next(self, left_uj: int, most: int | None) -> AttemptRecord | Plateau | None:
        """Keep the workers at it, and return the next attempt that is finished; none after a stop.

        Args:
            left_uj: what attempts that are not open yet may spend, µJ.
            most: so many may be begun now; none for as many as there are workers.

        Raises:
            BudgetError: nothing is open, and the bucket pays for no arm.
            FleetError: every worker is lost.
        """
        ended_by = self._begin(left_uj, most)
        if not self._open:
            if isinstance(ended_by, BudgetError):
                raise ended_by
            if ended_by is None and not self._context.stop():
                raise self._deserted()
            return ended_by
        return self._finish(self._waited())

    def _waited(self) -> LeaseEnd:
        """What came of the first attempt that is at its end."""
        while (ended := self._crew.ended()) is None:
            if self._context.stop() and not self._stopping:
                self._stopping = True
                self._crew.stop()
            self._watched(self._crew.states)
            self._sleep(_ROUND_S * max(1.0, self._crew.busy / _ASKED))
        return ended

    def _deserted(self) -> FleetError:
        return FleetError(
            "No worker is left.",
            why=self._crew.troubles[-1] if self._crew.troubles else "None could be started again.",
            hint=self._crew.hint
            or "What they said last is in the worker.log of each, in fleet/workers of the state.",
        )

    def _begin(self, left_uj: int, most: int | None) -> Plateau | BudgetError | None:
        """Let free workers begin; why there is nothing more to begin, where that is so."""
        context = self._context
        for begun, station in enumerate(self._crew.free(self._thrift)):
            if context.stop() or (most is not None and begun >= most):
                return None
            if self._open and left_uj < least_reserve_uj(context, left_uj):
                return None
            phases = Phases()
            try:
                attempt = begin_attempt(context, phases, left_uj)
            except BudgetError as error:
                return error
            if isinstance(attempt, Plateau):
                return attempt
            left_uj -= attempt.intent.reserved_microjoules
            try:
                self._dispatch(station, attempt, phases)
            except BudgetError as error:  # others drew on the bucket meanwhile; those at work go on
                return error
        return None

    def _thrift(self, meter_key: str) -> float | None:
        """What it takes to train on an example by a meter, µJ: the log says it."""
        log = self._context.log
        for entry in log.tail(log.size - self._told):
            self._by_meter.take(entry)
        self._told = log.size
        return self._by_meter.uj_per_example(meter_key)

    def _dispatch(self, station: Station, attempt: AnnouncedAttempt, phases: Phases) -> None:
        context, opened, intent = self._context, attempt.opened, attempt.intent
        elsewhere = opened.task.elsewhere()
        if elsewhere is None:
            raise FleetError(f"What the task {opened.task.name} trains is not trained by workers.")
        order = work_order(opened, attempt.announced, opened.task.place.pool_seed)
        inputs = elsewhere.inputs(order)
        # Something is always left for what is done here.
        lent_uj = max(1, min(order.limit_microjoules, intent.reserved_microjoules - 1))
        request = lent_request(intent.task.id, station.name)
        with context.step(Step.RESERVE, phases):
            # First, so that nothing is lent that nobody finds.
            self._words.put(LastWord(lent=request, fleet=self._crew.fleet))
            try:
                lent = context.agent.lend(
                    lent_uj,
                    request_id=request,
                    log=context.log.origin,
                    intent=attempt.announced.leaf_hash,
                )
            except BudgetError:
                self._words.forget(request)
                give_up_attempt(context, attempt)
                raise
        self._open[intent.task.id] = _Open(attempt, order, lent, phases)
        lease = Lease(
            id=intent.task.id,
            worker=station.name,
            log=context.log.origin,
            intent=attempt.announced.leaf_hash,
            lent_microjoules=lent.reserved_uj,
            silence_seconds=self._silence_s,
            order=order,
            inputs=inputs,
        )
        self._crew.begin(station, lease, context.state.path)

    def _finish(self, ended: LeaseEnd) -> AttemptRecord:
        context, one = self._context, self._open.pop(ended.lease.id)
        if ended.why:
            self._lost(ended.lease.worker, ended.why)
        charging = self._charging(one, ended)
        if charging is None:
            record = self._unpaid(one, ended)
        elif (stopped := stopped_at_worker(ended.lease, ended.delivery)) is not None:
            record = abort_attempt(context, one.attempt, charging, one.phases, stopped)
        else:
            delivered = self._delivered(one, ended)
            record = finish_attempt(context, one.attempt, charging, one.phases, delivered)
        if ended.station is not None:
            self._crew.forget(ended.station, ended.lease.id)
        self._words.forget(one.lent.request_id)
        return record

    def _charging(self, one: _Open, ended: LeaseEnd) -> FleetCharging | None:
        """What pays for an attempt; none where others have overdrawn the bucket meanwhile."""
        context, intent, phases = self._context, one.attempt.intent, one.phases
        try:
            own = context.agent.take(
                max(1, one.own_uj),
                request_id=intent.task.id,
                log=context.log.origin,
                intent=one.attempt.announced.leaf_hash,
            )
        except BudgetError:
            return None
        context.observer.reserved(own)
        phases.joules = PhaseJoules(lambda: context.agent.spent(own.id))
        told = ended.delivery.phases if ended.delivery is not None else []
        return FleetCharging(context, intent, own, one.lent, ended.part, told)

    def _unpaid(self, one: _Open, ended: LeaseEnd) -> AttemptRecord:
        """End an attempt that nothing is left to judge with; its worker is paid all the same."""
        charging = UnpaidCharging(self._context, one.attempt.intent, one.lent, ended.part, one.own_uj)
        stopped = stopped_at_worker(ended.lease, ended.delivery)
        if ended.delivery is not None or stopped is None:
            stopped = AttemptStopped(Cause.UNRESERVED, "unreserved")
        return abort_attempt(self._context, one.attempt, charging, one.phases, stopped)

    def _delivered(self, one: _Open, ended: LeaseEnd) -> Delivered:
        station, delivery = ended.station, ended.delivery
        if station is None or delivery is None or delivery.update is None:
            raise ValueError("nothing was delivered")
        return Delivered(
            one.order, delivery.update, Fetching(self._context.state, station, delivery, delivery.update)
        )
