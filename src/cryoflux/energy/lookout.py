"""Looks again, at a slow pace, for GPUs that came after the meter was opened, with their driver or without.

A look may take seconds, or never end where a driver hangs, so it has a thread of its own: nobody waits for
it, and there is one at a time.
"""

from __future__ import annotations

__all__ = ["FOUND_LATE", "LateGpus", "Lookout", "Unseen"]

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryoflux.energy.baseline import Baseline, Idle, glanced
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Problem, Source
from cryoflux.energy.processes import MachineTimes

_LOG = logging.getLogger(__name__)
_EVERY_NS = 60 * BILLION
FOUND_LATE = "gpu-found-late"
"""flag: what a GPU drew before it was found is not in the estimate, only in the interval"""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Power that may have flowed beside what was measured."""

    power_uw: int
    flag: str
    from_ns: int
    until_ns: int | None
    """none where it may still flow"""

    def ns_between(self, then_ns: int, now_ns: int) -> int:
        """For how long it may have flowed in a window."""
        until_ns = now_ns if self.until_ns is None else min(now_ns, self.until_ns)
        return max(0, until_ns - max(then_ns, self.from_ns))


@dataclass(frozen=True, slots=True)
class LateGpus:
    """What a look found."""

    sources: tuple[tuple[Source, Idle], ...]
    """with the idle power of each"""
    problems: tuple[Problem, ...]
    """of GPUs that cannot be measured"""
    since_ns: int
    """when it was looked before: they may have been there from then on"""


class _Search(Protocol):
    def look(self) -> tuple[Sequence[Source], Sequence[Problem]]:
        """What was not there at the look before, and why others are not used."""
        ...


class Lookout:
    """Asks for more sources once a minute.

    Args:
        search: has looked before.
        baseline: has the idle power of a GPU that was here before; that of another is glanced at.
        times: the machine's busy time.
        clock: the time.
        looked_ns: when was looked before.
    """

    def __init__(
        self, search: _Search, baseline: Baseline, times: MachineTimes, clock: Clock, looked_ns: int
    ) -> None:
        self._search = search
        self._baseline = baseline
        self._times = times
        self._clock = clock
        self._looked_ns = looked_ns
        self._found: list[LateGpus] = []
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def found(self, now_ns: int) -> LateGpus | None:
        """What a look has found that nobody has been told of yet; begins the next one where it is due."""
        if self._thread is not None and self._thread.is_alive():
            return None
        if self._found:
            return self._found.pop()
        if now_ns - self._looked_ns >= _EVERY_NS:
            since_ns, self._looked_ns = self._looked_ns, now_ns
            self._thread = threading.Thread(
                target=self._look, args=(since_ns,), name="cryoflux-lookout", daemon=True
            )
            self._thread.start()
        return None

    def _look(self, since_ns: int) -> None:
        try:
            sources, problems = self._search.look()
            if sources or problems:
                idles = [(source, self._idle(source)) for source in sources]
                self._keep(LateGpus(tuple(idles), tuple(problems), since_ns))
        except Exception:  # noqa: BLE001 - whatever a driver does, it must not end the work that is measured
            _LOG.warning("looking for GPUs failed", exc_info=True)

    def _keep(self, found: LateGpus) -> None:
        with self._lock:
            if not self._closed:
                self._found.append(found)
                return
        _close(found)

    def _idle(self, source: Source) -> Idle:
        known = self._baseline.of(source)
        if known is not None:
            return known
        # Its user may be at work already: what is glanced at is doubted, and not stored.
        (idle,) = glanced([source], self._times, self._clock, random.Random(0))  # noqa: S311
        return idle

    def close(self) -> None:
        """Let go of what nobody was told of; a look that still goes on is not waited for."""
        with self._lock:
            self._closed, found = True, [*self._found]
            self._found.clear()
        for one in found:
            _close(one)


def _close(found: LateGpus) -> None:
    for source, _ in found.sources:
        source.close()
