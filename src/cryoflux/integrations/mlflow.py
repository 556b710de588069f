"""Attempts as a run of MLflow, on a tracking server."""

from __future__ import annotations

__all__ = ["MlflowRun"]

import time
from contextlib import suppress
from typing import Any

from cryoflux.errors import StorageError
from cryoflux.integrations.tracking import Told, missing, moment_s, numbers_of
from cryoflux.queries.tracked import TrackedAttempt

_EXPERIMENT = "cryoflux"
_TAG = "cryoflux.log"
"""of a run: the name of its log"""
_LONGEST = 5000
"""characters of a tag"""


class MlflowRun(Told):
    """One run of the experiment ``cryoflux``, which a later export goes on with.

    Args:
        run: name of the log.
        place: tracking URI; what ``MLFLOW_TRACKING_URI`` says where none is named.

    Raises:
        StorageError: no server answers there.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, RunTag
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise missing("mlflow-skinny", error) from error
        self._metric, self._tag, self._refusal = Metric, RunTag, MlflowException
        try:
            self._client = MlflowClient(tracking_uri=place)
            known = self._client.get_experiment_by_name(_EXPERIMENT)
            self._experiment = known.experiment_id if known else self._client.create_experiment(_EXPERIMENT)
            self._run = self._known(run) or self._client.create_run(
                self._experiment, run_name=run, tags={_TAG: run}
            )
        except MlflowException as error:
            raise self._refused(error) from error
        self._place = str(self._client.tracking_uri)

    def _known(self, run: str) -> Any:
        """The run of an earlier export; none where there was none."""
        quote = '"' if "'" in run else "'"
        found = self._client.search_runs(
            [self._experiment], f"tags.`{_TAG}` = {quote}{run}{quote}", max_results=1
        )
        if not found:
            return None
        told = self._client.get_metric_history(found[0].info.run_id, "joules")
        self.last_told = max((one.step for one in told), default=0)
        return found[0]

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            f"MLflow took nothing: {error}",
            why="Attempts are handed to a tracking server.",
            hint="Start one, and name it: mlflow server --port 5000; --at http://127.0.0.1:5000",
        )

    def attempt(self, one: TrackedAttempt) -> None:
        """One step; the words of the last attempt are the tags of the run."""
        now_ms = round((moment_s(one.row["finished_at"]) or time.time()) * 1000)
        metrics = [
            self._metric(name, number, now_ms, one.row["number"]) for name, number in numbers_of(one).items()
        ]
        try:
            self._client.log_batch(self._run.info.run_id, metrics=metrics, tags=self._tags(one))
        except self._refusal as error:
            raise self._refused(error) from error

    def _tags(self, one: TrackedAttempt) -> list[Any]:
        # A metric of MLflow is a number; so what each attempt came to is a tag with its number in the name.
        outcome, reason = str(one.row["outcome"]), str(one.row["reason"])
        said = reason if reason.lower().startswith(outcome) else f"{outcome}: {reason}"
        texts = {f"attempt.{one.row['number']}": said}
        texts |= {name: one.row[name] for name in ("tier", "range_kind", "unit") if one.row[name]}
        return [self._tag(name, text[:_LONGEST]) for name, text in texts.items()]

    def close(self) -> str:
        """Finish the run."""
        with suppress(self._refusal):  # all of it is there already
            self._client.set_terminated(self._run.info.run_id)
        return f"{self._place}/#/experiments/{self._experiment}/runs/{self._run.info.run_id}"
