"""Settles in the folder of a worker that is dead what its meter had reserved."""

from __future__ import annotations

__all__ = ["settled"]

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cryoflux.config import Settings
from cryoflux.errors import StateLockedError
from cryoflux.fleet.worker_meter import WorkerMeter, never_opened, settling_meter

_PATIENCE_S = 60.0
"""for a worker's process to end, once its coordinator is gone: it ends after the step that it is at"""
_AGAIN_S = 0.5


def settled(
    folder: Path,
    settings: Settings,
    request: str,
    *,
    patience_s: float = _PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Settle a reservation; what the meter signed, empty where there was none.

    Args:
        folder: of the worker.
        settings: how it meters.
        request: of the reservation.
        patience_s: how long its process may take to end.
        sleep: waits so many seconds.

    Raises:
        FleetError: there is no account of a worker.
        StateLockedError: its process goes on.
        CryoFluxError: its account is not whole, or its JouleAgent does not answer.
    """
    if never_opened(folder):
        return ""
    with closing(_opened(folder, settings, patience_s, sleep)) as agent:
        found = agent.find(request)
        return agent.settle(found.id).statement if found is not None else ""


def _opened(
    folder: Path, settings: Settings, patience_s: float, sleep: Callable[[float], None]
) -> WorkerMeter:
    """The meter of a worker, once its process has ended."""
    waited_s = 0.0
    while True:
        try:
            return settling_meter(folder, settings)
        except StateLockedError:
            if waited_s >= patience_s:
                raise
        sleep(_AGAIN_S)
        waited_s += _AGAIN_S
