"""Attempts as event files of TensorBoard, without TensorFlow."""

from __future__ import annotations

__all__ = ["EventFiles"]

import time
from pathlib import Path
from typing import Any

from cryoflux.integrations.tracking import missing, moment_s, numbers_of, sentence_of
from cryoflux.queries.tracked import TrackedAttempt


class EventFiles:
    """A folder of event files, one folder a log below it.

    Args:
        run: name of the log.
        place: the folder that TensorBoard is started on; ``runs`` where none is named.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise missing("tensorboard", error) from error
        self._event, self._summary = event_pb2.Event, summary_pb2
        self._tensor, self._shape = tensor_pb2.TensorProto, tensor_shape_pb2.TensorShapeProto
        self._folder = Path(place or "runs")
        self._writer = EventFileWriter(str(self._folder / run))

    def attempt(self, one: TrackedAttempt) -> None:
        """One step of scalars, and its sentence as a text."""
        values = [
            self._summary.Summary.Value(tag=f"cryoflux/{name}", simple_value=number)
            for name, number in numbers_of(one).items()
        ]
        values.append(self._text(sentence_of(one)))
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
        self._writer.close()
        return f"tensorboard --logdir {self._folder}"
