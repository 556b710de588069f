"""A crew as the run's session pays for it: what was lent to a worker's meter is repaid at what it signed."""

from __future__ import annotations

__all__ = ["CrewSession", "lend_for_sessions"]

from collections.abc import Callable, Sequence

from cryoflux.energy.interface import JouleAgent, lent_request
from cryoflux.fleet.crew import Crew
from cryoflux.fleet.documents import SessionTerms
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.words import LastWord, LastWords
from cryoflux.quantities import Energy
from cryoflux.receipts.charged import MeteredPart


def lend_for_sessions(
    agent: JouleAgent, words: LastWords, session: str, log: str, each_uj: int, fleet: str
) -> Callable[[str], SessionTerms]:
    """What has joules lent for a worker's session, and says what it is called there.

    Args:
        agent: whose bucket pays.
        words: the last words of workers' meters.
        session: request id of the run's session.
        log: origin of the log.
        each_uj: for each worker, µJ; what it spends beyond is charged all the same.
        fleet: where the workers are.
    """

    def terms(worker: str) -> SessionTerms:
        request = lent_request(session, worker)
        words.put(LastWord(lent=request, fleet=fleet))  # first, so that nothing is lent that nobody finds
        agent.lend(each_uj, request_id=request, log=log)
        return SessionTerms(id=session, log=log, lent_microjoules=each_uj)

    return terms


class CrewSession:
    """The part of a session that workers are charged.

    Args:
        crew: the workers.
        left: repays what was lent to them.
        session: request id of the run's session.
    """

    def __init__(self, crew: Crew, left: LeftBehind, session: str) -> None:
        self._crew, self._left, self._session = crew, left, session
        self._parts: list[MeteredPart] = []

    def spent(self) -> Energy | None:
        """What they have spent beside attempts, as far as it was heard."""
        return self._crew.spent()

    def close(self) -> Sequence[MeteredPart]:
        """End them, and repay what was lent to each."""
        self._crew.close()
        self._parts = self._left.close(self._session)
        return self._parts

    def recorded(self) -> None:
        """The session's entry is in the log."""
        self._left.forget(self._parts, self._session)
