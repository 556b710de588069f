"""A file of JSON lines that is opened anew when somebody has moved it away, as logrotate does."""

from __future__ import annotations

__all__ = ["FileView", "LogFile"]

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryoflux.cli.console import as_json_line
from cryoflux.cli.run_view import JsonView, Shown, utc_now
from cryoflux.errors import UsageError

_MODE = 0o666
"""less what the umask takes away"""


class LogFile:
    """Appends documents to a file; one that cannot be written loses lines, and ends no run.

    A line is written whole, by one call, or its beginning is ended: what comes after it is a line of its own.

    Args:
        path: where.
        tell: is told, in a sentence, when lines begin to be lost, and when they no longer are.

    Raises:
        UsageError: it cannot be opened now.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = lambda _what: None) -> None:
        self._path, self._tell = path, tell
        self._file: int | None = None
        self._asked = False
        self._lost = 0
        """lines that could not be written since the last one that was"""
        self._ragged = False
        """whether the file ends in the middle of a line"""
        try:
            self._open()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}.",
                why="What happens would be written there.",
                hint="Name another file with --log FILE.",
            ) from error

    def _open(self) -> int:
        self._close()
        # A pipe that nobody reads is refused, and not waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = os.open(self._path, flags, _MODE)
        os.set_blocking(self._file, True)
        self._ragged = self._ends_ragged()
        return self._file

    def _ends_ragged(self) -> bool:
        """Whether whoever wrote there last, a run that was killed, left a line without its end."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(-1, os.SEEK_END)
                return stream.read(1) != b"\n"
        except OSError:  # it is empty, or no file that can be read
            return False

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def ask_reopen(self) -> None:
        """The file was moved away, a signal says: the next line opens it anew."""
        self._asked = True

    def write(self, schema: str, document: Mapping[str, Any]) -> None:
        """Append one document, as a line."""
        line = as_json_line(schema, document).encode()
        try:
            file = self._file
            if file is None or self._asked or self._moved(file):
                self._asked = False
                file = self._open()
            self._append(file, line)
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                self._tell(f"{self._path}: {error.strerror}; from now on events are missing there")
            return
        if self._lost:
            self._tell(f"{self._path} is written again; {self._lost} events are missing there")
            self._lost = 0

    def _append(self, file: int, line: bytes) -> None:
        left = b"\n" + line if self._ragged else line
        while left:
            written = os.write(file, left)
            left = left[written:]
            self._ragged = bool(left)

    def _moved(self, file: int) -> bool:
        try:
            here, ours = self._path.stat(), os.fstat(file)
        except OSError:
            return True
        return (here.st_dev, here.st_ino) != (ours.st_dev, ours.st_ino)


class FileView(JsonView):
    """The same events in a file, beside what the run shows."""

    def __init__(self, file: LogFile) -> None:
        super().__init__(lambda: None, Shown())
        self._file = file

    def emit(self, document: dict[str, Any]) -> None:
        """One JSON object on a line."""
        self._file.write("run/1", {"at": utc_now(), **document})
