"""What a recorded trace adds up to: the same joules on every machine, to the microjoule."""

from __future__ import annotations

__all__ = ["Replayed", "ReplayedSource", "replay_trace"]

from dataclasses import dataclass

from cryoflux.energy.baseline import Baseline, Idle, limits_of
from cryoflux.energy.channels import Channel, gross_of, net_of
from cryoflux.energy.drift import Drift
from cryoflux.energy.interface import SourceKind
from cryoflux.energy.sources.replay import TraceSource, replayed
from cryoflux.energy.trace import Trace
from cryoflux.energy.window import Accumulator
from cryoflux.quantities import NANO, Energy, Tier


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """One source of a trace, added up."""

    name: str
    kind: SourceKind
    tier: Tier
    gross: Energy
    net: Energy | None
    """above the frozen baseline; none where there is none for this source"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A whole trace, added up."""

    seconds: float
    readings: int
    sources: tuple[ReplayedSource, ...]
    flags: tuple[str, ...]
    """what is wrong with the trace itself"""


def replay_trace(trace: Trace, baseline: Baseline) -> Replayed:
    """Add up the readings of a trace.

    Args:
        trace: what was recorded.
        baseline: idle power by source; a modelled source brings its own.
    """
    replay = replayed(trace)
    meters = [Accumulator(limits_of(source)) for source in replay.sources]
    _advance(replay.sources, meters)
    first = [meter.mark() for meter in meters]
    while replay.clock.step():
        _advance(replay.sources, meters)
    sources = []
    for source, then, meter in zip(replay.sources, first, meters, strict=True):
        idle = baseline.of(source) or _defined(source)
        channel = Channel(source, idle or _nothing(source), Drift(idle or _nothing(source)))
        now = meter.mark()
        net = net_of(channel, then, now) if idle else None
        sources.append(
            ReplayedSource(source.name, source.kind, source.tier, gross_of(channel, then, now), net)
        )
    seconds = (trace.rounds[-1].monotonic_ns - trace.rounds[0].monotonic_ns) / NANO
    return Replayed(seconds, len(trace.rounds), tuple(sources), replay.flags)


def _advance(sources: tuple[TraceSource, ...], meters: list[Accumulator]) -> None:
    for source, meter in zip(sources, meters, strict=True):
        meter.advance(source.read())


def _defined(source: TraceSource) -> Idle | None:
    return None if source.idle_uw is None else _idle(source, source.idle_uw)


def _nothing(source: TraceSource) -> Idle:
    return _idle(source, 0)


def _idle(source: TraceSource, idle_uw: int) -> Idle:
    return Idle(source.name, source.tier, source.curve, idle_uw, 0, 0, "modelled", "")
