"""A file of JSON lines that is opened anew when somebody has moved it away, as logrotate does."""

from __future__ import annotations

__all__ = ["LogFile"]

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from cryoflux.cli.console import as_json_line
from cryoflux.errors import UsageError


class LogFile:
    """Appends documents to a file; one that cannot be written loses lines, and ends no run.

    Args:
        path: where.

    Raises:
        UsageError: it cannot be opened now.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._stream = path, None
        self._asked = False
        self.lost = 0
        """lines that could not be written"""
        try:
            self._open()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}.",
                why="What happens would be written there.",
                hint="Name another file with --log FILE.",
            ) from error

    _stream: TextIO | None

    def _open(self) -> TextIO:
        self.reopen()
        self._stream = self._path.open("a", encoding="utf-8")
        return self._stream

    def reopen(self) -> None:
        """The file was moved away: the next line opens it anew."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                self.lost += 1

    def ask_reopen(self) -> None:
        """The same, from a signal handler: nothing is closed while a line is being written."""
        self._asked = True

    def write(self, schema: str, document: Mapping[str, Any]) -> None:
        """Append one document, as a line."""
        try:
            stream = self._stream
            if stream is None or self._asked or self._moved(stream):
                self._asked = False
                stream = self._open()
            stream.write(as_json_line(schema, document))
            stream.flush()
        except OSError:
            self.lost += 1
            self.reopen()

    def _moved(self, stream: TextIO) -> bool:
        try:
            here, ours = self._path.stat(), os.fstat(stream.fileno())
        except OSError:
            return True
        return (here.st_dev, here.st_ino) != (ours.st_dev, ours.st_ino)
