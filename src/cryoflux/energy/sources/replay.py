"""A recorded trace as sources: the same readings give the same energy, on every machine.

- `replayed` is for audits: time is the trace's own and moves on when it is told to, so nothing depends on
  the machine, and a day of readings takes seconds.
- `find_replay` plays a trace in real time from now on, over and over: a meter without hardware. At its end
  it starts over, and a counter that went on through the whole trace goes on (modulo its range). One whose
  epoch changed on the way begins another epoch there.

Readings are never invented between recorded ones: what a source shows is the last recorded one.
"""

from __future__ import annotations

__all__ = ["Replay", "TraceClock", "TraceSource", "find_replay", "replayed"]

from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Reading, SourceKind
from cryoflux.energy.trace import RecordedSource, Trace, read_trace


class TraceClock:
    """The trace's own time: it stands still until somebody waits, or steps to the next round."""

    def __init__(self, trace: Trace) -> None:
        self.boot_id = trace.boot_id
        self._wall_s = trace.wall_s
        self._times_ns = [round_.monotonic_ns for round_ in trace.rounds]
        self._now_ns = self._times_ns[0]
        self._next = 1

    def step(self) -> bool:
        """Go on to the next round; false, and no further, where there is none."""
        if self._next >= len(self._times_ns):
            return False
        self._now_ns = max(self._now_ns, self._times_ns[self._next])
        self._next += 1
        return True

    @property
    def position(self) -> int:
        """The round that is shown now."""
        return self._next - 1

    def monotonic_ns(self) -> int:
        """Nanoseconds on the clock of the recorded machine."""
        return self._now_ns

    def wall_s(self) -> float:
        """Wall time on the recorded machine."""
        return self._wall_s + (self._now_ns - self._times_ns[0]) / BILLION

    def epoch(self) -> str:
        """One for the whole trace; each reading has its own."""
        return self.boot_id

    def sleep(self, seconds: float) -> None:
        """Go on by so long, past as many rounds as lie there."""
        self._now_ns += round(seconds * BILLION)
        self._next = max(self._next, bisect_right(self._times_ns, self._now_ns))


class _Audit:
    """Shows the round that a `TraceClock` is at."""

    def __init__(self, trace: Trace, clock: TraceClock, column: int) -> None:
        self._trace = trace
        self._clock = clock
        self._column = column

    def now(self) -> Reading:
        return self._trace.rounds[self._clock.position].readings[self._column]


class _Live:
    """Shows the last recorded reading of a trace that is played from ``start_ns`` on, over and over."""

    def __init__(self, trace: Trace, clock: Clock, column: int, start_ns: int) -> None:
        self._clock = clock
        self._start_ns = start_ns
        self._readings = [round_.readings[column] for round_ in trace.rounds]
        self._first_ns = trace.rounds[0].monotonic_ns
        self._offsets_ns = [round_.monotonic_ns - self._first_ns for round_ in trace.rounds]
        self._range_uj = trace.sources[column].range_uj
        self._gain_uj, self._check_gain_uj = self._gains()

    def _gains(self) -> tuple[int | None, int]:
        """What one turn adds to the counter, none where it does not go on; and to the check."""
        good = [reading for reading in self._readings if reading.energy_uj is not None]
        checks = [reading.check_uj for reading in self._readings if reading.check_uj is not None]
        check_uj = max(0, checks[-1] - checks[0]) if checks else 0
        if not good or len({reading.epoch for reading in self._readings}) > 1:
            return None, check_uj
        gain_uj = (good[-1].energy_uj or 0) - (good[0].energy_uj or 0)
        return (gain_uj if gain_uj >= 0 or self._range_uj else None), check_uj

    def now(self) -> Reading:
        passed_ns = max(0, self._clock.monotonic_ns() - self._start_ns)
        period_ns = self._offsets_ns[-1]
        turn, within_ns = divmod(passed_ns, period_ns) if period_ns else (0, 0)
        index = bisect_right(self._offsets_ns, within_ns) - 1
        if turn and not self._offsets_ns[index]:
            # The end of a turn and the start of the next are one instant, and one reading.
            turn, index = turn - 1, len(self._offsets_ns) - 1
        return self._shown(self._readings[index], turn, period_ns)

    def _shown(self, recorded: Reading, turn: int, period_ns: int) -> Reading:
        at_ns = self._start_ns + recorded.monotonic_ns - self._first_ns + turn * period_ns
        check_uj = None if recorded.check_uj is None else recorded.check_uj + turn * self._check_gain_uj
        if self._gain_uj is None:
            epoch = f"{recorded.epoch}/turn-{turn}" if turn else recorded.epoch
            return replace(recorded, monotonic_ns=at_ns, epoch=epoch, check_uj=check_uj)
        energy_uj = recorded.energy_uj
        if energy_uj is not None:
            energy_uj += turn * self._gain_uj
            energy_uj = energy_uj % self._range_uj if self._range_uj else energy_uj
        return Reading(energy_uj, at_ns, recorded.epoch, check_uj)


class TraceSource:
    """One source of a trace, with the properties that were recorded."""

    poll_s = 1.0

    def __init__(self, recorded: RecordedSource, player: _Audit | _Live, flags: tuple[str, ...]) -> None:
        self.flags = flags
        """what is wrong with all figures from this trace"""
        self.name = recorded.name
        self.kind: SourceKind = recorded.kind
        self.tier = recorded.tier
        self.range_uj = recorded.range_uj
        self.max_power_uw = recorded.max_power_uw
        self.ceiling_uw = recorded.ceiling_uw
        self.gain_error = recorded.gain_error
        self.resolution_uj = recorded.resolution_uj
        self.update_s = recorded.update_s
        self.curve = recorded.curve
        self.idle_uw = recorded.idle_uw
        self._player = player

    def read(self) -> Reading:
        """The recorded reading of this moment."""
        return self._player.now()

    def users(self) -> None:
        """Not recorded."""

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A trace that is played for an audit."""

    sources: tuple[TraceSource, ...]
    clock: TraceClock
    flags: tuple[str, ...]
    """what is wrong with all figures from it"""


def replayed(trace: Trace) -> Replay:
    """Sources and a clock that show the first round; `TraceClock.step` goes on to the next."""
    clock = TraceClock(trace)
    sources = tuple(
        TraceSource(source, _Audit(trace, clock, column), trace.flags)
        for column, source in enumerate(trace.sources)
    )
    return Replay(sources, clock, trace.flags)


def find_replay(path: Path, clock: Clock) -> tuple[TraceSource, ...]:
    """Sources that play a recorded trace in real time from now on, over and over.

    Raises:
        UsageError: the file is not a whole trace.
    """
    trace = read_trace(path)
    start_ns = clock.monotonic_ns()
    return tuple(
        TraceSource(source, _Live(trace, clock, column, start_ns), trace.flags)
        for column, source in enumerate(trace.sources)
    )
