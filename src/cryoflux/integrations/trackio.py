"""Attempts as a run of trackio, on this machine."""

from __future__ import annotations

__all__ = ["TrackioRun"]

from cryoflux.integrations.tracking import Told, missing, numbers_of, texts_of
from cryoflux.queries.tracked import TrackedAttempt


class TrackioRun(Told):
    """One run, which a later export goes on with; where it is kept, trackio says (``TRACKIO_DIR``).

    Args:
        run: name of the log.
        place: the project; ``cryoflux`` where none is named.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            import trackio
            from trackio.sqlite_storage import SQLiteStorage
        except ImportError as error:
            raise missing("trackio", error) from error
        self._trackio, self._project = trackio, place or "cryoflux"
        self.last_told = SQLiteStorage.get_last_step(self._project, run) or 0
        trackio.init(
            self._project,
            name=run,
            resume="allow",
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
