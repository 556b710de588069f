"""Attempts as event files of TensorBoard, without TensorFlow."""

from __future__ import annotations

__all__ = ["EventFiles"]

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryoflux.integrations.tracking import Told, missing, moment_s, numbers_of, sentence_of
from cryoflux.queries.tracked import TrackedAttempt


class EventFiles(Told):
    """A folder of event files, one folder a log below it; a later export adds a file of what is new.

    Args:
        run: name of the log.
        place: the folder that TensorBoard is started on; ``runs`` where none is named.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise missing("tensorboard", error) from error
        self._event, self._summary = event_pb2.Event, summary_pb2
        self._tensor, self._shape = tensor_pb2.TensorProto, tensor_shape_pb2.TensorShapeProto
        self._folder = Path(place or "runs")
        self._run = self._folder / run
        for path in sorted(self._run.glob("events.out.tfevents.*")):
            told = (one.step for one in EventFileLoader(str(path)).Load() if one.HasField("summary"))
            self.last_told = max(self.last_told, *told, 0)
        self._open: Callable[[str], Any] = EventFileWriter
        self._writer: Any = None

    def attempt(self, one: TrackedAttempt) -> None:
        """One step of scalars, and its sentence as a text."""
        values = [
            self._summary.Summary.Value(tag=f"cryoflux/{name}", simple_value=number)
            for name, number in numbers_of(one).items()
        ]
        values.append(self._text(sentence_of(one)))
        if self._writer is None:  # where nothing is new, no file is made
            self._writer = self._open(str(self._run))
        self._writer.add_event(
            self._event(
                wall_time=moment_s(one.row["finished_at"]) or time.time(),
                step=one.row["number"],
                summary=self._summary.Summary(value=values),
            )
        )
        self._writer.flush()

    def _text(self, said: str) -> Any:
        dim = self._shape.Dim(size=1)
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        return self._summary.Summary.Value(
            tag="cryoflux/attempt",
            metadata=self._summary.SummaryMetadata(plugin_data=plugin),
            tensor=self._tensor(
                dtype="DT_STRING", string_val=[said.encode()], tensor_shape=self._shape(dim=[dim])
            ),
        )

    def close(self) -> str:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        return f"tensorboard --logdir {self._folder}"
