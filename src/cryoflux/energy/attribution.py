"""Who pays for what: net energy of the machine, and of one process.

Of each source's net energy (`energy.channels`) a process is charged its share, in blocks of about a second:

- CPU and memory: by CPU time. Idle energy is nobody's. Where the process's CPU time cannot be told, it
  is charged the machine's.
- GPU: by time on the device, where the driver tells whose it was; all of it where only this process
  computes there. Where nobody knows who does, anything from nothing to all of it may be its own: a process
  that has no GPU open for work is charged nothing, any other all, and the interval holds both.

Shares are rounded down to whole microjoules, so what several processes are charged and what nobody is
charged add up to the machine's net energy exactly.
"""

from __future__ import annotations

__all__ = [
    "GPU_USERS_HIDDEN",
    "Attribution",
]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryoflux.energy.channels import (
    Channel,
    Snapshot,
    busy_us_of,
    counter_of,
    figure_of,
    net_between,
    net_total,
    pairs,
    total_of,
    users_of,
)
from cryoflux.energy.clock import BILLION
from cryoflux.energy.device_files import GpuOpeners
from cryoflux.energy.interface import Counter
from cryoflux.energy.processes import CpuTimes, tick_us
from cryoflux.energy.uncertainty import STEP_SHARE, ErrorTerms
from cryoflux.energy.window import BoundedEnergy, Mark
from cryoflux.quantities import Energy

GPU_USERS_HIDDEN = "gpu-users-hidden"
"""flag: who used a GPU is not told, so the process caused anything from nothing to all of its net energy"""
_NONE = ErrorTerms(BoundedEnergy())
_LEAST_UNPLACED_US = 100_000
_UNPLACED_SHARE = 0.02
"""CPU time of a process beyond the machine's that the kernel's ticks explain"""


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
    hidden: bool = False
    """whether it was not told who used the device"""


class Attribution:
    """Net energy since it was made, of one process or, without one, of the machine.

    Args:
        channels: the sources.
        start: where it begins.
        process: whose time counts; none charges the machine's net.
        carried: energy of the same process from before, to be added.
        proc_root: where the kernel's process files are; none where the GPUs are not this machine's.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        start: Snapshot,
        process: CpuTimes | None,
        *,
        carried: Energy | None = None,
        proc_root: str | None = None,
    ) -> None:
        self._channels = channels
        self._start = self._now = start
        self._process = process
        self._carried = carried
        self._flags: set[str] = set() if process else {"unattributed"}
        self._start_us = self._own_us = (process.read_us() if process else None) or 0
        self._final: tuple[Energy, ...] | None = None
        self._openers = GpuOpeners(proc_root)
        self._blocks: list[_Block] = []
        self._begin_blocks()

    def _begin_blocks(self) -> None:
        """Of the sources that have been found since."""
        new = list(pairs(self._channels, self._start, self._now))[len(self._blocks) :]
        for channel, began, _ in new:
            # The first snapshot with a source has the users of its beginning.
            busy_us, users = busy_us_of(channel, self._now), users_of(channel, self._now)
            self._blocks.append(_Block(began, self._own_us, busy_us, users, _NONE))

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
    def until_ns(self) -> int:
        """When the last snapshot was taken."""
        return self._now.monotonic_ns

    @property
    def elapsed_ns(self) -> int:
        """From the start to the last snapshot."""
        return self._now.monotonic_ns - self._start.monotonic_ns

    def age_ns(self, now: Snapshot) -> int:
        """How long ago the last snapshot was taken into account."""
        return now.monotonic_ns - self._now.monotonic_ns

    def counters(self) -> tuple[Counter, ...]:
        """What the sources showed at both ends."""
        rows = pairs(self._channels, self._start, self._now)
        return tuple(counter_of(channel, first, last) for channel, first, last in rows)

    def advance(self, now: Snapshot, *, last: bool = False) -> None:
        """Take a new snapshot into account.

        Args:
            now: the snapshot.
            last: whether every process has to be looked for now.
        """
        if self._final is not None:
            return
        self._now = now
        self._begin_blocks()
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
        rows = pairs(self._channels, self._start, self._now)
        for (channel, _, mark), block in zip(rows, self._blocks, strict=True):
            due = mark.elapsed_ns - block.mark.elapsed_ns >= BILLION and not mark.pending
            if gone or due:
                self._fix(channel, block, mark, gone=gone)
                block.mark, block.own_us = mark, self._own_us
                block.busy_us, block.users = busy_us_of(channel, self._now), users_of(channel, self._now)

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
            users = users_of(channel, self._now)
            # While the device does not answer, those who were there before are.
            users = block.users if users is None and mark.waits_for else users
            return self._of_device(net, users, block, gone=gone)
        now_us = busy_us_of(channel, self._now)
        if gone or now_us is None or block.busy_us is None:
            self._flags.add("unattributed")
            return net.anywhere_up_to()
        return _Shared(net, self._own_us - block.own_us, now_us - block.busy_us)

    def _of_device(
        self, net: ErrorTerms, users: Mapping[int, int] | None, block: _Block, *, gone: bool
    ) -> ErrorTerms:
        if users is None or (not users and self._opened()):
            return self._of_hidden(net, block)
        if gone:
            return net.anywhere_up_to()
        own = users.keys() & (self._process.pids if self._process else frozenset())
        if own and len(own) == len(users):
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

    def _opened(self) -> bool | None:
        """Whether the process has a GPU open for work; none where that cannot be told."""
        if self._process is None:
            return None
        return self._openers.among(self._process.pids, self._now.monotonic_ns)

    def _of_hidden(self, net: ErrorTerms, block: _Block) -> ErrorTerms:
        """What is charged where nobody tells who used the device."""
        self._flags.add(GPU_USERS_HIDDEN)
        block.hidden = True
        return net.anywhere(all_of_it=self._opened() is not False)

    def by_source(self) -> tuple[Energy, ...]:
        """What the process caused so far, signed, source by source; nothing that was carried."""
        if self._final is not None:
            return self._final
        rows = zip(pairs(self._channels, self._start, self._now), self._blocks, strict=True)
        return tuple(self._of_source(channel, block, a, b) for (channel, a, b), block in rows)

    def _of_source(self, channel: Channel, block: _Block, first: Mark, mark: Mark) -> Energy:
        whole = terms = net_between(first, mark, channel)
        if self._process is not None:
            terms = self._charged(channel, block, mark, whole)
        share = min(1.0, max(0.0, terms.amount.uj / whole.amount.uj)) if whole.amount.uj else 1.0
        # Where all of it may be its own, so may all of the source's errors.
        share = 1.0 if block.hidden else share
        return figure_of(terms, channel, first, mark, share=share, ticks_uj=self._ticks_uj(channel, whole))

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
        first_us, now_us = busy_us_of(channel, self._start), busy_us_of(channel, self._now)
        if self._process is None or channel.source.kind == "gpu" or first_us is None or now_us is None:
            return 0.0
        off = STEP_SHARE * math.sqrt(2) * tick_us() / max(1, now_us - first_us)
        return abs(whole.amount.uj) * min(1.0, off)

    def net(self) -> Energy:
        """What the process caused so far, signed."""
        carried = () if self._carried is None else (self._carried,)
        total = total_of((*carried, *self.by_source()))
        flags = tuple(sorted({*total.flags, *self._flags}))
        return Energy(total.uj, total.lo_uj, total.hi_uj, total.tier, flags)

    def machine_net(self) -> Energy:
        """What the whole machine drew above idle in the same time, signed."""
        total = net_total(self._channels, self._start, self._now)
        return total if self._carried is None else total + self._carried
