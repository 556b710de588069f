"""Attempts as a run of trackio, on this machine."""

from __future__ import annotations

__all__ = ["TrackioRun"]

from cryoflux.integrations.tracking import missing, numbers_of, texts_of
from cryoflux.queries.tracked import TrackedAttempt


class TrackioRun:
    """One run; where it is kept, trackio's own settings say (``TRACKIO_DIR``).

    Args:
        run: name of the log.
        place: the project; ``cryoflux`` where none is named.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            import trackio
        except ImportError as error:
            raise missing("trackio", error) from error
        self._trackio, self._project = trackio, place or "cryoflux"
        trackio.init(
            self._project,
            name=run,
            config={"log": run},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def attempt(self, one: TrackedAttempt) -> None:
        """One step; trackio keeps texts beside numbers."""
        self._trackio.log({**texts_of(one), **numbers_of(one)}, step=one.row["number"])

    def close(self) -> str:
        """Finish the run."""
        self._trackio.finish()
        return f"trackio show --project {self._project}"
