"""From settings to a running meter: find the sources, have their baseline, begin to add up."""

from __future__ import annotations

__all__ = ["open_meter", "own_time_meter"]

import random
from collections.abc import Callable, Container
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryoflux.config import Settings
from cryoflux.energy.baseline import Baseline, defined_idle, load_baseline, obtain_baseline
from cryoflux.energy.clock import Clock
from cryoflux.energy.interface import Problem
from cryoflux.energy.lookout import Lookout
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import OwnTimes
from cryoflux.energy.sources.cpu_model import CpuModelSource
from cryoflux.energy.sources.discovery import FoundSources, find_sources
from cryoflux.energy.trace import Conditions
from cryoflux.energy.trace_writer import TraceWriter


def open_meter(
    settings: Settings,
    state: Path,
    clock: Clock,
    *,
    settled: Container[str] = (),
    nvml: Any | None = None,
    progress: Callable[[int, int], None] | None = None,
    coarse: bool = False,
    provisional: bool = False,
    trace: Path | None = None,
) -> tuple[Meter, tuple[Problem, ...]]:
    """A meter over all sources of this machine, and why they are not better.

    Where a source has no frozen baseline yet, this waits to learn it.

    Args:
        settings: where to look.
        state: where the baseline is kept.
        clock: the time.
        settled: sources that energy was settled by before.
        nvml: a facade in place of `pynvml`.
        progress: called with seconds done and seconds in all while the baseline is learned.
        coarse: readings are at least a second apart.
        provisional: a baseline that is missing is only glanced at, and not stored.
        trace: a file to write every reading to.
    """
    path = state / "baseline.json"
    modelled = (idle.idle_uw for idle in load_baseline(path).idles if idle.source == CpuModelSource.name)
    looked_ns = clock.monotonic_ns()
    found = find_sources(settings, clock, nvml=nvml, frozen_idle_uw=next(modelled, None))
    with ExitStack() as undo:
        undo.callback(found.close)
        baseline = obtain_baseline(
            path,
            found.sources,
            found.times,
            clock,
            seconds=settings.energy.baseline_seconds,
            patience_s=settings.energy.baseline_wait_seconds,
            rng=random.Random(settings.run.seed),  # noqa: S311
            progress=progress,
            settled=settled,
            provisional=provisional,
        )
        meter = Meter(
            found.sources,
            baseline,
            found.times,
            clock,
            flags=(*found.flags, *baseline.flags),
            unread_uw=found.unread_uw,
            coarse=coarse,
            trace=_writer(trace, found, baseline, clock) if trace is not None else None,
            lookout=Lookout(found.gpus, baseline, found.times, clock, looked_ns) if found.gpus else None,
            # The processes that used the GPUs of a recording are not those of this machine.
            proc_root=None if settings.energy.replay else settings.energy.proc_root,
        )
        undo.pop_all()
    return meter, found.problems


def _writer(trace: Path, found: FoundSources, baseline: Baseline, clock: Clock) -> TraceWriter:
    flags = (*found.flags, *baseline.flags)
    conditions = Conditions(baseline.idles, flags, found.unread_uw, len(found.times.cpus))
    return TraceWriter(trace, found.sources, clock, conditions)


def own_time_meter(clock: Clock) -> Meter:
    """A meter that needs nothing of the machine: this process's CPU time through a guessed curve.

    It is what is left where nothing better can be opened; every figure says ``own-time-only``.
    """
    times = OwnTimes()
    source = CpuModelSource(times, clock)
    idle = defined_idle(source, source.idle_uw or 0, "")
    return Meter([source], Baseline((idle,)), times, clock, flags=("own-time-only",))
