"""What a recorded trace adds up to: what was said when it was recorded, on every machine, to the microjoule.

It is added up by the very meter that measured, over the same readings and between the same two of them.
"""

from __future__ import annotations

__all__ = ["Replayed", "ReplayedSource", "replay_trace"]

from dataclasses import dataclass

from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.channels import Snapshot
from cryoflux.energy.interface import SourceKind
from cryoflux.energy.measured import MachineUse, machine_use
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import Busy, MachineTimes
from cryoflux.energy.sources.replay import TraceClock, TraceSource, replayed
from cryoflux.energy.trace import Part, Trace
from cryoflux.quantities import Energy, Tier


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """One source of a measurement, added up."""

    name: str
    kind: SourceKind
    tier: Tier
    gross: Energy
    net: Energy | None
    """above the frozen baseline; none where there is none for this source"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One measurement of a trace, added up."""

    seconds: float
    readings: int
    """from the first to the last of what was measured"""
    sources: tuple[ReplayedSource, ...]
    gross: Energy
    net: Energy | None
    """of the whole machine; none where there is no baseline for one of the sources"""
    flags: tuple[str, ...]
    """what is wrong with the trace itself"""


def replay_trace(trace: Trace, baseline: Baseline) -> tuple[Replayed, ...]:
    """Add up the readings of each measurement of a trace.

    Args:
        trace: what was recorded.
        baseline: idle power by source, for a trace of before it was recorded too; a modelled source brings
            its own.
    """
    return tuple(_replayed(trace, part, baseline) for part in trace.parts if part.rounds)


def _replayed(trace: Trace, part: Part, otherwise: Baseline) -> Replayed:
    played = replayed(Trace(trace.boot_id, part.wall_s, part.sources, part.rounds))
    known = Baseline(part.conditions.idles) if part.conditions.idles else otherwise
    idles = [known.of(source) or _defined(source) for source in played.sources]
    taken = [idle or _idle(source, 0) for idle, source in zip(idles, played.sources, strict=True)]
    meter = Meter(
        played.sources,
        Baseline(tuple(taken)),
        _RecordedTimes(part, played.clock),
        played.clock,
        flags=part.conditions.flags,
        unread_uw=part.conditions.unread_uw,
    )
    begin, end = _span(part)
    then = now = _stepped(meter, played.clock, begin)
    if end > begin:
        now = _stepped(meter, played.clock, end)
    for source, gain_error in zip(played.sources, part.rounds[end].gain_errors, strict=False):
        source.gain_error = gain_error
    use = machine_use(meter, then, now)
    unended = () if part.rounds[end].mark or not part.conditions.idles else ("trace-unended",)
    return Replayed(
        seconds=use.seconds,
        readings=end - begin + 1,
        sources=_rows(use, idles),
        gross=use.gross,
        net=use.net if all(idles) else None,
        flags=(*trace.flags, *unended),
    )


def _span(part: Part) -> tuple[int, int]:
    """The rounds between which it was measured: all, where they are not marked."""
    begins = [number for number, one in enumerate(part.rounds) if one.mark == "begins"]
    ends = [number for number, one in enumerate(part.rounds) if one.mark == "ends"]
    begin = begins[0] if begins else 0
    return begin, max(begin, ends[-1] if ends else len(part.rounds) - 1)


def _stepped(meter: Meter, clock: TraceClock, number: int) -> Snapshot:
    """The snapshot of that round, once all up to it are read."""
    while clock.position < number and clock.step():
        meter.refresh()
    return meter.last


def _rows(use: MachineUse, idles: list[Idle | None]) -> tuple[ReplayedSource, ...]:
    return tuple(
        ReplayedSource(
            name=channel.source.name,
            kind=channel.source.kind,
            tier=channel.source.tier,
            gross=gross,
            net=net if idle else None,
        )
        for (channel, net, gross), idle in zip(use.rows, idles, strict=True)
    )


class _RecordedTimes(MachineTimes):
    """The busy time of the machine that was recorded."""

    def __init__(self, part: Part, clock: TraceClock) -> None:
        self.cpus = frozenset(range(part.conditions.cpus))
        self.all_cpus = part.conditions.cpus
        self._rounds = part.rounds
        self._clock = clock

    def read(self) -> Busy | None:
        """That of the round that is shown."""
        return self._rounds[self._clock.position].busy

    def close(self) -> None:
        """Nothing to let go of."""


def _defined(source: TraceSource) -> Idle | None:
    return None if source.idle_uw is None else _idle(source, source.idle_uw)


def _idle(source: TraceSource, idle_uw: int) -> Idle:
    return Idle(source.name, source.tier, source.curve, idle_uw, 0, 0, "modelled", "")
