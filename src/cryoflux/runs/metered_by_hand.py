"""A session of a command that measures something and makes no attempt: what it spends is metered like a run.

The account of the state is granted what the command may spend, its meter charges all of it to a session, and
the session's entry says so in the log: signed by the meter, counted with all other joules, checked by the
same step. What died in between is settled by the next run, or by the next command like it.
"""

from __future__ import annotations

__all__ = ["Charged", "metered_by_hand"]

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from cryoflux.attempt.context import RunTerms
from cryoflux.config import Settings
from cryoflux.energy.interface import JouleAgent
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.started import Started
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import Energy
from cryoflux.receipts.session import SessionEnd
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.checks import daemon_of
from cryoflux.runs.lent import left_behind
from cryoflux.runs.open_session import OpenSession, close_dead_session, end_failed


@dataclass(slots=True)
class Charged:
    """What a command was charged."""

    energy: Energy | None = None
    """none before its session has ended"""


@contextmanager
def metered_by_hand(
    hand: VersionsByHand, settings: Settings, budget_uj: int, command: str
) -> Iterator[Charged]:
    """Meter what is done within, and write down what it has cost, also where it fails.

    Args:
        hand: the state, locked.
        settings: who meters.
        budget_uj: what is granted for it, µJ; what it takes beyond that is charged all the same.
        command: for whoever reads the account.

    Raises:
        StateError: an attempt or a round is open.
        BudgetError: the account was overdrawn by more than that.
        MeterError, AgentError: nothing can be measured here, or the daemon does not answer.
        StorageError: the disk is full, read-only, or refuses.
    """
    hand.refuse_open()
    daemon = bool(settings.agent.agent)
    terms = RunTerms(reserve_uj=budget_uj, policy="", seed=0, meter="daemon" if daemon else "embedded")
    with _meter(settings, hand) as agent:
        context = hand.context(agent, terms)
        close_dead_session(context, left_behind(hand.state, agent, settings, context.log.origin))
        agent.grant(budget_uj, request_id=f"hand-{secrets.token_hex(8)}", note=command)
        session, charged = OpenSession(context, budget_uj, Started.with_process()), Charged()
        try:
            yield charged
        except CryoFluxError:
            end_failed(context, session)
            raise
        charged.energy = session.end(SessionEnd.ATTEMPTS)


@contextmanager
def _meter(settings: Settings, hand: VersionsByHand) -> Iterator[JouleAgent]:
    if settings.agent.agent:
        with daemon_of(settings) as daemon:
            yield daemon
        return
    with closing(LocalAgent(settings, hand.state.path)) as agent:
        yield agent
