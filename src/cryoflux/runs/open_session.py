"""A session: one run's account of what it spends beside its attempts, from its start to its entry in the log.

It has a reservation of its own, which the meter charges with all that the process spends less what its
attempts are charged (`energy.reservations`). So attempts and session add up to what the account was charged,
to the microjoule. Who it is lies in ``session.json`` while it is open: a run that died is found there by the
next one, which settles it and writes its entry.
"""

from __future__ import annotations

__all__ = ["OpenSession", "SessionWorkers", "close_dead_session", "end_failed"]

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from cryoflux.attempt.context import Context
from cryoflux.attempt.recording import figure_of
from cryoflux.energy.interface import SESSION, Reservation
from cryoflux.energy.started import Started
from cryoflux.errors import BudgetError, CryoFluxError, StateTamperedError, StorageError
from cryoflux.files import (
    MOST_DOCUMENT_BYTES,
    IrregularFileError,
    read_regular,
    storage_errors,
    write_atomic,
)
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.parts import with_parts
from cryoflux.quantities import Energy
from cryoflux.receipts.charged import MeteredPart, bytes_of_parts
from cryoflux.receipts.session import BaseCharge, MonitorCheck, Session, SessionEnd, SessionStatement
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.state import HEAD

_Part = TypeVar("_Part", BaseCharge, MonitorCheck)
_SHARE = 4
"""a session reserves the share of what an attempt does; what it spends beyond that is charged all the same"""
_MOST_BASES = 64
"""newest ones that its entry names"""
_MOST_CHECKS = 64
_BYTES_OF_BASES, _BYTES_OF_CHECKS = 10_000, 20_000
"""most that these take of an entry, which may have 60,000 bytes in base64; the newest stay"""
_BYTES_OF_ALL = 39_000
"""most that these take together with the parts of workers' meters, which all stay"""
_MOST_SUBJECTS = 15
"""one less than a statement may have: where a session is the first entry, it vouches for the log key too"""


class _Opened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``session.json`` holds."""

    id: str
    opened_at: int
    first_attempt: int
    budget_uj: int
    reserved_uj: int
    meter: Literal["embedded", "daemon"]
    began_at: str


class SessionWorkers(Protocol):
    """Other processes that are charged to a session."""

    def spent(self) -> Energy | None:
        """What they have spent beside attempts, as far as it was heard; none where nothing was."""
        ...

    def close(self) -> Sequence[MeteredPart]:
        """End them, and repay what was lent to each; what each of them was charged."""
        ...

    def recorded(self) -> None:
        """The session's entry is in the log."""
        ...


class OpenSession:
    """The session of a run that goes on.

    Args:
        context: what its attempts work with.
        budget_uj: what the run may spend, attempts and everything else, µJ; the account holds as much.
        started: when it began.

    Raises:
        BudgetError: the account holds too little even for that.
    """

    def __init__(self, context: Context, budget_uj: int, started: Started) -> None:
        self._context, self.budget_uj, self.ended = context, budget_uj, False
        self.workers: SessionWorkers | None = None
        """who beside this process makes the run's attempts; none where it alone does"""
        self._bases: list[BaseCharge] = []
        self._checks: list[MonitorCheck] = []
        opened_at = context.log.size
        self._said = _Opened(
            id=_name(context, opened_at),
            opened_at=opened_at,
            first_attempt=context.memory.attempts + 1,
            budget_uj=budget_uj,
            reserved_uj=max(1, min(budget_uj, context.terms.reserve_uj // _SHARE)),
            meter=context.terms.meter,
            began_at=context.timestamp(),
        )
        write_atomic(context.state.session, msgspec.json.encode(self._said))
        self.reservation = self._reserve(started)

    def _reserve(self, started: Started) -> Reservation:
        said, context = self._said, self._context
        try:
            return context.agent.take(
                said.reserved_uj, request_id=said.id, log=context.log.origin, earlier=started.earlier()
            )
        except BudgetError:
            _forget(context.state.session)
            raise

    def spent(self) -> Energy:
        """What was spent beside the attempts up to now."""
        own = self._context.agent.spent(self.reservation.id)
        theirs = self.workers.spent() if self.workers is not None else None
        return own + theirs if theirs is not None else own

    @property
    def id(self) -> str:
        """Its request id."""
        return self._said.id

    def extend(self, attempts_uj: int) -> None:
        """The account holds more by now: allow all of it.

        Args:
            attempts_uj: what the session's attempts were charged, µJ.
        """
        held_uj = self._context.agent.bucket_uj() + self._said.reserved_uj + attempts_uj
        if held_uj > self.budget_uj:
            self.budget_uj = held_uj
            self._said = msgspec.structs.replace(self._said, budget_uj=held_uj)
            write_atomic(self._context.state.session, msgspec.json.encode(self._said))

    def paid_for(self, base: BaseCharge) -> None:
        """Remember what a part of it was spent on."""
        self._bases = [*self._bases, base][-_MOST_BASES:]

    def checked(self, check: MonitorCheck) -> None:
        """Remember what holding a head against versions before it has shown."""
        self._checks = [*self._checks, check][-_MOST_CHECKS:]

    def end(self, ended: SessionEnd) -> Energy:
        """Settle it, write its entry, and return what it was charged; nothing of the run is metered after it.

        It is ended once: where that fails, the next run goes on with it.

        Raises:
            AgentError: the daemon went away; the next run settles it.
            StorageError: the disk is full, read-only, or refuses; the same.
        """
        self.ended = True
        parts = self.workers.close() if self.workers is not None else []
        session = _record(
            self._context, self._said, self.reservation, ended, parts, bases=self._bases, checks=self._checks
        )
        if self.workers is not None:
            self.workers.recorded()
        self._context.published(binding=False)
        return session.energy.energy


def end_failed(context: Context, session: OpenSession | None) -> None:
    """End the session of a run that an error ends, if it can be."""
    # What is open in the log comes before its session: then the next run closes both.
    if session is not None and not session.ended and not context.memory.open:
        with suppress(CryoFluxError):
            session.end(SessionEnd.FAILED)


def _name(context: Context, opened_at: int) -> str:
    """Unlike that of any session of any log, since a daemon may serve several."""
    log = context.log.origin.rpartition("/")[2]
    return f"{SESSION}{log}_{int(context.now().timestamp())}_{opened_at}"


def close_dead_session(context: Context, left: LeftBehind | None = None) -> Session | None:
    """Settle and write down the session of a run that died; none where there is none.

    Args:
        context: the run that goes on.
        left: closes what the dead one had lent to workers; none where no state of a fleet is here.

    Raises:
        StateTamperedError: what it left behind cannot be read.
    """
    if (said := _read(context.state.session)) is None:
        return None
    if said.opened_at < context.memory.session_end:  # it died after its entry was written
        _forget(context.state.session)
        return None
    parts = left.close(said.id) if left is not None else []
    session = _record(context, said, context.reservation(said.id), SessionEnd.CRASHED, parts)
    if left is not None:
        left.forget(parts, said.id)
    return session


def _read(path: Path) -> _Opened | None:
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_regular(path, MOST_DOCUMENT_BYTES), type=_Opened)
    except (IrregularFileError, msgspec.DecodeError, RecursionError) as error:
        raise StateTamperedError(
            f"{path} cannot be read: {error}.",
            why="It names the session of a run that has ended without saying what it spent.",
            hint="Restore it from a backup; without it what that run spent beside its attempts is in the "
            "account, and not in the log.",
        ) from error
    except OSError as error:
        raise StorageError(f"{path} could not be read: {error.strerror}.") from error


def _forget(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)


def _newest(parts: Sequence[_Part], most: int) -> list[_Part]:
    """The newest of some parts of an entry that together take so many bytes at most."""
    left, found = most, list[_Part]()
    for part in reversed(parts):
        left -= len(msgspec.json.encode(part))
        if left < 0:
            break
        found.append(part)
    return found[::-1]


def _record(
    context: Context,
    said: _Opened,
    reservation: Reservation | None,
    ended: SessionEnd,
    parts: Sequence[MeteredPart] = (),
    *,
    bases: Sequence[BaseCharge] = (),
    checks: Sequence[MonitorCheck] = (),
) -> Session:
    settlement = context.agent.settle(reservation.id) if reservation is not None else None
    figure = figure_of(context, settlement, reserved_uj=said.reserved_uj, meter=said.meter)
    if parts:
        figure = with_parts(figure, parts)
    left = max(0, _BYTES_OF_ALL - bytes_of_parts(figure.parts))
    session = Session(
        sequence=context.log.size,
        prev=context.log.head_hash,
        id=said.id,
        opened_at=said.opened_at,
        first_attempt=said.first_attempt,
        attempts=context.memory.attempts - said.first_attempt + 1,
        ended=ended,
        budget_microjoules=said.budget_uj,
        meter=said.meter,
        energy=figure,
        began_at=said.began_at,
        ended_at=context.timestamp(),
        bases=_newest(bases, min(_BYTES_OF_BASES, left // 3)),
        checks=_newest(checks, min(_BYTES_OF_CHECKS, left - left // 3)),
    )
    heads = [opened.base.files for opened in context.tasks.values()]
    # Where no task is open, as of a command that measures, the log says what their heads are.
    heads = heads or [known.head.files for known in context.memory.tasks.values()]
    nodes = (node.node for node in context.memory.nodes.values())
    heads = heads or [node.genesis.files for node in nodes if node is not None]
    subject = [Subject(name=HEAD, digest=Sha256Digest(sha256=files)) for files in heads[:_MOST_SUBJECTS]]
    context.append(lambda *_: SessionStatement(subject=subject, predicate=session))
    _forget(context.state.session)
    return session
