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

__all__ = ["Watching", "await_energy", "keep_watching"]

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.orchestrator import least_reserve_uj
from cryoflux.data.formats import read_numbered
from cryoflux.data.growing import Joining, Refused, Similar, drop_others, grow
from cryoflux.data.prepared import PreparedData
from cryoflux.errors import CryoFluxError, DataError, ModelError, StorageError
from cryoflux.runs.arrivals import Arrivals
from cryoflux.runs.between import Ended
from cryoflux.runs.monitoring import Monitoring
from cryoflux.runs.open_session import OpenSession, end_failed
from cryoflux.runs.spending import RunLimits, spend
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import Joined, RunObserver
from cryoflux.tasks.interface import Task

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from cryoflux.tasks.index.guard import LeakGuard

_DAY_S = 86_400.0
_SESSION_ATTEMPTS = 200
"""of one session: its entry is what says what it cost, and its attempts are what a run remembers"""
_LOOK_S = 1.0
"""between two looks at the folder"""
_LOOKS_APART = 100
"""times as long as a task's look takes, until the next one: 1 % of a core for a folder of any size"""
_ENERGY_S = 10.0
"""between two looks at the bucket; a daemon is asked over HTTP"""
_CHECK_S = 600.0
"""between two looks at the monitor while nothing is tried: its file may have been fed"""
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
                    self._waits_for = ""
                    return True
            self._watching.sleep(_LOOK_S)
        return False

    def _tasks_have_news(self) -> bool:
        """Whether a task has something new; asked the less often, the longer the answer takes."""
        began = time.monotonic()
        if began < self._news_at:
            return False
        found = any(opened.task.has_news() for opened in self._tasks.values())
        self._news_at = time.monotonic() + (time.monotonic() - began) * _LOOKS_APART
        return found

    def _step_uj(self, held_uj: int) -> int:
        """So much more in the bucket is worth another look at what can be tried, µJ."""
        return max(1, least_reserve_uj(self._context, held_uj))

    def _can_grow(self) -> list[Opened]:
        # Before its first intent a task's data set is what its origin says.
        return [one for one in self._tasks.values() if one.known() is not None and one.data.labels]

    def _has_arrived(self) -> bool:
        if time.monotonic() < self._not_before or not self._can_grow():
            return False
        found = self._arrivals.finished()
        for path in found:
            self._arrivals.again(path)
        return bool(found)

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
        if not growing or time.monotonic() < self._not_before or not (paths := self._arrivals.finished()):
            return
        joinings = self._read_all(paths, growing)
        try:
            for name, joining in joinings.items():
                if joining.joined:
                    self._grow(name, joining)
        except StorageError as error:
            # Nothing has changed, and what lies in the folder is still there.
            self._observer.joined(Joined("", problem=error.what))
            self._not_before = time.monotonic() + _LATER_S
            for path in paths:
                self._arrivals.again(path)

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

    def _read_all(self, paths: Sequence[Path], growing: Sequence[Opened]) -> dict[str, Joining]:
        """What may join of files, by task."""
        try:
            joinings = {one.task.name: self._joining(one) for one in growing}
        except ModelError as error:  # nothing joins that cannot be held to its guard
            for path in paths:
                self._observer.joined(Joined(path.name, problem=error.what))
            return {}
        for path in paths:
            self._read(path, joinings)
        return joinings

    def _read(self, path: Path, joinings: Mapping[str, Joining]) -> None:
        try:
            numbered = read_numbered(path)
        except DataError as error:
            self._observer.joined(Joined(path.name, problem=error.what))
            return
        for name, joining in joinings.items():
            count, refused = joining.offer(path.name, numbered)
            self._observer.joined(_said(path.name, name, count, refused))

    def _grow(self, name: str, joining: Joining) -> None:
        opened = self._tasks[name]
        self._waits_for = ""
        self._tasks[name] = self._reopen(opened.task, grow(opened.data, joining.joined))
        self._uncommitted.add(name)


def _said(file: str, task: str, count: int, refused: Sequence[Refused]) -> Joined:
    reasons = [one.why.value for one in refused]
    return Joined(
        file,
        task=task,
        joined=count,
        refused={why: reasons.count(why) for why in sorted(set(reasons))},
        lines={why: [r.line for r in refused if r.why == why][:10] for why in sorted(set(reasons))},
    )


def await_energy(
    context: Context, observer: RunObserver, watching: Watching, seconds: float | None = None
) -> None:
    """Sleep until the bucket holds more than an attempt reserves.

    Args:
        context: the run; where somebody asks it to stop, the sleep ends.
        observer: is told that it waits.
        watching: how it sleeps.
        seconds: most that it sleeps; for ever, without.
    """
    least_uj = context.terms.reserve_uj
    if context.agent.bucket_uj() <= least_uj:
        observer.waiting("budget")
    asked = time.monotonic()
    until = asked + seconds if seconds is not None else float("inf")
    while not context.stop() and time.monotonic() < until:
        if time.monotonic() >= asked:
            if context.agent.bucket_uj() > least_uj:
                return
            asked = time.monotonic() + _ENERGY_S
        watching.sleep(_LOOK_S)


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
            summary = spend(context, parts, observer, now, session, monitoring, pause)
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
            watching.sleep(_ENERGY_S)
    return None
