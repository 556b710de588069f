"""A meter beside a training that somebody else runs: it is told what goes on, and nobody waits for it.

- Every reading is made in a thread of its own. Whoever trains puts marks into a bounded queue; where that is
  full, a mark is dropped and counted, never waited for.
- What was seen last is a frozen value that anybody may take at any time.
- A meter that freezes takes nothing with it: its thread is a daemon, and each wait for it has an end.
"""

from __future__ import annotations

__all__ = ["MeterBeside", "PartCost", "SeenSoFar"]

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, Full, Queue
from time import monotonic

from cryoflux.energy.measured import Measured
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.quantities import Energy

_MARKS = 256
"""that may wait: a trainer makes a few a second, so these are minutes of a meter that does not answer"""
_MOST_PARTS = 2000
"""that are told apart; what comes later is in the total alone"""


@dataclass(frozen=True, slots=True)
class PartCost:
    """What all stretches of one name have cost together."""

    track: str
    """``phase`` or ``epoch``: stretches of one track follow each other, those of two overlap"""
    name: str
    energy: Energy
    seconds: float
    stretches: int


@dataclass(frozen=True, slots=True)
class SeenSoFar:
    """What the meter has shown last."""

    measured: Measured | None = None
    """since the beginning; none before the first reading"""
    parts: tuple[PartCost, ...] = ()
    """those that have ended, in the order in which they first did"""
    at: float = 0.0
    """monotonic seconds of the reading"""
    final: bool = False
    """whether the measurement ended as it should"""


@dataclass(frozen=True, slots=True)
class _Mark:
    track: str
    name: str
    """that begins; empty where only the one before ends"""


class MeterBeside:
    """Meters this process until it is closed.

    Args:
        begun: makes the measurement; it is entered in the meter's own thread.
        budget_uj: `over` is set when this is spent, by the middle of the figure; none for no end.
        look_s: seconds between two readings.
    """

    def __init__(
        self,
        begun: Callable[[], EnergyMeasurement] = EnergyMeasurement,
        *,
        budget_uj: int | None = None,
        look_s: float = 0.25,
    ) -> None:
        self.over = threading.Event()
        """set when the budget is spent"""
        self.dropped = 0
        """marks that found the queue full"""
        self.problem = ""
        """why the meter ended early; empty where it did not"""
        self.seen = SeenSoFar()
        self._begun, self._budget_uj, self._look_s = begun, budget_uj, look_s
        self._marks: Queue[_Mark] = Queue(_MARKS)
        self._ready, self._closing, self._done = threading.Event(), threading.Event(), threading.Event()
        self._open: dict[str, ExitStack] = {}
        self._parts: dict[tuple[str, str], PartCost] = {}
        self._thread = threading.Thread(target=self._work, name="cryoflux-meter", daemon=True)

    def start(self, wait_s: float) -> bool:
        """Begin, and wait at most so long for the first reading; whether it came."""
        self._thread.start()
        return self._ready.wait(wait_s) and not self.problem

    def begin(self, track: str, name: str) -> None:
        """From now on it is this; what the track had before has ended."""
        self._tell(_Mark(track, name))

    def end(self, track: str) -> None:
        """What the track has ends now."""
        self._tell(_Mark(track, ""))

    def _tell(self, mark: _Mark) -> None:
        try:
            self._marks.put_nowait(mark)
        except Full:
            self.dropped += 1

    def silent_s(self) -> float:
        """Seconds since the meter last answered; 0 before its first reading."""
        return monotonic() - self.seen.at if self.seen.at else 0.0

    def close(self, wait_s: float) -> bool:
        """End, and wait at most so long for the last reading; whether it came."""
        self._closing.set()
        return self._done.wait(wait_s) and self.seen.final

    def _work(self) -> None:
        try:
            with self._begun() as measurement:
                self._look(measurement)
                self._ready.set()
                self._follow(measurement)
            if measurement.result is not None:
                parts = tuple(self._parts.values())
                self.seen = SeenSoFar(measurement.result, parts, monotonic(), final=True)
        except Exception as error:  # noqa: BLE001 - the training that it stands beside must not hear of it
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()
            self._done.set()

    def _follow(self, measurement: EnergyMeasurement) -> None:
        while True:
            try:
                mark = self._marks.get(timeout=self._look_s)
            except Empty:
                if self._closing.is_set():
                    break
            else:
                self._turn(measurement, mark)
                if not self._marks.empty() or self._closing.is_set():
                    continue
            self._look(measurement)
        for track in tuple(self._open):
            self._turn(measurement, _Mark(track, ""))

    def _turn(self, measurement: EnergyMeasurement, mark: _Mark) -> None:
        """End what a track has, and begin what comes."""
        if (before := self._open.pop(mark.track, None)) is not None:
            before.close()
        for both in tuple(measurement.windows):
            track, _, name = both.partition("\n")
            for found in measurement.windows.pop(both):
                self._add(track, name, found)
        if mark.name:
            stack = self._open[mark.track] = ExitStack()
            stack.enter_context(measurement.window(f"{mark.track}\n{mark.name}"))

    def _add(self, track: str, name: str, found: Measured) -> None:
        known = self._parts.get((track, name))
        if known is not None:
            energy, seconds = known.energy + found.energy, known.seconds + found.seconds
            self._parts[track, name] = PartCost(track, name, energy, seconds, known.stretches + 1)
        elif len(self._parts) < _MOST_PARTS:
            self._parts[track, name] = PartCost(track, name, found.energy, found.seconds, 1)

    def _look(self, measurement: EnergyMeasurement) -> None:
        found = measurement.so_far()
        self.seen = SeenSoFar(found, tuple(self._parts.values()), monotonic())
        if self._budget_uj is not None and found.energy.uj >= self._budget_uj:
            self.over.set()
