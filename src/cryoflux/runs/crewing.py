"""Has a run's attempts made by workers, where its settings ask for some."""

from __future__ import annotations

__all__ = ["crewed"]

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cryoflux.attempt.context import Context
from cryoflux.attempt.orchestrator import most_at_once, pays_for_none
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
from cryoflux.runs.known_meters import keep_meter_key
from cryoflux.runs.lent import own_meter_key
from cryoflux.runs.meanwhile import Meanwhile
from cryoflux.runs.open_session import OpenSession, end_failed
from cryoflux.runs.watch import RunObserver

_SHARE = 8
"""of what an attempt reserves, lent for what a worker's process spends beside attempts"""
_PATIENCE = 0.6
"""of the silence after which a worker ends by itself: an answer of another is waited for no longer"""


@contextmanager
def crewed(
    context: Context,
    settings: Settings,
    session: OpenSession | None,
    asked: Meanwhile,
    observer: RunObserver,
) -> Iterator[FleetAttempts | None]:
    """Who makes the attempts beside this process; none where it makes them by itself, or there are none.

    Args:
        context: what they are made with.
        settings: of the run.
        session: that pays for what workers spend beside them.
        asked: is asked often while this process computes: then workers are told that it is there.
        observer: is told how it goes.
    """
    if not settings.fleet.workers or session is None or pays_for_none(context):
        yield None
        return
    asked_for, settings = settings.fleet.workers, _of_use(context, settings)
    context = replace(context, terms=replace(context.terms, slots=settings.fleet.workers))
    words, where = LastWords(context.state.words), settings.fleet.fleet
    each_uj = max(1, context.terms.reserve_uj // _SHARE)
    terms = lend_for_sessions(context.agent, words, session.id, context.log.origin, each_uj, where)
    dispatcher = _dispatcher(context, settings)
    baseline = context.agent.sample().baseline_digest
    own_key = own_meter_key(context.state)
    keep_meter_key(context.state, "coordinator", own_key)
    crew = Crew(
        dispatcher,
        words,
        terms,
        list(context.tasks),
        baseline,
        own_key=own_key,
        met=lambda facts: keep_meter_key(context.state, facts.name, facts.meter_key),
        fleet=where,
    )
    settles = dispatcher.settle
    left = LeftBehind(context.agent, words, lambda _, *asked: settles(*asked), baseline, own_key)
    session.workers = CrewSession(crew, left, session.id)
    try:
        observer.preparing("starting workers", 0, settings.fleet.workers)
        observer.crewed(crew.start(), asked_for)
        silence_s, lost = settings.fleet.worker_silence, observer.worker_lost
        asked.do = crew.keep_alive
        yield FleetAttempts(context, crew, words, silence_s, watched=observer.at_work, lost=lost)
    except CryoFluxError:
        end_failed(context, session)  # while the workers can still be asked
        raise
    finally:
        asked.do = lambda: None
        dispatcher.close()


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
