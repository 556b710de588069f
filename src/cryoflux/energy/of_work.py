"""The joules of a piece of work: of a ``with`` block, of a function, of a control group.

What is measured is the net energy that this process and everything that it starts cause, next to what the
whole machine draws.
"""

from __future__ import annotations

__all__ = ["EnergyMeasurement", "Measured", "SourceUse", "measure_energy"]

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, overload

from cryoflux.config import Settings, load_settings
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.cgroup import CgroupTimes
from cryoflux.energy.channels import Snapshot, gross_of, net_of, pairs
from cryoflux.energy.clock import Clock, SystemClock
from cryoflux.energy.interface import SourceKind
from cryoflux.energy.meter import Meter
from cryoflux.energy.of_functions import measured_calls
from cryoflux.energy.opening import open_meter, own_time_meter
from cryoflux.energy.processes import CpuTimes, OwnTimes, ProcessTimes, find_owner
from cryoflux.errors import CryoFluxError, MeterError, UsageError
from cryoflux.quantities import NANO, Energy, RangeKind, Tier, named_ranges

_BaselineState = Literal["settled", "unsettled", "modelled"]
_LEARN = "While nothing else runs, type: cryoflux energy baseline --learn --state ~/.local/state/cryoflux"
_Work = TypeVar("_Work", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class SourceUse:
    """What one source gave while the work was done."""

    name: str
    kind: SourceKind
    tier: Tier
    energy: Energy
    """net energy that the work caused, signed"""
    machine_net: Energy
    """net energy of the whole machine, signed"""
    gross: Energy
    idle_w: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a piece of work cost."""

    energy: Energy
    """net energy that the work caused, signed"""
    machine_net: Energy
    gross: Energy
    sources: tuple[SourceUse, ...]
    seconds: float
    cpu_s: float
    """CPU time of the work, with everything that it started"""
    baseline_digest: str
    baseline_state: _BaselineState
    counted_by: Literal["cgroup", "process tree"]
    """how it is known whose CPU time it was"""

    def to_dict(self) -> dict[str, Any]:
        """The same in plain values, for JSON: energies in µJ with both ends, their kind, tier and flags."""
        return named_ranges(json.loads(json.dumps(asdict(self))))  # type: ignore[no-any-return]

    def __str__(self) -> str:
        e = self.energy
        interval = f"[{e.lo_uj / 1e6:.1f}, {e.hi_uj / 1e6:.1f}]"
        how = e.tier if e.range_kind is RangeKind.INTERVAL_95 else f"{e.tier}, {e.range_kind.words}"
        return f"{e.joules:.1f} J {interval} ({how}) in {self.seconds:.1f} s"


def default_state() -> Path:
    """Where the idle baseline of this machine is kept: it is the same for every project."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "cryoflux"


class EnergyMeasurement:
    """Measures the energy of this process from entry to exit, as a ``with`` block or as a decorator.

    As such it never ends the work that it measures: where something is in its way, it warns, and measures
    with less. A decorated function may be a coroutine or a generator too: then it is measured while it
    lives, what its caller does in between included, since both are this process.

    Args:
        settings: where to look for sources; what `cryoflux config show` shows by default.
        state: where the frozen idle baseline is kept. A command waits until one is learned; a block, whose
            work may be under way, glances at the machine for two seconds, and its interval is wide.
        report: called with each result.
        progress: called with seconds done and seconds in all while a baseline is learned.
        trace: a file that every reading is written to (`cryoflux energy replay`).
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        state: Path | None = None,
        report: Callable[[Measured], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        trace: Path | None = None,
        clock: Clock | None = None,
        nvml: Any | None = None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._report = report
        self._progress = progress
        self._trace = trace
        self._clock = clock
        self._nvml = nvml
        self._opened: list[_Opened] = []
        self.result: Measured | None = None
        """of the last work that ended"""
        self.windows: dict[str, list[Measured]] = {}
        """of its parts, by their names, in the order in which they ended"""

    def __call__(self, work: _Work) -> _Work:
        """The same function, measured at each call; its last result is its attribute ``measured``."""
        return measured_calls(work, self._again)

    def _again(self, report: Callable[[Measured], None]) -> EnergyMeasurement:
        # Each call of a decorated function is a measurement of its own.
        def told(measured: Measured) -> None:
            report(measured)
            if self._report is not None:
                self._report(measured)

        return EnergyMeasurement(
            settings=self._settings,
            state=self._state,
            report=told,
            progress=self._progress,
            trace=self._trace,
            clock=self._clock,
            nvml=self._nvml,
        )

    def __enter__(self) -> Self:
        """Begin to measure; may be entered again inside."""
        try:
            self.begin(None, provisional=True)
        except (CryoFluxError, OSError) as error:
            _warn(f"Measured with less than there is: {error}")
        else:
            if "baseline-unsettled" in self._innermost.meter.net().flags:
                _warn(f"The idle power of this machine is not known well, so the interval is wide. {_LEARN}")
            return self
        return self._begun(own_time_meter(self._clock or SystemClock()), OwnTimes(), grouped=False)

    def _begun(self, meter: Meter, times: CpuTimes, *, grouped: bool) -> Self:
        opened = _Opened.of(meter, times, grouped=grouped)
        try:
            meter.start(lambda _: None)
        except RuntimeError as error:
            _warn(f"Read at the beginning and at the end alone: {error}")
        self._opened.append(opened)
        return self

    def begin(self, group: CgroupTimes | None, *, provisional: bool = False) -> Self:
        """Begin to measure a control group, or this process where there is none.

        Args:
            group: the group.
            provisional: whether a baseline that is missing is only glanced at, and not stored.

        Raises:
            MeterError: nothing can be measured here.
            ConfigError: a setting cannot be used.
            StateError, StorageError: the baseline cannot be read or kept.
        """
        settings = self._settings or load_settings().settings
        clock = self._clock or SystemClock(settings.energy.proc_root)
        with ExitStack() as undo:
            meter, _ = open_meter(
                settings,
                self._state or default_state(),
                clock,
                nvml=self._nvml,
                progress=self._progress,
                trace=self._trace,
                provisional=provisional,
            )
            undo.callback(meter.close)
            times = group or _own_times(settings.energy.proc_root, clock)
            self._begun(meter, times, grouped=group is not None)
            undo.pop_all()
        return self

    def so_far(self) -> Measured:
        """What the work has cost up to now.

        Raises:
            UsageError: nothing is measured at the moment.
        """
        return self._innermost.measured(last=False)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """Measure a part of the work too; `windows` has what it cost.

        Raises:
            UsageError: nothing is measured at the moment.
        """
        opened = self._innermost
        part = _Opened.of(opened.meter, opened.times, grouped=opened.grouped)
        try:
            yield
        finally:
            with _spared():
                self.windows.setdefault(name, []).append(part.measured(last=True))
                opened.meter.detach(part.attribution)

    @property
    def _innermost(self) -> _Opened:
        if not self._opened:
            raise UsageError("Nothing is measured at the moment.", hint="Ask inside the with block.")
        return self._opened[-1]

    def __exit__(self, *_: object) -> None:
        """Stop, and keep the result."""
        found: Measured | None = None
        with _spared():
            found = self._ended()
        if found is not None and self._report is not None:
            self._report(found)

    def end(self) -> Measured:
        """Read for the last time."""
        found = self._ended()
        if self._report is not None:
            self._report(found)
        return found

    def _ended(self) -> Measured:
        opened, self.result = self._opened.pop(), None
        with closing(opened.meter):
            found = opened.measured(last=True)
        self.result = found
        return found


def _say(text: str) -> None:
    # There may be no such stream, or it is closed, or full, or cannot write the name of the function.
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"{text}\n")


def _warn(text: str) -> None:
    with suppress(RuntimeWarning):  # where warnings are made errors, the work goes on all the same
        warnings.warn(text, RuntimeWarning, stacklevel=3)


@contextmanager
def _spared() -> Iterator[None]:
    """Whatever fails in here is warned of: the work is done, and worth more than what it cost."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - as it says
        _warn(f"What it cost could not be read: {type(error).__name__}: {error}")


def _own_times(proc_root: str, clock: Clock) -> ProcessTimes:
    owner = find_owner(os.getpid(), clock.boot_id, proc_root)
    if owner is None:
        raise MeterError(
            f"This process is not in {proc_root}.",
            why="Its share of the machine's energy cannot be told.",
            hint="Set proc_root to where the kernel's process files are.",
        )
    return ProcessTimes(owner, proc_root)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A measurement that has begun."""

    meter: Meter
    times: CpuTimes
    attribution: Attribution
    start: Snapshot
    grouped: bool

    @classmethod
    def of(cls, meter: Meter, times: CpuTimes, *, grouped: bool) -> _Opened:
        attribution = meter.attribute(times)
        return cls(meter, times, attribution, meter.last, grouped)

    def measured(self, *, last: bool) -> Measured:
        now = self.meter.refresh(last=last)
        return _measured(self.meter, self.attribution, self.start, now, grouped=self.grouped)


@overload
def measure_energy(work: _Work, /) -> _Work: ...
@overload
def measure_energy(
    *, state: Path | None = None, report: Callable[[Measured], None] | None = None
) -> EnergyMeasurement: ...
def measure_energy(
    work: Callable[..., Any] | None = None,
    /,
    *,
    state: Path | None = None,
    report: Callable[[Measured], None] | None = None,
) -> Any:
    """Measure a ``with`` block, or decorate a function with it; it never ends the work that it measures.

    What is charged is what the whole process and all that it starts cause meanwhile: of two blocks that are
    open at the same time, in two threads or one in the other, each says the joules of both.

    Args:
        work: the function, where it is a decorator without arguments; each result is printed to stderr.
        state: where the idle baseline of this machine is kept; ``~/.local/state/cryoflux`` by default.
        report: called with each result.
    """
    if work is not None:
        name = getattr(work, "__qualname__", "work")
        return EnergyMeasurement(report=lambda found: _say(f"{name}: {found}"))(work)
    return EnergyMeasurement(state=state, report=report)


def _measured(
    meter: Meter, attribution: Attribution, then: Snapshot, now: Snapshot, *, grouped: bool
) -> Measured:
    elapsed_ns = now.monotonic_ns - then.monotonic_ns
    rows = zip(pairs(meter.channels, then, now), attribution.by_source(), strict=True)
    sources = tuple(
        SourceUse(
            name=channel.source.name,
            kind=channel.source.kind,
            tier=channel.source.tier,
            energy=energy,
            machine_net=net_of(channel, a, b),
            gross=gross_of(channel, a, b),
            idle_w=channel.idle.idle_uw / 1e6,
        )
        for (channel, a, b), energy in rows
    )
    return Measured(
        energy=meter.qualified(attribution.net(), elapsed_ns, now.monotonic_ns),
        machine_net=meter.net(then, now),
        gross=meter.gross(),
        sources=sources,
        seconds=elapsed_ns / NANO,
        cpu_s=attribution.cpu_us / 1e6,
        baseline_digest=meter.baseline.digest,
        baseline_state=meter.baseline.state([channel.source for channel in meter.channels]),
        counted_by="cgroup" if grouped else "process tree",
    )
