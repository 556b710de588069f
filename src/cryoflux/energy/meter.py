"""Keeps all sources of the machine added up since it was opened, and hands out attributions.

It reads once a second and at every call; a source that has to be integrated is read more often. The
reading thread never ends a run: what goes wrong in it is kept as a flag.
"""

from __future__ import annotations

__all__ = ["Meter"]

import logging
import random
import threading
from collections.abc import Callable, Sequence

from cryoflux.energy.attribution import Attribution, Channel, Snapshot, gross_total, net_total
from cryoflux.energy.baseline import Baseline, limits_of
from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.interface import Source, SourceSample
from cryoflux.energy.processes import MachineTimes, ProcessTimes
from cryoflux.energy.window import Accumulator
from cryoflux.errors import MeterError
from cryoflux.quantities import MICRO, Energy

_LOG = logging.getLogger(__name__)


class Meter:
    """Cumulative gross and net energy of the machine.

    Args:
        sources: what to read; closed with the meter.
        baseline: has an entry for each source.
        times: the machine's busy time.
        clock: the time.
        flags: what is wrong with all figures of this machine.
        unread_uw: so much may flow beside the sources without being seen.
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
    ) -> None:
        self.baseline = baseline
        self.clock = clock
        self._times = times
        self._flags = set(flags)
        self._unread_uw = unread_uw
        self._lock = threading.RLock()
        self._channels = tuple(_channel(source, baseline) for source in sources)
        self._meters = [Accumulator(limits_of(source)) for source in sources]
        self._attributions: list[Attribution] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._start = self._read()
        self._recent = (self._start, self._start)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The sources with their baselines."""
        return self._channels

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with all figures."""
        return tuple(sorted(self._flags))

    @property
    def max_power_uw(self) -> int:
        """No more than this can flow through all sources together, and beside them."""
        return sum(channel.source.max_power_uw for channel in self._channels) + self._unread_uw

    def _read(self) -> Snapshot:
        for channel, meter in zip(self._channels, self._meters, strict=True):
            meter.advance(channel.source.read())
        marks = tuple(meter.mark() for meter in self._meters)
        return Snapshot(marks, self._times.read(), self.clock.monotonic_ns())

    def refresh(self) -> Snapshot:
        """Read everything now."""
        with self._lock:
            now = self._read()
            _, newer = self._recent
            if now.monotonic_ns - newer.monotonic_ns >= BILLION:
                self._recent = (newer, now)
            for attribution in self._attributions:
                attribution.advance(now)
            return now

    def attribute(self, process: ProcessTimes | None, *, carried: Energy | None = None) -> Attribution:
        """Start to charge a process, or the machine."""
        with self._lock:
            attribution = Attribution(self._channels, self.refresh(), process, carried=carried)
            self._attributions.append(attribution)
            return attribution

    def detach(self, attribution: Attribution) -> None:
        """Stop to charge."""
        with self._lock:
            if attribution in self._attributions:
                self._attributions.remove(attribution)

    def gross(self) -> Energy:
        """Since the meter was opened, up to the last reading."""
        with self._lock:
            now = self._latest()
            return self.qualified(gross_total(self._channels, self._start, now), _ns(self._start, now))

    def net(self, since: Snapshot | None = None, until: Snapshot | None = None) -> Energy:
        """Between two snapshots, signed; from the opening of the meter to the last reading by default."""
        with self._lock:
            then, now = since or self._start, until or self._latest()
            return self.qualified(net_total(self._channels, then, now), _ns(then, now))

    def powers(self) -> tuple[SourceSample, ...]:
        """What each source draws: its average over the last second or two."""
        with self._lock:
            then, now = self._recent[0], self._latest()
            rows = zip(self._channels, then.marks, now.marks, strict=True)
            return tuple(
                SourceSample(
                    name=channel.source.name,
                    kind=channel.source.kind,
                    tier=channel.source.tier,
                    power_w=_watts(b.since(a).uj, b.elapsed_ns - a.elapsed_ns, channel),
                    idle_w=channel.idle.idle_uw / MICRO,
                    flags=b.flags_since(a),
                )
                for channel, a, b in rows
            )

    def _latest(self) -> Snapshot:
        marks = tuple(meter.mark() for meter in self._meters)
        return Snapshot(marks, None, self.clock.monotonic_ns())

    def qualified(self, energy: Energy, elapsed_ns: int) -> Energy:
        """A figure of so long a time, with the flags of this machine and what may have flowed unseen."""
        flags = tuple(sorted({*energy.flags, *self.flags}))
        unseen_uj = -(-self._unread_uw * max(elapsed_ns, 0) // BILLION)
        return Energy(energy.uj, energy.lo_uj, energy.hi_uj + unseen_uj, energy.tier, flags)

    def start(self, on_second: Callable[[], None]) -> None:
        """Read in the background, and call ``on_second`` about once a second."""
        self._thread = threading.Thread(
            target=self._run, args=(on_second,), name="cryoflux-meter", daemon=True
        )
        self._thread.start()

    def _run(self, on_second: Callable[[], None]) -> None:
        period_s = min((channel.source.poll_s for channel in self._channels), default=1.0)
        # An uneven rhythm cannot fall into step with a training loop.
        rhythm = random.Random(0)  # noqa: S311
        called_ns = self.clock.monotonic_ns()
        while not self._stop.wait(period_s * (rhythm.uniform(0.8, 1.2) if period_s < 1 else 1.0)):
            try:
                now_ns = self.refresh().monotonic_ns
                if now_ns - called_ns >= BILLION * 9 // 10:
                    called_ns = now_ns
                    on_second()
            except Exception:  # noqa: BLE001 - a meter that stumbles must not end the run it measures
                _LOG.warning("the meter's thread stumbled", exc_info=True)
                self._flags.add("meter-stumbled")

    def close(self) -> None:
        """Stop reading and let go of the sources."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for channel in self._channels:
            channel.source.close()


def _channel(source: Source, baseline: Baseline) -> Channel:
    idle = baseline.of(source)
    if idle is None:
        raise MeterError(
            f"{source.name} has no idle baseline.",
            why="Net energy is what is above idle.",
            hint="Run `cryoflux energy baseline`.",
        )
    return Channel(source, idle)


def _ns(then: Snapshot, now: Snapshot) -> int:
    return now.monotonic_ns - then.monotonic_ns


def _watts(uj: int, elapsed_ns: int, channel: Channel) -> float:
    # Before the first interval the idle power is the best that is known.
    return uj * 1000 / elapsed_ns if elapsed_ns > 0 else channel.idle.idle_uw / MICRO
