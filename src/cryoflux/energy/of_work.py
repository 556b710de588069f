"""The joules of a piece of work: of a command, of a ``with`` block, of a function.

What is measured is the net energy that this process and everything that it starts cause, next to what the
whole machine draws. Orphans of a command count too: where a cgroup can be made it holds them, elsewhere
this process adopts them.
"""

from __future__ import annotations

__all__ = ["EnergyMeasurement", "Measured", "SourceUse", "measure_command", "measure_energy"]

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

from cryoflux.config import Settings, load_settings
from cryoflux.energy.attribution import Attribution, Snapshot, gross_of, net_of
from cryoflux.energy.cgroup import CgroupTimes, own_cgroup
from cryoflux.energy.clock import Clock, SystemClock
from cryoflux.energy.interface import SourceKind
from cryoflux.energy.meter import Meter
from cryoflux.energy.opening import open_meter
from cryoflux.energy.processes import ProcessTimes, become_subreaper, find_owner
from cryoflux.errors import MeterError, UsageError
from cryoflux.quantities import NANO, Energy, Tier

_BaselineState = Literal["settled", "unsettled", "modelled"]
_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128


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
    """net energy that the work caused, signed, with its 95 % interval"""
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

    def __str__(self) -> str:
        e = self.energy
        interval = f"[{e.lo_uj / 1e6:.1f}, {e.hi_uj / 1e6:.1f}]"
        return f"{e.joules:.1f} J {interval} ({e.tier}) in {self.seconds:.1f} s"


def default_state() -> Path:
    """Where the idle baseline of this machine is kept: it is the same for every project."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "cryoflux"


class EnergyMeasurement(ContextDecorator):
    """Measures the energy of this process from entry to exit, as a ``with`` block or as a decorator.

    Args:
        settings: where to look for sources; what `cryoflux config show` shows by default.
        state: where the frozen idle baseline is kept; learned there on first use, where one is needed.
        report: called with each result; a decorated function has no other way to give it out.
        progress: called with seconds done and seconds in all while a baseline is learned.
        trace: a file that every reading is written to (`cryoflux energy replay`).

    Raises:
        MeterError: nothing can be measured here.
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
        self._settings = settings or load_settings().settings
        self._state = state or default_state()
        self._report = report
        self._progress = progress
        self._trace = trace
        self._clock = clock or SystemClock(self._settings.energy.proc_root)
        self._nvml = nvml
        self._opened = ExitStack()
        self.result: Measured | None = None
        """of the last work that ended"""

    def _recreate_cm(self) -> EnergyMeasurement:
        # Each call of a decorated function is a measurement of its own.
        return EnergyMeasurement(
            settings=self._settings,
            state=self._state,
            report=self._report,
            progress=self._progress,
            trace=self._trace,
            clock=self._clock,
            nvml=self._nvml,
        )

    def __enter__(self) -> Self:
        """Begin to measure."""
        return self.begin(None)

    def begin(self, group: CgroupTimes | None) -> Self:
        """Begin to measure a control group, or this process where there is none."""
        with ExitStack() as undo:
            self._meter, _ = open_meter(
                self._settings,
                self._state,
                self._clock,
                nvml=self._nvml,
                progress=self._progress,
                trace=self._trace,
            )
            undo.callback(self._meter.close)
            self._grouped = group is not None
            self._attribution = self._meter.attribute(group or self._own_times())
            self._start = self._meter.last
            self._meter.start(lambda _: None)
            self._opened = undo.pop_all()
        return self

    def _own_times(self) -> ProcessTimes:
        settings = self._settings.energy
        owner = find_owner(os.getpid(), self._clock.boot_id, settings.proc_root)
        if owner is None:
            raise MeterError(
                f"This process is not in {settings.proc_root}.",
                why="Its share of the machine's energy cannot be told.",
                hint="Set proc_root to where the kernel's process files are.",
            )
        return ProcessTimes(owner, settings.proc_root)

    def __exit__(self, *_: object) -> None:
        """Stop, and keep the result."""
        self.end()

    def end(self) -> Measured:
        """Read for the last time."""
        with self._opened:
            now = self._meter.refresh()
            self.result = _measured(self._meter, self._attribution, self._start, now, grouped=self._grouped)
        if self._report is not None:
            self._report(self.result)
        return self.result


def measure_energy(
    *, state: Path | None = None, report: Callable[[Measured], None] | None = None
) -> EnergyMeasurement:
    """Measure a ``with`` block, or decorate a function with it.

    Args:
        state: where the idle baseline of this machine is kept; ``~/.local/state/cryoflux`` by default.
        report: called with each result.

    Raises:
        MeterError: nothing can be measured here.
    """
    return EnergyMeasurement(state=state, report=report)


def _measured(
    meter: Meter, attribution: Attribution, then: Snapshot, now: Snapshot, *, grouped: bool
) -> Measured:
    elapsed_ns = now.monotonic_ns - then.monotonic_ns
    rows = zip(meter.channels, then.marks, now.marks, attribution.by_source(), strict=True)
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
        for channel, a, b, energy in rows
    )
    return Measured(
        energy=meter.qualified(attribution.net(), elapsed_ns),
        machine_net=meter.net(then, now),
        gross=meter.gross(),
        sources=sources,
        seconds=elapsed_ns / NANO,
        cpu_s=attribution.cpu_us / 1e6,
        baseline_digest=meter.baseline.digest,
        baseline_state=meter.baseline.state([channel.source for channel in meter.channels]),
        counted_by="cgroup" if grouped else "process tree",
    )


def measure_command(measurement: EnergyMeasurement, command: Sequence[str]) -> tuple[Measured, int]:
    """Run a command to its end; what it cost, and its exit code as a shell would give it.

    Raises:
        UsageError: there is no such command.
    """
    with own_cgroup(os.getpid()) as group:
        adopted = group is None and become_subreaper()
        measurement.begin(group)
        try:
            code = _run(command, group)
        finally:
            if adopted:
                _reap()
            measured = measurement.end()
    return measured, code


def _run(command: Sequence[str], group: CgroupTimes | None) -> int:
    join = group.join if group is not None else None
    with _signals_passed_on() as started:
        try:
            process = subprocess.Popen(command, preexec_fn=join)  # noqa: S603, PLW1509 - what was asked for
        except OSError as error:
            code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            raise UsageError(
                f"{command[0]} cannot be run: {error.strerror}.",
                why=f"A shell would have ended with {code}.",
                hint="Write the command as in: cryoflux energy measure -- python train.py",
            ) from error
        started(process)
        code = process.wait()
    return _SIGNALLED - code if code < 0 else code


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Ctrl-C reaches a running command by itself, SIGTERM is sent on; what it does then is measured too."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if not children:
            early.append(number)  # the command is not itself yet, and would not notice
        elif number == signal.SIGTERM:
            children[0].send_signal(number)

    def started(process: subprocess.Popen[bytes]) -> None:
        children.append(process)
        for number in early:
            process.send_signal(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reap() -> None:
    """Wait for adopted orphans that have ended, so that the kernel adds their time to ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
