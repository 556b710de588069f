"""What it takes a process to start: CPU-seconds by phase, until a run's first attempt may begin."""

from __future__ import annotations

__all__ = ["Startup", "StartupClock"]

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Startup:
    """What starting has cost: CPU-seconds of this process, all its threads together."""

    cpu_s: float
    """since the run began"""
    before_s: float
    """of the same process before that: the interpreter, and whatever else it did"""
    phases: Mapping[str, float]
    """phase → its part of ``cpu_s``; ``rest`` is the meter, the log, and libraries that are loaded between"""

    def document(self) -> dict[str, Any]:
        """The same for a program."""
        return {
            "cpu_s": round(self.cpu_s, 3),
            "before_s": round(self.before_s, 3),
            "phases": {name: round(cpu_s, 3) for name, cpu_s in self.phases.items()},
        }


class StartupClock:
    """Measures a start as it happens."""

    def __init__(self, cpu_s: Callable[[], float] = time.process_time) -> None:
        """Begin now; ``cpu_s`` tells the CPU-seconds of this process."""
        self._cpu_s = cpu_s
        self._began = cpu_s()
        self._phases: dict[str, float] = {}
        self._done: Startup | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is done meanwhile to a phase; phases follow each other."""
        start = self._cpu_s()
        try:
            yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + self._cpu_s() - start

    def done(self) -> Startup:
        """What it has cost; the first call ends it, and later ones say the same."""
        if self._done is None:
            spent = self._cpu_s() - self._began
            phases = {**self._phases, "rest": max(0.0, spent - sum(self._phases.values()))}
            self._done = Startup(spent, self._began, phases)
        return self._done
