"""Which tracker is called what."""

from __future__ import annotations

__all__ = ["TRACKERS", "open_tracker"]

from importlib import import_module

from cryoflux.energy.derived import rates_of
from cryoflux.integrations.codecarbon import EmissionsFile
from cryoflux.integrations.tracking import Tracker
from cryoflux.settings import EnergySettings

TRACKERS = {
    "opentelemetry": "OtlpSender",
    "tensorboard": "EventFiles",
    "trackio": "TrackioRun",
    "wandb": "WandbRun",
    "mlflow": "MlflowRun",
    "codecarbon": "EmissionsFile",
}
"""name of a tracker, and of its module here → its class"""


def open_tracker(name: str, run: str, place: str | None, energy: EnergySettings) -> Tracker:
    """A tracker, ready to take attempts.

    Args:
        name: one of `TRACKERS`.
        run: name of the log.
        place: where, in its own words; none for its default.
        energy: has what a kilowatt-hour emits.

    Raises:
        UsageError: its library is not installed.
        StorageError: it does not answer.
    """
    if name == "codecarbon":
        return EmissionsFile(run, place, rates_of(energy))
    found = getattr(import_module(f"cryoflux.integrations.{name}"), TRACKERS[name])
    return found(run, place)  # type: ignore[no-any-return]
