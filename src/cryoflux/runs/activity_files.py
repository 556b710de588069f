"""Writes what a run leaves for whoever watches it, and nowhere else than in the folder that is for it.

Nothing here waits for the disk: it outlives the process, and a power cut may cost the last seconds.
"""

from __future__ import annotations

__all__ = ["ROWS_A_FILE", "ActivityFiles"]

import os
import stat
from contextlib import suppress
from pathlib import Path

from cryoflux.files import open_regular
from cryoflux.runs.activity_form import NOW, OLDER_ROWS, ROW_BYTES, ROWS, unpack_row

ROWS_A_FILE = 36_000
"""ten hours: 2.9 MB, and as much of older ones beside them"""
_NEWEST_ROWS = 1024
"""the newest number is looked for among so many last rows"""
_LARGEST_SEQUENCE = 4_000_000_000
"""no series has as many: it is begun anew"""
_WRITE = os.O_WRONLY | os.O_CREAT
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no system has all of them
    _WRITE |= getattr(os, _name, 0)


class ActivityFiles:
    """The files of one run; another one of the same state must not write meanwhile.

    Args:
        folder: made with the first write, and again where it has gone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sequence: int | None = None

    def write_now(self, content: bytes) -> None:
        """Replace the document: readers see the old one or the new one.

        Raises:
            OSError: it cannot be written; the old one stays.
        """
        self._require_own()
        new = self._folder / f".{NOW}.new"
        try:
            self._write(new, os.O_EXCL, content)  # what lies there is not written into, whatever it is
            new.replace(self._folder / NOW)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise

    def next_sequence(self) -> int:
        """The number of the next row: it goes on where the last run ended."""
        if self._sequence is None:
            self._sequence = max(self._newest(ROWS), self._newest(OLDER_ROWS))
            if self._sequence > _LARGEST_SEQUENCE:
                self._forget()
        return self._sequence + 1

    def append(self, row: bytes) -> None:
        """Add the row with the next number; of what a crash left of one before, nothing stays.

        Raises:
            OSError: it cannot be written; what is there stays as it is.
        """
        self._require_own()
        sequence, path = self.next_sequence(), self._folder / ROWS
        if not _goes_on(path):
            path.replace(self._folder / OLDER_ROWS)
        self._write(path, os.O_APPEND, row, whole=ROW_BYTES)
        self._sequence = sequence

    def _require_own(self) -> None:
        if self._folder.is_symlink():  # where it leads is not ours
            raise NotADirectoryError(self._folder)

    def _write(self, path: Path, how: int, content: bytes, *, whole: int = 1) -> None:
        self._require_own()
        with suppress(FileExistsError):
            self._folder.mkdir()  # not the state itself: where that has gone, nobody watches
        descriptor = os.open(path, _WRITE | how, 0o644)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path} is no regular file")
            if found.st_size % whole:  # of the opened file: by its name, a link would be followed
                os.ftruncate(descriptor, found.st_size - found.st_size % whole)
            if os.write(descriptor, content) < len(content):  # a full disk took some of it
                raise OSError(f"{path} could not be written to its end")
        finally:
            os.close(descriptor)

    def _newest(self, name: str) -> int:
        try:
            with open_regular(self._folder / name) as stream:
                rows = os.fstat(stream.fileno()).st_size // ROW_BYTES
                stream.seek(max(0, rows - _NEWEST_ROWS) * ROW_BYTES)
                content = stream.read(_NEWEST_ROWS * ROW_BYTES)
        except OSError:
            return 0
        found = (unpack_row(content[at : at + ROW_BYTES]) for at in range(0, len(content), ROW_BYTES))
        return max((row.sequence for row in found if row is not None), default=0)

    def _forget(self) -> None:
        self._sequence = 0
        for name in (ROWS, OLDER_ROWS):
            with suppress(OSError):
                (self._folder / name).unlink()


def _goes_on(path: Path) -> bool:
    """Whether rows may be added: it is not full, no link or pipe, and of no other name that is somebody's."""
    try:
        found = path.lstat()
    except OSError:
        return True
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return plain and found.st_size < ROWS_A_FILE * ROW_BYTES
