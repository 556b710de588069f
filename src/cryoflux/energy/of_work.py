"""The joules of a piece of work: of a ``with`` block, of a function, of a control group.

What is measured is the net energy that this process and everything that it starts cause, next to what the
whole machine draws.
"""

from __future__ import annotations

__all__ = ["EnergyMeasurement", "default_state", "measure_energy"]

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, overload

from cryoflux.config import Settings, load_settings
from cryoflux.energy.attribution import Attribution
from cryoflux.energy.channels import Snapshot
from cryoflux.energy.clock import Clock, SystemClock
from cryoflux.energy.derived import Rates, rates_of
from cryoflux.energy.jobs import job_here
from cryoflux.energy.measured import CountedBy, Measured, measured_between
from cryoflux.energy.meter import Meter
from cryoflux.energy.of_functions import measured_calls
from cryoflux.energy.opening import open_meter, own_time_meter
from cryoflux.energy.platforms import is_metered
from cryoflux.energy.processes import CpuTimes, OwnTimes, ProcessTimes, find_owner
from cryoflux.errors import CryoFluxError, MeterError, UsageError

_LEARN = "While nothing else runs, type: cryoflux energy baseline --learn --state ~/.local/state/cryoflux"
_Work = TypeVar("_Work", bound=Callable[..., Any])


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
        return self._begun(own_time_meter(self._clock or SystemClock()), OwnTimes())

    def _begun(
        self,
        meter: Meter,
        times: CpuTimes,
        counted_by: CountedBy = "process tree",
        rates: Rates = Rates(),  # noqa: B008 - it is frozen
    ) -> Self:
        opened = _Opened.of(meter, times, counted_by, rates)
        try:
            meter.start(lambda _: None)
        except RuntimeError as error:
            _warn(f"Read at the beginning and at the end alone: {error}")
        self._opened.append(opened)
        return self

    def begin(
        self,
        times: CpuTimes | None,
        counted_by: CountedBy = "process tree",
        *,
        provisional: bool = False,
    ) -> Self:
        """Begin to measure whose CPU times these are, or this process where there are none.

        Args:
            times: a control group, or processes.
            counted_by: which of the two it is.
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
            whose = times or _own_times(settings.energy.proc_root, clock)
            self._begun(meter, whose, counted_by, rates_of(settings.energy))
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
        part = _Opened.of(opened.meter, opened.times, opened.counted_by, opened.rates)
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

    def look(self) -> Snapshot:
        """Read now: where the work may end unseen, often enough to know what it did up to then.

        Raises:
            UsageError: nothing is measured at the moment.
        """
        return self._innermost.meter.refresh()

    def end(self, unseen: Sequence[tuple[Snapshot, Snapshot]] = ()) -> Measured:
        """Read for the last time.

        Args:
            unseen: between these a part of the work ended, and what it did nobody knows.
        """
        found = self._ended(unseen)
        if self._report is not None:
            self._report(found)
        return found

    def _ended(self, unseen: Sequence[tuple[Snapshot, Snapshot]] = ()) -> Measured:
        opened, self.result = self._opened.pop(), None
        with closing(opened.meter):
            found = opened.measured(last=True, unseen=unseen)
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


def _own_times(proc_root: str, clock: Clock) -> CpuTimes:
    if not is_metered(sys.platform):
        return OwnTimes()
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
    counted_by: CountedBy
    rates: Rates

    @classmethod
    def of(cls, meter: Meter, times: CpuTimes, counted_by: CountedBy, rates: Rates) -> _Opened:
        attribution = meter.attribute(times)
        return cls(meter, times, attribution, attribution.start, counted_by, rates)

    def measured(self, *, last: bool, unseen: Sequence[tuple[Snapshot, Snapshot]] = ()) -> Measured:
        with self.meter.held():
            return measured_between(
                self.meter,
                self.attribution,
                self.start,
                self.meter.refresh(last=last, mark="ends" if last else ""),
                counted_by=self.counted_by,
                unseen=unseen,
                rates=self.rates,
                job=job_here(),
            )


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
