"""Keeps all sources of the machine added up since it was opened, and hands out attributions.

It reads once a second and at every call; a source that has to be integrated is read more often while
energy is charged to somebody. The reading thread never ends a run: what goes wrong in it is kept as a flag.

Where figures are served to other processes, readings are at least a second apart, so that the meter is
no side channel into what else the machine computes (CVE-2020-8694).
"""

from __future__ import annotations

__all__ = ["Meter"]

import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cryoflux.energy.attribution import Attribution
from cryoflux.energy.baseline import Baseline, limits_of
from cryoflux.energy.channels import Channel, Snapshot, gross_of, gross_total, net_of, net_total, pairs
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.drift import Drift
from cryoflux.energy.interface import Source, SourceSample
from cryoflux.energy.lookout import FOUND_LATE, LateGpus, Lookout, Unseen
from cryoflux.energy.processes import CpuTimes, MachineTimes
from cryoflux.energy.trace import RoundMark
from cryoflux.energy.trace_writer import TraceWriter
from cryoflux.energy.window import Accumulator, Mark
from cryoflux.errors import MeterError, StorageError
from cryoflux.quantities import MICRO, Energy

_LOG = logging.getLogger(__name__)
_PERIOD_S = 1.0
_WATCHED_EVERY_NS = 10 * BILLION
_NOT_WRITTEN = "not-written"
_LONGEST_WAIT_S = 3.0
_REST = 0.01
"""share of the CPUs' time below which the machine counts as at rest"""


class Meter:
    """Cumulative gross and net energy of the machine.

    Args:
        sources: what to read; closed with the meter.
        baseline: has an entry for each source.
        times: the machine's busy time.
        clock: the time.
        flags: what is wrong with every figure of this machine.
        unread_uw: no more than this can flow unseen beside the sources.
        coarse: readings are at least a second apart.
        trace: every round of readings is written to it, of the sources of the start; closed with the meter.
        lookout: looks for GPUs that come later; closed with the meter.
        proc_root: where the kernel's process files are; none where the GPUs are not this machine's.

    Raises:
        MeterError: a source has no baseline.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        baseline: Baseline,
        times: MachineTimes,
        clock: Clock,
        *,
        flags: Sequence[str] = (),
        unread_uw: int = 0,
        coarse: bool = False,
        trace: TraceWriter | None = None,
        lookout: Lookout | None = None,
        proc_root: str | None = None,
    ) -> None:
        self.baseline = baseline
        self.clock = clock
        self._channels = [_channel(source, baseline) for source in sources]
        self._lookout = lookout
        self._unseen: list[Unseen] = []
        self._proc_root = proc_root
        self._times = times
        self._flags = set(flags)
        self._unread_uw = unread_uw
        self._coarse = coarse
        self._trace = trace
        self._traced = len(sources)
        self._meters = [Accumulator(limits_of(source)) for source in sources]
        self._attributions: list[Attribution] = []
        self._charging: set[Attribution] = set()
        self._shared = False
        self._lock = threading.RLock()
        self._read_again = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._start = self._last = self._read()
        self._recent = (self._start, self._start)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The sources with their baselines; those that are found later come last."""
        return tuple(self._channels)

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with all figures."""
        return tuple(sorted(self._flags))

    @property
    def max_power_uw(self) -> int:
        """No more than this can flow through all sources together, and beside them."""
        unread_uw = self._unread_uw + sum(one.power_uw for one in self._unseen if one.until_ns is None)
        return sum(meter.max_power_uw for meter in self._meters) + unread_uw

    @property
    def last(self) -> Snapshot:
        """The last reading."""
        with self._lock:
            return self._last

    def _read(self, mark: RoundMark = "") -> Snapshot:
        readings = [channel.source.read() for channel in self._channels]
        busy, now_ns = self._times.read(), self.clock.monotonic_ns()
        if self._trace is not None:
            self._trace.write(readings[: self._traced], busy=busy, at_ns=now_ns, mark=mark)
        for channel, meter, reading in zip(self._channels, self._meters, readings, strict=True):
            meter.advance(reading, channel.source.max_power_uw)
        marks = tuple(meter.mark() for meter in self._meters)
        devices = [channel.source for channel in self._channels if channel.source.kind == "gpu"]
        users = {source.name: source.users() for source in devices} if self._shared else {}
        return Snapshot(marks, busy, now_ns, users)

    def refresh(self, *, last: bool = False, mark: RoundMark = "") -> Snapshot:
        """Read everything now; where figures are served, what was read within the last second.

        Args:
            last: nobody is told of what comes after it: it is read now in any case, and every process is
                looked for.
            mark: what a trace says of this reading.
        """
        with self._lock:
            if self._coarse and not last and self.clock.monotonic_ns() - self._last.monotonic_ns < BILLION:
                return self._last
            self._take_in(self._lookout.found(self.clock.monotonic_ns()) if self._lookout else None)
            now = self._last = self._read(mark)
            _, newer = self._recent
            if now.monotonic_ns - newer.monotonic_ns >= BILLION:
                self._watch_rest(newer, now)
                self._recent = (newer, now)
            for attribution in self._attributions:
                # Nobody pays by what is only watched, so it need not wake the caches every second.
                if attribution in self._charging or attribution.age_ns(now) >= _WATCHED_EVERY_NS:
                    attribution.advance(now, last=last)
            self._read_again.notify_all()
            return now

    def _take_in(self, found: LateGpus | None) -> None:
        """Meter what was found late from now on."""
        if found is None:
            return
        for source, idle in found.sources:
            meter = Accumulator(limits_of(source))
            meter.advance(source.read())
            self._channels.append(Channel(source, idle, Drift(idle), meter.mark()))
            self._meters.append(meter)
            now_ns = self.clock.monotonic_ns()
            self._unseen.append(Unseen(source.max_power_uw, FOUND_LATE, found.since_ns, now_ns))
        self._unseen += [
            Unseen(problem.max_power_uw, problem.code, found.since_ns, None)
            for problem in found.problems
            if problem.max_power_uw
        ]
        self.baseline = self.baseline.with_idles([idle for _, idle in found.sources])

    def next_reading(self) -> Snapshot:
        """Read everything now; where figures are served, wait for the next second that may be read."""
        with self._lock:
            seen = self._last
            if self._coarse and self._thread is not None:
                self._read_again.wait_for(lambda: self._last is not seen, timeout=_LONGEST_WAIT_S)
            return self.refresh(last=not self._coarse)

    def _watch_rest(self, then: Snapshot, now: Snapshot) -> None:
        # One that was found in between has been there for no second.
        rows = list(zip(self._channels, then.marks, now.marks, strict=False))
        for channel, a, b in rows:
            if channel.source.idle_uw is None and not b.flags_since(a):
                channel.drift.second(_power_uw(a, b))
        if then.busy is None or now.busy is None:
            return
        elapsed_ns = now.monotonic_ns - then.monotonic_ns
        if (now.busy.all_us - then.busy.all_us) * 1000 > _REST * elapsed_ns * len(self._times.cpus):
            return
        for channel, a, b in rows:
            # Whether a GPU rests is not told by the CPUs, and a model at rest is right by definition.
            if channel.source.kind != "gpu" and channel.source.idle_uw is None and not b.flags_since(a):
                channel.drift.rest(_power_uw(a, b))

    def held(self) -> AbstractContextManager[object]:
        """While this is entered nothing is read in the background, so that figures are of one reading."""
        return self._lock

    def attribute(
        self, process: CpuTimes | None, *, carried: Energy | None = None, watch: bool = False
    ) -> Attribution:
        """Start to charge a process, or the machine.

        Args:
            process: whose energy it is; none for the machine's.
            carried: what it had used before.
            watch: only to look at it; sources are not read more often for that.
        """
        with self._lock:
            mark: RoundMark = "" if watch else "begins"
            self._shared = True  # from the first reading on, it has to be known who used a device
            start = self.refresh(mark=mark)
            attribution = Attribution(
                self._channels, start, process, carried=carried, proc_root=self._proc_root
            )
            self._attributions.append(attribution)
            if not watch:
                self._charging.add(attribution)
                self._wake.set()
            return attribution

    def detach(self, attribution: Attribution) -> None:
        """Stop to charge."""
        with self._lock:
            if attribution in self._attributions:
                self._attributions.remove(attribution)
                self._charging.discard(attribution)

    def gross(self, since: Snapshot | None = None, until: Snapshot | None = None) -> Energy:
        """Between two snapshots; from the opening of the meter to the last reading by default."""
        with self._lock:
            then, now = since or self._start, until or self._last
            gross = gross_total(self._channels, then, now)
            return self.qualified(gross, _ns(then, now), now.monotonic_ns)

    def net(self, since: Snapshot | None = None, until: Snapshot | None = None) -> Energy:
        """Between two snapshots, signed; from the opening of the meter to the last reading by default."""
        with self._lock:
            then, now = since or self._start, until or self._last
            net = net_total(self._channels, then, now)
            return self.qualified(net, _ns(then, now), now.monotonic_ns)

    def powers(self) -> tuple[SourceSample, ...]:
        """What each source draws: its average over the last second or two, and all that it gave."""
        with self._lock:
            recent = (mark for _, mark, _ in pairs(self._channels, self._recent[0], self._last))
            since = pairs(self._channels, self._start, self._last)
            rows = ((*ends, before) for ends, before in zip(since, recent, strict=True))
            return tuple(
                SourceSample(
                    name=channel.source.name,
                    kind=channel.source.kind,
                    tier=channel.source.tier,
                    power_w=_watts(before, now, channel),
                    idle_w=channel.idle.idle_uw / MICRO,
                    gross=gross_of(channel, first, now),
                    net=net_of(channel, first, now),
                    flags=now.flags_since(before),
                )
                for channel, first, now, before in rows
            )

    def qualified(self, energy: Energy, elapsed_ns: int, until_ns: int | None = None) -> Energy:
        """A figure of so long a time, with the flags of this machine and what may have flowed unseen.

        Args:
            energy: the figure.
            elapsed_ns: how long its time is.
            until_ns: when that ended; at the last reading by default.
        """
        until_ns = self._last.monotonic_ns if until_ns is None else until_ns
        unseen = [(one, one.ns_between(until_ns - elapsed_ns, until_ns)) for one in self._unseen]
        flags = {*energy.flags, *self.flags, *(one.flag for one, ns in unseen if ns)}
        beside = self._unread_uw * max(elapsed_ns, 0) + sum(one.power_uw * ns for one, ns in unseen)
        hi_uj = energy.hi_uj + -(-beside // BILLION)
        return Energy(energy.uj, energy.lo_uj, hi_uj, energy.tier, tuple(sorted(flags)))

    def start(self, on_second: Callable[[Snapshot], None]) -> None:
        """Read in the background, and call ``on_second`` with what was read about once a second.

        Raises:
            RuntimeError: no thread can be started any more; the flags then say so.
        """
        thread = threading.Thread(target=self._run, args=(on_second,), name="cryoflux-meter", daemon=True)
        self._flags.add("meter-stumbled")
        thread.start()
        self._flags.discard("meter-stumbled")
        self._thread = thread

    def _run(self, on_second: Callable[[Snapshot], None]) -> None:
        # At a random moment of each slot: what is polled so cannot fall into step with a training loop.
        rhythm, moment = random.Random(), 0.0  # noqa: S311
        called_ns = self.clock.monotonic_ns()
        while not self._stopping:
            fastest_s = min((channel.source.poll_s for channel in self._channels), default=_PERIOD_S)
            fast = self._charging and fastest_s < _PERIOD_S
            before, moment = moment, rhythm.random() if fast else 0.0
            self._wake.wait(fastest_s * (1 + moment - before) if fast else _PERIOD_S)
            self._wake.clear()
            try:
                now = self.refresh()
                if now.monotonic_ns - called_ns >= BILLION * 9 // 10:
                    called_ns = now.monotonic_ns
                    on_second(now)
                self._flags.discard(_NOT_WRITTEN)
            except StorageError:
                # What was metered is kept, and written when the disk lets it: nothing is lost by waiting.
                self._flags.add(_NOT_WRITTEN)
            except Exception:  # noqa: BLE001 - a meter that stumbles must not end the run it measures
                _LOG.warning("the meter's thread stumbled", exc_info=True)
                self._flags.add("meter-stumbled")

    def close(self) -> None:
        """Stop reading and let go of the sources."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._lookout is not None:
            self._lookout.close()
        for channel in self._channels:
            channel.source.close()
        if self._trace is not None:
            self._trace.close()


def _channel(source: Source, baseline: Baseline) -> Channel:
    idle = baseline.of(source)
    if idle is None:
        raise MeterError(
            f"{source.name} has no idle baseline.",
            why="Net energy is what is above idle.",
            hint="Run `cryoflux energy baseline`.",
        )
    return Channel(source, idle, Drift(idle))


def _ns(then: Snapshot, now: Snapshot) -> int:
    return now.monotonic_ns - then.monotonic_ns


def _power_uw(then: Mark, now: Mark) -> int:
    return now.since(then).uj * BILLION // max(1, now.elapsed_ns - then.elapsed_ns)


def _watts(then: Mark, now: Mark, channel: Channel) -> float:
    # Before the first interval the idle power is the best that is known.
    if now.elapsed_ns <= then.elapsed_ns:
        return channel.idle.idle_uw / MICRO
    return now.since(then).uj * 1000 / (now.elapsed_ns - then.elapsed_ns)
