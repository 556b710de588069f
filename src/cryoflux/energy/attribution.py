"""Who pays for what: net energy of the machine, and of one process.

Net energy is gross energy less idle power times time, signed: clipping it would mint joules out of
noise. Of each source's net energy a process is charged its share, in blocks of about a second:

- CPU and memory: by CPU time. Idle energy is nobody's. Where the process's CPU time cannot be told, it
  is charged the machine's.
- GPU: by time on the device, where the driver tells whose it was; all of it where only this process
  computes there, or where nobody knows who does.

Shares are rounded down to whole microjoules, so what several processes are charged and what nobody is
charged add up to the machine's net energy exactly.
"""

from __future__ import annotations

__all__ = [
    "Attribution",
    "Channel",
    "Snapshot",
    "gross_of",
    "gross_total",
    "net_of",
    "net_total",
]

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryoflux.energy.baseline import Idle
from cryoflux.energy.clock import BILLION
from cryoflux.energy.drift import Drift
from cryoflux.energy.interface import Counter, Source
from cryoflux.energy.processes import Busy, CpuTimes, tick_us
from cryoflux.energy.uncertainty import (
    CHECK_DISAGREES,
    STEP_SHARE,
    ErrorTerms,
    counter_against_power,
    edge_uj,
    interval,
)
from cryoflux.energy.window import BoundedEnergy, Mark
from cryoflux.quantities import Energy, Tier

_NONE = ErrorTerms(BoundedEnergy())
_LEAST_UNPLACED_US = 100_000
_UNPLACED_SHARE = 0.02
"""CPU time of a process beyond the machine's that the kernel's ticks explain"""


@dataclass(frozen=True, slots=True)
class Channel:
    """A source with its frozen idle baseline, and how far that has drifted."""

    source: Source
    idle: Idle
    drift: Drift


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All sources and the machine's busy time at one instant."""

    marks: tuple[Mark, ...]
    busy: Busy | None
    monotonic_ns: int
    users: Mapping[str, Mapping[int, int] | None] = field(default_factory=dict)
    """source → process number → its time on the device, µs; none where that is not told"""


def net_between(then: Mark, now: Mark, channel: Channel) -> ErrorTerms:
    """Net energy between two marks of one source, with the baseline's error."""
    gross = now.since(then)
    idle_uw = channel.idle.idle_uw
    # Differences of rounded totals, so that slices add up to the whole to the microjoule.
    rest_uj = idle_uw * now.elapsed_ns // BILLION - idle_uw * then.elapsed_ns // BILLION
    elapsed_ns = now.elapsed_ns - then.elapsed_ns
    slack_uj = channel.drift.error_uw * elapsed_ns // BILLION
    doubt_uj = -(-channel.drift.doubt_uw * elapsed_ns // BILLION)
    return ErrorTerms(gross + BoundedEnergy(-rest_uj, -rest_uj, doubt_uj - rest_uj), slack_uj)


def _figure(
    terms: ErrorTerms, channel: Channel, then: Mark, now: Mark, *, share: float = 1.0, ticks_uj: float = 0.0
) -> Energy:
    flags = {*now.flags_since(then), *channel.drift.flags}
    more_uj = round(counter_against_power(then, now) * share)
    if more_uj:
        flags.add(CHECK_DISAGREES)
        amount = BoundedEnergy(0, min(0, more_uj), max(0, more_uj))
        terms = ErrorTerms(terms.amount + amount, terms.idle_uj)
    edge = math.hypot(edge_uj(channel.source, then, now) * share, ticks_uj)
    return interval(terms, edge, channel.source, tuple(sorted(flags)))


def gross_of(channel: Channel, then: Mark, now: Mark) -> Energy:
    """What one source gave between two marks."""
    gross = _figure(ErrorTerms(now.since(then)), channel, then, now)
    return Energy(gross.uj, max(0, gross.lo_uj), gross.hi_uj, gross.tier, gross.flags)


def net_of(channel: Channel, then: Mark, now: Mark) -> Energy:
    """What one source gave above idle between two marks, signed."""
    return _figure(net_between(then, now, channel), channel, then, now)


def _total(figures: Iterable[Energy]) -> Energy:
    return Energy.total(figures) or Energy(0, 0, 0, Tier.MODELLED, ("no-source",))


def gross_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave between two snapshots."""
    rows = zip(channels, then.marks, now.marks, strict=True)
    return _total(gross_of(channel, a, b) for channel, a, b in rows)


def net_total(channels: Sequence[Channel], then: Snapshot, now: Snapshot) -> Energy:
    """What all sources gave above idle between two snapshots, signed."""
    rows = zip(channels, then.marks, now.marks, strict=True)
    return _total(net_of(channel, a, b) for channel, a, b in rows)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A block of energy that is shared by CPU time."""

    net: ErrorTerms
    own_us: int
    busy_us: int

    def portion(self, own_us: int) -> ErrorTerms:
        """What so much CPU time of the block is charged."""
        if own_us <= 0:
            return _NONE
        return self.net if own_us >= self.busy_us else self.net.portion(own_us, self.busy_us)


def _spread(blocks: Sequence[_Shared]) -> tuple[ErrorTerms, int]:
    """What all blocks are charged, and CPU time that belongs to none of them, µs.

    Time of a process that was found late shows up in one block, and was spent in it or in those before, as
    far as the machine was busy in them beyond what is known: from the newest to the oldest.
    """
    charged, late_us = _NONE, 0
    for block in reversed(blocks):
        due_us = block.own_us + late_us
        late_us = max(0, due_us - block.busy_us)
        charged = charged + block.portion(due_us)
    return charged, late_us


@dataclass(slots=True)
class _Block:
    """Since when the share of one channel has not been fixed yet."""

    mark: Mark
    own_us: int
    busy_us: int | None
    users: Mapping[int, int] | None
    done: ErrorTerms
    late: list[_Shared] = field(default_factory=list)
    """blocks since the last look for processes, the oldest first: one found later may have run in them"""
    unplaced_us: int = 0
    """CPU time that fits into no block"""


class Attribution:
    """Net energy since it was made, of one process or, without one, of the machine.

    Args:
        channels: the sources.
        start: where it begins.
        process: whose time counts; none charges the machine's net.
        carried: energy of the same process from before, to be added.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        start: Snapshot,
        process: CpuTimes | None,
        *,
        carried: Energy | None = None,
    ) -> None:
        self._channels = channels
        self._start = self._now = start
        self._process = process
        self._carried = carried
        self._flags: set[str] = set() if process else {"unattributed"}
        self._start_us = self._own_us = (process.read_us() if process else None) or 0
        self._final: tuple[Energy, ...] | None = None
        self._blocks = [
            _Block(mark, self._own_us, _busy_us(channel, start), _users(channel, start), _NONE)
            for channel, mark in zip(channels, start.marks, strict=True)
        ]

    @property
    def start(self) -> Snapshot:
        """Where it begins."""
        return self._start

    @property
    def process(self) -> CpuTimes | None:
        """Whose time counts."""
        return self._process

    @property
    def cpu_us(self) -> int:
        """CPU time of the process since the start, µs."""
        return self._own_us - self._start_us

    @property
    def elapsed_ns(self) -> int:
        """From the start to the last snapshot."""
        return self._now.monotonic_ns - self._start.monotonic_ns

    def age_ns(self, now: Snapshot) -> int:
        """How long ago the last snapshot was taken into account."""
        return now.monotonic_ns - self._now.monotonic_ns

    def counters(self) -> tuple[Counter, ...]:
        """What the sources showed at both ends."""
        rows = zip(self._channels, self._start.marks, self._now.marks, strict=True)
        return tuple(_counter(channel, first, last) for channel, first, last in rows)

    def advance(self, now: Snapshot, *, last: bool = False) -> None:
        """Take a new snapshot into account.

        Args:
            now: the snapshot.
            last: whether every process has to be looked for now.
        """
        if self._final is not None:
            return
        self._now = now
        if self._process is None:
            return
        own_us = self._process.read_us(None if last else now.monotonic_ns)
        if own_us is None:
            # It can cause nothing any more; how much it did in its last block nobody knows.
            self._flags |= {"process-gone", "unattributed"}
            self._fix_all(gone=True)
            self._final = self.by_source()
            return
        self._own_us = own_us
        self._fix_all(gone=False)

    def _fix_all(self, *, gone: bool) -> None:
        for channel, block, mark in zip(self._channels, self._blocks, self._now.marks, strict=True):
            due = mark.elapsed_ns - block.mark.elapsed_ns >= BILLION and not mark.pending
            if gone or due:
                self._fix(channel, block, mark, gone=gone)
                block.mark, block.own_us = mark, self._own_us
                block.busy_us, block.users = _busy_us(channel, self._now), _users(channel, self._now)

    def _fix(self, channel: Channel, block: _Block, mark: Mark, *, gone: bool) -> None:
        found = self._portion(channel, block, mark, gone=gone)
        if isinstance(found, _Shared):
            block.late.append(found)
        else:
            block.done = block.done + found
        if gone or self._process is None or self._process.looked_ns in {None, self._now.monotonic_ns}:
            charged, left_us = _spread(block.late)
            block.done, block.unplaced_us = block.done + charged, block.unplaced_us + left_us
            block.late = []

    def _portion(
        self, channel: Channel, block: _Block, mark: Mark, *, gone: bool = False
    ) -> ErrorTerms | _Shared:
        """What a block is charged, or by what it is shared."""
        net = net_between(block.mark, mark, channel)
        if channel.source.kind == "gpu":
            return net.anywhere_up_to() if gone else self._of_device(net, channel, block)
        now_us = _busy_us(channel, self._now)
        if gone or now_us is None or block.busy_us is None:
            self._flags.add("unattributed")
            return net.anywhere_up_to()
        return _Shared(net, self._own_us - block.own_us, now_us - block.busy_us)

    def _of_device(self, net: ErrorTerms, channel: Channel, block: _Block) -> ErrorTerms:
        users = _users(channel, self._now)
        if users is None or self._process is None:
            return net
        own = users.keys() & self._process.pids
        if len(own) == len(users):
            return net
        if not own:
            return _NONE
        self._flags.add("gpu-shared")
        # Of what was used before this block nobody told, nothing can be said.
        before = users if block.users is None else block.users
        used_us = {pid: max(0, us - before.get(pid, 0)) for pid, us in users.items()}
        all_us, own_us = sum(used_us.values()), sum(used_us[pid] for pid in own)
        if all_us:
            return net.portion(own_us, all_us)
        self._flags.add("unattributed")
        return net.anywhere_up_to()

    def by_source(self) -> tuple[Energy, ...]:
        """What the process caused so far, signed, source by source; nothing that was carried."""
        if self._final is not None:
            return self._final
        rows = zip(self._channels, self._blocks, self._start.marks, self._now.marks, strict=True)
        return tuple(self._of_source(*row) for row in rows)

    def _of_source(self, channel: Channel, block: _Block, first: Mark, mark: Mark) -> Energy:
        whole = terms = net_between(first, mark, channel)
        if self._process is not None:
            terms = self._charged(channel, block, mark, whole)
        share = min(1.0, max(0.0, terms.amount.uj / whole.amount.uj)) if whole.amount.uj else 1.0
        return _figure(terms, channel, first, mark, share=share, ticks_uj=self._ticks_uj(channel, whole))

    def _charged(self, channel: Channel, block: _Block, mark: Mark, whole: ErrorTerms) -> ErrorTerms:
        """What was charged up to a mark; up to all that nobody was, where CPU time fits nowhere."""
        terms, open_blocks = block.done, list(block.late)
        if block.mark is not mark:
            found = self._portion(channel, block, mark)
            if isinstance(found, _Shared):
                open_blocks.append(found)
            else:
                terms = terms + found
        charged, left_us = _spread(open_blocks)
        terms, left_us = terms + charged, left_us + block.unplaced_us
        if left_us <= max(_LEAST_UNPLACED_US, _UNPLACED_SHARE * self.cpu_us):
            return terms
        self._flags.add("cpu-time-unplaced")
        rest_uj = max(0, whole.amount.hi_uj - terms.amount.uj)
        return ErrorTerms(terms.amount + BoundedEnergy(0, 0, rest_uj), terms.idle_uj)

    def _ticks_uj(self, channel: Channel, whole: ErrorTerms) -> float:
        """What a tick of CPU time more or less at both ends would change, µJ."""
        first_us, now_us = _busy_us(channel, self._start), _busy_us(channel, self._now)
        if self._process is None or channel.source.kind == "gpu" or first_us is None or now_us is None:
            return 0.0
        off = STEP_SHARE * math.sqrt(2) * tick_us() / max(1, now_us - first_us)
        return abs(whole.amount.uj) * min(1.0, off)

    def net(self) -> Energy:
        """What the process caused so far, signed."""
        carried = () if self._carried is None else (self._carried,)
        total = _total((*carried, *self.by_source()))
        flags = tuple(sorted({*total.flags, *self._flags}))
        return Energy(total.uj, total.lo_uj, total.hi_uj, total.tier, flags)

    def machine_net(self) -> Energy:
        """What the whole machine drew above idle in the same time, signed."""
        total = net_total(self._channels, self._start, self._now)
        return total if self._carried is None else total + self._carried


def _counter(channel: Channel, first: Mark, last: Mark) -> Counter:
    a, b = first.reading, last.reading
    return Counter(
        source=channel.source.name,
        first_uj=a.energy_uj if a else None,
        last_uj=b.energy_uj if b else None,
        first_epoch=a.epoch if a else "",
        last_epoch=b.epoch if b else "",
    )


def _users(channel: Channel, snapshot: Snapshot) -> Mapping[int, int] | None:
    return snapshot.users.get(channel.source.name)


def _busy_us(channel: Channel, snapshot: Snapshot) -> int | None:
    if snapshot.busy is None:
        return None
    # The model covers the allowed CPUs, a hardware counter covers all of them.
    modelled = channel.source.tier is Tier.MODELLED
    return snapshot.busy.allowed_us if modelled else snapshot.busy.all_us
