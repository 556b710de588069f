"""Which part of the machine's net energy one process caused.

Net is gross less the frozen idle power times the time, signed. Of CPU and memory, a process is charged
the share that its CPU time has in the machine's busy time, block by block of a second or more; of GPUs,
all of it. Where a share cannot be known the machine's net is charged and flagged ``unattributed``.
"""

from __future__ import annotations

__all__ = ["Attribution", "Channel", "Snapshot", "figure", "gross_total", "net_between", "net_total"]

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryoflux.energy.baseline import Idle
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import Source
from cryoflux.energy.processes import Busy, ProcessTimes
from cryoflux.energy.window import Mark, Span
from cryoflux.quantities import Energy, Tier


@dataclass(frozen=True, slots=True)
class Channel:
    """A source with its frozen idle baseline."""

    source: Source
    idle: Idle


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All sources and the machine's busy time at one instant."""

    marks: tuple[Mark, ...]
    busy: Busy | None
    monotonic_ns: int


def net_between(then: Mark, now: Mark, idle: Idle) -> Span:
    """Net energy between two marks of one source, with the baseline's error, before gain."""
    gross = now.since(then)
    # Differences of rounded totals, so that slices add up to the whole to the microjoule.
    rest_uj = idle.idle_uw * now.elapsed_ns // BILLION - idle.idle_uw * then.elapsed_ns // BILLION
    slack_uj = idle.error_uw * (now.elapsed_ns - then.elapsed_ns) // BILLION
    return Span(gross.uj - rest_uj, gross.lo_uj - rest_uj - slack_uj, gross.hi_uj - rest_uj + slack_uj)


def figure(span: Span, source: Source, flags: Iterable[str] = ()) -> Energy:
    """A span as a figure of its source: gain error and one counter step at the ends go in."""
    low, high = source.gain_error
    least_uj, most_uj = span.lo_uj - source.resolution_uj, span.hi_uj + source.resolution_uj
    lo_uj = min(span.uj, math.floor(least_uj * (low if least_uj > 0 else high)))
    hi_uj = max(span.uj, math.ceil(most_uj * (high if most_uj > 0 else low)))
    return Energy(span.uj, lo_uj, hi_uj, source.tier, tuple(sorted(flags)))


def _total(figures: Iterable[Energy]) -> Energy:
    return Energy.total(figures) or Energy(0, 0, 0, Tier.MODELLED, ("no-source",))


def gross_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave between two snapshots."""
    rows = zip(channels, then.marks, now.marks, strict=True)
    figures = [figure(b.since(a), channel.source, b.flags_since(a)) for channel, a, b in rows]
    total = _total(figures)
    return Energy(total.uj, max(0, total.lo_uj), total.hi_uj, total.tier, total.flags)


def net_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave above idle between two snapshots, signed."""
    rows = zip(channels, then.marks, now.marks, strict=True)
    return _total(
        figure(net_between(a, b, channel.idle), channel.source, b.flags_since(a)) for channel, a, b in rows
    )


@dataclass(slots=True)
class _Block:
    """Since when the share of one channel has not been fixed yet."""

    mark: Mark
    own_us: int
    busy_us: int | None
    done: Span


class Attribution:
    """Net energy since it was made, of one process or, without one, of the machine.

    Args:
        channels: the sources.
        start: where it begins.
        process: whose CPU time counts; none charges the machine's net.
        carried: energy of the same process from before, to be added.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        start: Snapshot,
        process: ProcessTimes | None,
        *,
        carried: Energy | None = None,
    ) -> None:
        self._channels = channels
        self._start = self._now = start
        self._process = process
        self._carried = carried
        self._flags: set[str] = set() if process else {"unattributed"}
        self._start_us = self._own_us = (process.read_us() if process else None) or 0
        self._open = True
        self._blocks = [
            _Block(mark, self._own_us, _busy_us(channel, start), Span())
            for channel, mark in zip(channels, start.marks, strict=True)
        ]

    @property
    def process(self) -> ProcessTimes | None:
        """Whose CPU time counts."""
        return self._process

    @property
    def cpu_us(self) -> int:
        """CPU time of the process since the start, µs."""
        return self._own_us - self._start_us

    @property
    def elapsed_ns(self) -> int:
        """From the start to the last snapshot."""
        return self._now.monotonic_ns - self._start.monotonic_ns

    def advance(self, now: Snapshot) -> None:
        """Take a new snapshot into account."""
        if not self._open:
            return
        self._now = now
        if self._process is None:
            return
        own_us = self._process.read_us()
        if own_us is None:
            # It can cause nothing any more; how much it did in its last block nobody knows.
            self._flags |= {"process-gone", "unattributed"}
            self._open = False
            self._fix_all(gone=True)
            return
        self._own_us = own_us
        self._fix_all(gone=False)

    def _fix_all(self, *, gone: bool) -> None:
        for channel, block, mark in zip(self._channels, self._blocks, self._now.marks, strict=True):
            due = mark.elapsed_ns - block.mark.elapsed_ns >= BILLION and not mark.pending
            if channel.source.kind != "gpu" and (gone or due):
                block.done = block.done + self._portion(channel, block, mark, gone=gone)
                block.mark, block.own_us = mark, self._own_us
                block.busy_us = _busy_us(channel, self._now)

    def _portion(self, channel: Channel, block: _Block, mark: Mark, *, gone: bool = False) -> Span:
        net = net_between(block.mark, mark, channel.idle)
        now_us = _busy_us(channel, self._now)
        if gone or now_us is None or block.busy_us is None:
            self._flags.add("unattributed")
            return Span(max(0, net.uj), min(0, net.lo_uj), max(0, net.hi_uj))
        own_us, busy_us = self._own_us - block.own_us, now_us - block.busy_us
        if own_us <= 0:
            return Span()
        if own_us >= busy_us:
            return net
        return Span(*(part * own_us // busy_us for part in (net.uj, net.lo_uj, net.hi_uj)))

    def net(self) -> Energy:
        """What the process caused so far, signed."""
        figures = [] if self._carried is None else [self._carried]
        rows = zip(self._channels, self._blocks, self._start.marks, self._now.marks, strict=True)
        for channel, block, first, mark in rows:
            if self._process is None or channel.source.kind == "gpu":
                span = net_between(first, mark, channel.idle)
            elif self._open:
                span = block.done + self._portion(channel, block, mark)
            else:
                span = block.done
            figures.append(figure(span, channel.source, mark.flags_since(first)))
        total = _total(figures)
        flags = tuple(sorted({*total.flags, *self._flags}))
        return Energy(total.uj, total.lo_uj, total.hi_uj, total.tier, flags)

    def machine_net(self) -> Energy:
        """What the whole machine drew above idle in the same time, signed."""
        total = net_total(self._channels, self._start, self._now)
        return total if self._carried is None else total + self._carried


def _busy_us(channel: Channel, snapshot: Snapshot) -> int | None:
    if snapshot.busy is None:
        return None
    # The model covers the allowed CPUs, a hardware counter covers all of them.
    modelled = channel.source.tier is Tier.MODELLED
    return snapshot.busy.allowed_us if modelled else snapshot.busy.all_us
