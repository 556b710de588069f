"""Has a run's attempts made by workers, where its settings ask for some."""

from __future__ import annotations

__all__ = ["CrewedAttempts", "crewed"]

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from cryoflux.attempt.context import Context
from cryoflux.attempt.orchestrator import most_at_once, plateau
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.config import Settings
from cryoflux.errors import CryoFluxError
from cryoflux.fleet.attempts import FleetAttempts
from cryoflux.fleet.crew import Crew
from cryoflux.fleet.crew_session import CrewSession, lend_for_sessions
from cryoflux.fleet.gpus import gpus_here
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.local import LocalDispatcher
from cryoflux.fleet.stations import Dispatcher
from cryoflux.fleet.words import LOCAL, LastWords
from cryoflux.runs.known_meters import keep_key, keep_key_of
from cryoflux.runs.lent import own_meter_key
from cryoflux.runs.meanwhile import Meanwhile
from cryoflux.runs.open_session import OpenSession, end_failed
from cryoflux.runs.watch import RunObserver
from cryoflux.scheduling.policy import Plateau

_SHARE = 8
"""of what an attempt reserves, lent for what a worker's process spends beside attempts"""
_PATIENCE = 0.6
"""of the silence after which a worker ends by itself: an answer of another is waited for no longer"""


@contextmanager
def crewed(
    context: Context,
    settings: Settings,
    session: OpenSession,
    asked: Meanwhile,
    observer: RunObserver,
) -> Iterator[CrewedAttempts]:
    """Who makes the attempts beside this process: workers, started once there is something to try.

    Args:
        context: what they are made with.
        settings: of the run.
        session: that pays for what workers spend beside them.
        asked: is asked often while this process computes: then workers are told that it is there.
        observer: is told how it goes.
    """
    with ExitStack() as ending:
        start = partial(_started, context, settings, session, asked, observer, ending)
        try:
            yield CrewedAttempts(context, start)
        except CryoFluxError:
            end_failed(context, session)  # while the workers can still be asked
            raise


class CrewedAttempts:
    """Attempts by workers that are not there before one of them is expected to pay.

    Args:
        context: what they are made with.
        start: starts the workers.
    """

    def __init__(self, context: Context, start: Callable[[], FleetAttempts]) -> None:
        self._context, self._start = context, start
        self._by: FleetAttempts | None = None

    @property
    def busy(self) -> int:
        """Attempts that are open."""
        return self._by.busy if self._by is not None else 0

    @property
    def held_uj(self) -> int:
        """What these hold of the budget, µJ."""
        return self._by.held_uj if self._by is not None else 0

    @property
    def aside_uj(self) -> int:
        """What of that the bucket still holds, µJ."""
        return self._by.aside_uj if self._by is not None else 0

    def next(self, left_uj: int, most: int | None) -> AttemptRecord | Plateau | None:
        """The next attempt that is finished; none after a stop, and once workers have been started.

        Args:
            left_uj: what attempts that are not open yet may spend, µJ.
            most: so many may be begun now; none for as many as there are workers.

        Raises:
            BudgetError, FleetError: as `FleetAttempts.next`.
        """
        if self._by is not None:
            return self._by.next(left_uj, most)
        if self._context.stop():
            return None
        if (nothing := plateau(self._context, left_uj)) is not None:
            return nothing
        self._by = self._start()
        return None  # what starting them took is not left any more


def _started(
    context: Context,
    settings: Settings,
    session: OpenSession,
    asked: Meanwhile,
    observer: RunObserver,
    ending: ExitStack,
) -> FleetAttempts:
    asked_for, settings = settings.fleet.workers, _of_use(context, settings)
    context = replace(context, terms=replace(context.terms, slots=settings.fleet.workers))
    state, words, where = context.state, LastWords(context.state.words), settings.fleet.fleet
    each_uj = max(1, context.terms.reserve_uj // _SHARE)
    terms = lend_for_sessions(context.agent, words, session.id, context.log.origin, each_uj, where)
    dispatcher, own_key = _dispatcher(context, settings), own_meter_key(state)
    ending.callback(dispatcher.close)
    keep_key(state, "coordinator", own_key)
    baseline = context.agent.sample().baseline_digest
    crew = Crew(dispatcher, words, terms, list(context.tasks), baseline, own_key=own_key, fleet=where)

    def settles(_where: str, worker: str, request: str) -> str:
        return dispatcher.settle(worker, request)

    left = LeftBehind(context.agent, words, settles, baseline, own_key, partial(keep_key_of, state))
    session.workers = CrewSession(crew, left, session.id)
    observer.preparing("starting workers", 0, settings.fleet.workers)
    observer.crewed(crew.start(), asked_for)
    ending.callback(setattr, asked, "do", asked.do)
    asked.do = crew.keep_alive
    silence_s, lost = settings.fleet.worker_silence, observer.worker_lost
    return FleetAttempts(context, crew, words, silence_s, watched=observer.at_work, lost=lost)


def _of_use(context: Context, settings: Settings) -> Settings:
    """The settings with no more workers than can be at it: to start one costs joules."""
    workers = min(settings.fleet.workers, most_at_once(context) or settings.fleet.workers)
    return settings.model_copy(update={"fleet": settings.fleet.model_copy(update={"workers": workers})})


def _dispatcher(context: Context, settings: Settings) -> Dispatcher:
    fleet = settings.fleet
    if fleet.fleet == LOCAL:
        names = [f"w{number}" for number in range(1, fleet.workers + 1)]
        threads = max(1, (os.cpu_count() or 1) // fleet.workers)
        sources = [source.name for source in context.agent.sample().sources]
        gpus = gpus_here(sources, os.environ) if settings.model.device != "cpu" else []
        patience_s = fleet.worker_silence * _PATIENCE
        return LocalDispatcher(
            context.state, names, settings, threads=threads, gpus=gpus, patience_s=patience_s
        )
    from cryoflux.fleet.on_ray import RayDispatcher

    log = context.log.origin.rpartition("/")[2]
    return RayDispatcher(fleet.fleet, log, fleet.workers, settings, fleet.worker_silence)
