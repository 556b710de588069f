"""From settings to a running meter: find the sources, have their baseline, begin to add up."""

from __future__ import annotations

__all__ = ["open_meter"]

import random
from collections.abc import Callable, Container
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryoflux.config import Settings
from cryoflux.energy.baseline import obtain_baseline
from cryoflux.energy.clock import Clock
from cryoflux.energy.discovery import find_sources
from cryoflux.energy.interface import Problem
from cryoflux.energy.meter import Meter


def open_meter(
    settings: Settings,
    state: Path,
    clock: Clock,
    *,
    settled: Container[str] = (),
    nvml: Any | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Meter, tuple[Problem, ...]]:
    """A meter over all sources of this machine, and why they are not better.

    Where a source has no frozen baseline yet, this waits to learn it. ``settled`` names the sources that
    energy was settled by before.
    """
    found = find_sources(settings, clock, nvml=nvml)
    with ExitStack() as undo:
        undo.callback(found.close)
        baseline = obtain_baseline(
            state / "baseline.json",
            found.sources,
            found.times,
            clock,
            seconds=settings.energy.baseline_seconds,
            rng=random.Random(settings.run.seed),  # noqa: S311
            progress=progress,
            settled=settled,
        )
        meter = Meter(
            found.sources,
            baseline,
            found.times,
            clock,
            flags=(*found.flags, *baseline.flags),
            unread_uw=found.unread_uw,
        )
        undo.pop_all()
    return meter, found.problems
