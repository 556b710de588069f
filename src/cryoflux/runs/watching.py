"""A run that goes on until it is stopped: examples join, energy comes, and sleep in between.

Its attempts are made by `cryoflux.runs.spending`, one session after another: a session ends after a day or
after so many attempts, not with each pause, and is charged with all that the process does, joining and
waiting included. Between two attempts:

1. Files that are finished are read, and what may join the training sets does (`cryoflux.data.growing`).
2. The head is held against versions before it, where there is a monitor (`cryoflux.runs.monitoring`).

Where the bucket pays for nothing, or no arm is expected to pay, it sleeps, until there is data, energy, or
somebody to stop it. What has joined is known from the state alone, so that a run that died forgets nothing.
"""

from __future__ import annotations

__all__ = ["Watching", "first_session", "keep_watching", "patience_of"]

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.orchestrator import least_reserve_uj
from cryoflux.data.arriving import Offered, offer_together
from cryoflux.data.columns import Wishes
from cryoflux.data.formats import Arrived, read_arrived
from cryoflux.data.growing import Joining, Similar, drop_others, grow
from cryoflux.data.prepared import PreparedData
from cryoflux.errors import BudgetError, CryoFluxError, DataError, ModelError, StorageError
from cryoflux.runs.arrivals import Arrivals
from cryoflux.runs.between import Ended
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.monitoring import Monitoring
from cryoflux.runs.open_session import OpenSession, end_failed
from cryoflux.runs.spending import spend
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import Joined, RunObserver
from cryoflux.tasks.interface import Task

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from cryoflux.runs.adopting import Adopting  # it would bring numpy
    from cryoflux.tasks.index.guard import LeakGuard

_DAY_S = 86_400.0
_SESSION_ATTEMPTS = 200
"""of one session: its entry is what says what it cost, and its attempts are what a run remembers"""
_POLL_S = 1.0
"""between two polls of the folder"""
_POLLS_APART = 100
"""times as long as a task's poll takes, until the next one: 1 % of a core for a folder of any size"""
_MOST_CHARACTERS = 10_000_000
"""of texts that join together; what else has arrived joins after the next attempt"""
_ENERGY_S = 10.0
"""between two polls of the bucket; a daemon is asked over HTTP"""
_AGAIN_S = 5.0
"""between two tries to reach a daemon that is away"""
_AWAY_S = 60.0
"""after the last such try it has been there meanwhile: that it is away is said again"""
_CHECK_S = 600.0
"""between two polls of the monitor while nothing is tried: its file may have been fed"""
_LINES = 10
"""that are named of each reason for which examples do not join"""
_LATER_S = 60.0
"""until a join is tried again that the disk refused"""


@dataclass(slots=True)
class Watching:
    """What a run watches, and what it does beside attempts."""

    folder: Path
    """where labelled files arrive"""
    settled: Callable[[Summary], None] = lambda _summary: None
    """told of each session that has ended, but for the last one"""
    sleep: Callable[[float], None] = time.sleep
    session_attempts: int = _SESSION_ATTEMPTS
    session_s: float = _DAY_S
    wishes: Wishes = field(default_factory=Wishes)
    """how arriving files are to be read"""

    def pause(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """Sleep so long; whether nobody has asked to stop meanwhile."""
        until = time.monotonic() + seconds
        while not stop() and time.monotonic() < until:
            self.sleep(_POLL_S)
        return not stop()


class _Pause:
    """What comes between two attempts of a session (`spending.Between`)."""

    def __init__(
        self,
        context: Context,
        tasks: MutableMapping[str, Opened],
        watching: Watching,
        observer: RunObserver,
        reopen: Callable[[Task, PreparedData], Opened],
    ) -> None:
        self._context, self._tasks, self._watching = context, tasks, watching
        self._observer, self._reopen = observer, reopen
        self._arrivals = Arrivals(watching.folder)
        self._uncommitted: set[str] = set()
        """tasks whose grown set no intent has named yet"""
        self._not_before = 0.0
        """when the disk is tried again, monotonic"""
        self._news_at = 0.0
        """when tasks are asked again whether something has come, monotonic"""
        self._poll_at = 0.0
        """when the folder is polled again, monotonic"""
        self._problem = ""
        """what was said last that is wrong with the folder"""
        self._waits_for = ""
        """what was said last that it waits for; empty once something has come"""
        self._guards: dict[str, LeakGuard] = {}
        self.session: OpenSession | None = None
        self.until = 0.0
        """when the session has lasted long enough, monotonic"""

    def between(self) -> None:
        """Join what has arrived."""
        self._tidy()
        self._join()

    def wait(self, ended: Ended, spent_uj: int) -> bool:
        """Sleep until there is something to do; whether the session goes on.

        Args:
            ended: why nothing could be tried.
            spent_uj: what the session's attempts were charged, µJ.
        """
        if (session := self.session) is None:
            return False
        if ended != self._waits_for:
            self._observer.waiting(ended)
        self._waits_for = ended
        held_uj, asked = self._context.agent.bucket_uj(), time.monotonic()
        check_at = asked + _CHECK_S
        while time.monotonic() < self.until:
            if time.monotonic() >= check_at or self._context.stop() or self._has_arrived():
                return True
            if self._tasks_have_news():
                self._waits_for = ""
                return True
            if time.monotonic() - asked >= _ENERGY_S:
                asked = time.monotonic()
                if (now_uj := self._context.agent.bucket_uj()) >= held_uj + self._step_uj(now_uj):
                    session.extend(spent_uj)
                    self._observer.funded(session.reservation, session.budget_uj)
                    self._waits_for = ""
                    return True
            self._watching.sleep(_POLL_S)
        return False

    def _tasks_have_news(self) -> bool:
        """Whether a task has something new; asked the less often, the longer the answer takes."""
        began = time.monotonic()
        if began < self._news_at:
            return False
        found = any(opened.task.has_news() for opened in self._tasks.values())
        self._news_at = time.monotonic() + (time.monotonic() - began) * _POLLS_APART
        return found

    def _step_uj(self, held_uj: int) -> int:
        """So much more in the bucket is worth to try again, µJ."""
        return max(1, least_reserve_uj(self._context, held_uj))

    def _can_grow(self) -> list[Opened]:
        # Before its first intent a task's data set is what its origin says.
        return [one for one in self._tasks.values() if one.known() is not None and one.data.labels]

    def _has_arrived(self) -> bool:
        """Whether there are files to read; polled the less often, the longer a poll takes."""
        if time.monotonic() < max(self._not_before, self._poll_at) or not self._can_grow():
            return False
        found = self._finished()
        for path in found:
            self._arrivals.again(path)
        return bool(found)

    def _finished(self) -> list[Path]:
        began = time.monotonic()
        found = self._arrivals.finished()
        self._poll_at = time.monotonic() + (time.monotonic() - began) * _POLLS_APART
        if (problem := self._arrivals.problem) != self._problem and problem:
            self._observer.joined(Joined("", problem=problem))
        self._problem = problem
        return found

    def _tidy(self) -> None:
        """The log has named a grown set: what it was before goes."""
        for name in sorted(self._uncommitted):
            opened = self._tasks[name]
            known = opened.known()
            if known is not None and known.latest.digest == opened.data.digest:
                self._uncommitted.discard(name)
                mine = {one.data.digest for one in self._tasks.values()}
                logged = {one.latest.digest for one in self._context.memory.tasks.values()}
                drop_others(opened.data.folder, mine | logged)

    def _join(self) -> None:
        growing = self._can_grow()
        if not growing or time.monotonic() < self._not_before:
            return
        read = self._read(self._finished())
        if not read or self._context.stop():
            return  # they are read again by the next run
        try:
            for opened in growing:
                self._offer(opened, read)
        except ModelError as error:  # nothing joins that cannot be held to its guard
            self._observer.joined(Joined("", problem=error.what))
        except StorageError as error:
            # Nothing has changed, and what lies in the folder is still there.
            self._observer.joined(Joined("", problem=error.what))
            self._not_before = time.monotonic() + _LATER_S
            for one in read:
                self._arrivals.again(one.path)

    def _offer(self, opened: Opened, read: Sequence[Arrived]) -> None:
        joining, offers = offer_together(partial(self._joining, opened), read)
        if joining.joined:
            self._grow(opened.task.name, joining)
        for offer in offers:
            self._observer.joined(_said(offer, opened.task.name))

    def _joining(self, opened: Opened) -> Joining:
        known = opened.known()
        quarantined = frozenset(known.parts.indices_quarantined()) if known is not None else ()
        return Joining(opened.data, similar=self._guard(opened), quarantined=quarantined)

    def _guard(self, opened: Opened) -> Similar | None:
        """What finds texts that are like one that judges, where the data set is held to a leak guard."""
        if not opened.data.rules.get("similar"):
            return None
        from cryoflux.tasks.index.guard import guard_of

        name = opened.task.name
        guard = self._guards.get(name) or guard_of(opened.data.rules, self._context.state.cache)
        self._guards[name] = guard
        told = partial(self._observer.preparing, "embedding what has arrived for the leak guard")
        return partial(guard.near, told=told)

    def _read(self, paths: Sequence[Path]) -> list[Arrived]:
        """The examples of files, as many as are taken together; the others are given again."""
        found, left = list[Arrived](), _MOST_CHARACTERS
        for path in paths:
            if left <= 0 or self._context.stop():
                self._arrivals.again(path)
                continue
            try:
                arrived = read_arrived(path, self._watching.wishes)
            except DataError as error:
                self._observer.joined(Joined(path.name, problem=error.what))
                continue
            left -= sum(len(example.text) for _, example in arrived.numbered)
            found.append(arrived)
        return found

    def _grow(self, name: str, joining: Joining) -> None:
        opened = self._tasks[name]
        self._waits_for = ""
        self._tasks[name] = self._reopen(opened.task, grow(opened.data, joining.joined))
        self._uncommitted.add(name)


def _said(offer: Offered, task: str) -> Joined:
    reasons = [one.why.value for one in offer.refused]
    refused = {why: reasons.count(why) for why in sorted(set(reasons))}
    lines = {why: [r.line for r in offer.refused if r.why == why][:_LINES] for why in refused}
    count, numbers = offer.file.lacking
    if count:
        refused["lacking"], lines["lacking"] = count, numbers[:_LINES]
    return Joined(offer.file.path.name, task=task, joined=offer.joined, refused=refused, lines=lines)


def first_session(
    context: Context, open_it: Callable[[], OpenSession], observer: RunObserver, watching: Watching | None
) -> OpenSession | None:
    """The first session of a run, once the bucket pays for it; none where somebody asked to stop.

    Args:
        context: the run.
        open_it: opens it.
        observer: is told that it waits.
        watching: where energy comes by itself, and is waited for; none where too little is an error.

    Raises:
        BudgetError: the bucket does not pay for it.
    """
    told = False
    while not context.stop():
        try:
            return open_it()
        except BudgetError:
            if watching is None:
                raise
        if not told:
            observer.waiting("budget")
        told = True
        watching.pause(_ENERGY_S, context.stop)
    return None


def patience_of(watching: Watching, stop: Callable[[], bool], observer: RunObserver) -> Callable[[], bool]:
    """What waits for a daemon that does not answer any more, and says whether to ask again.

    Nothing is lost by asking: every request may be repeated, and the next daemon of the same state meters on
    what was reserved. So it ends only where somebody asks to stop.
    """
    told = -_AWAY_S

    def wait() -> bool:
        nonlocal told
        if time.monotonic() - told >= _AWAY_S:
            observer.waiting("agent")
        on = watching.pause(_AGAIN_S, stop)
        told = time.monotonic()
        return on

    return wait


def keep_watching(
    context: Context,
    tasks: MutableMapping[str, Opened],
    limits: RunLimits,
    observer: RunObserver,
    watching: Watching,
    *,
    session: OpenSession | None,
    again: Callable[[], OpenSession],
    reopen: Callable[[Task, PreparedData], Opened],
    monitoring: Monitoring | None = None,
    adopting: Sequence[Adopting] = (),
) -> Summary:
    """Make attempts, session after session, until somebody asks to stop.

    Args:
        context: what attempts work with.
        tasks: its tasks; one whose training set grows is exchanged.
        limits: when to end for good, over all sessions.
        observer: is told of everything.
        watching: what is watched.
        session: the first one; none where it was stopped before.
        again: opens another one.
        reopen: opens a task again with another data set.
        monitoring: holds heads against versions before them; none where nobody asked for it.
        adopting: what makes rounds between attempts; none in a state that is no node's.

    Returns:
        what the last session came to.
    """
    pause = _Pause(context, tasks, watching, observer, reopen)
    began, made = time.monotonic(), 0
    while True:
        now = time.monotonic()
        pause.session, pause.until = session, now + watching.session_s
        left = None if limits.attempts is None else limits.attempts - made
        most = min(watching.session_attempts, left if left is not None else watching.session_attempts)
        seconds = watching.session_s
        if limits.seconds is not None:
            seconds = min(seconds, max(0.0, began + limits.seconds - now))
            pause.until = now + seconds
        parts = replace(limits, attempts=most, seconds=seconds)
        try:
            summary = spend(context, parts, observer, now, session, monitoring, pause, adopting)
        except CryoFluxError:
            end_failed(context, session)
            raise
        made += summary.attempts
        over = limits.seconds is not None and time.monotonic() >= began + limits.seconds
        if context.stop() or over or made == limits.attempts:
            return summary
        watching.settled(summary)
        session = _opened(context, watching, again)
        if session is None:
            return summary


def _opened(context: Context, watching: Watching, again: Callable[[], OpenSession]) -> OpenSession | None:
    """Another session, once the bucket holds enough for one; none where somebody asked to stop."""
    while not context.stop():
        try:
            return again()
        except CryoFluxError:
            if context.agent.bucket_uj() > 0:
                raise
            watching.pause(_ENERGY_S, context.stop)
    return None
