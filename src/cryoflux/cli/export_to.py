"""``cryoflux export --to``: the attempts of a state, finished or growing, into a tracker."""

from __future__ import annotations

__all__ = ["TrackerName", "send"]

import time
from enum import StrEnum
from pathlib import Path

from cryoflux.cli.console import stderr
from cryoflux.settings import EnergySettings

_LOOKS_S = 2.0


class TrackerName(StrEnum):
    """What attempts are handed to."""

    OPENTELEMETRY = "opentelemetry"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb"
    MLFLOW = "mlflow"
    CODECARBON = "codecarbon"


def send(to: TrackerName, at: str | None, state: Path, energy: EnergySettings, *, follow: bool) -> None:
    """Hand on every attempt; where it is followed, until somebody stops it.

    Args:
        to: the tracker.
        at: where it is; each has its own idea of a place.
        state: the state directory.
        energy: has what a kilowatt-hour emits.
        follow: whether to wait for more.
    """
    from cryoflux.integrations.trackers import open_tracker
    from cryoflux.queries.tracked import run_name, tracked_attempts

    tracker, count = open_tracker(to.value, run_name(state), at, energy), 0

    def waits() -> bool:
        if follow:
            time.sleep(_LOOKS_S)
        return follow

    try:
        for one in tracked_attempts(state, waits):
            tracker.attempt(one)
            count += 1
    except KeyboardInterrupt:
        if not follow:
            raise
    finally:
        where = tracker.close()
    stderr.print(f"sent: {count} attempts; {where}", markup=False)
