"""Files that arrive in a watched folder: which of them are finished, and have not been read as they are now.

Looked at by one `os.scandir` each time. A file is finished when nobody has written to it for a second; one
that was renamed in is so at once, because its time of writing is older. One that is written to again later
is read again: what has joined of it is known and does not join twice. Nothing is remembered on the disk.
"""

from __future__ import annotations

__all__ = ["Arrivals"]

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_SUFFIXES = (*_TEXTS, ".parquet", *(f"{suffix}.gz" for suffix in _TEXTS))
_STILL_NS = 1_000_000_000
_MOST_FILES = 100_000
"""of a folder, that are looked at"""


class Arrivals:
    """What has come into a folder.

    Args:
        folder: which; it may come later.
        now_ns: wall time, as files have it.
    """

    def __init__(self, folder: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.folder = folder
        self._now_ns = now_ns
        self._read: dict[str, tuple[int, int, int]] = {}
        """name → inode, size and time of writing, when it was read"""
        self.problem = ""
        """why not everything that lies there was looked at, the last time"""

    def finished(self) -> list[Path]:
        """Files to read, by name; each is given once, until it changes."""
        now_ns, here, found = self._now_ns(), set[str](), list[Path]()
        try:
            there = self._look()
        except OSError as error:
            # It may come back as it was: what was read is not forgotten.
            self.problem = f"{self.folder} cannot be read: {error.strerror}."
            return []
        self.problem = ""
        if len(there) > _MOST_FILES:
            self.problem = f"{self.folder} holds more than {_MOST_FILES} files: only so many are looked at."
        for name, seen in there[:_MOST_FILES]:
            here.add(name)
            if self._read.get(name) != seen and not 0 <= now_ns - seen[2] < _STILL_NS:
                self._read[name] = seen
                found.append(self.folder / name)
        for name in self._read.keys() - here:
            del self._read[name]
        return sorted(found)

    def again(self, path: Path) -> None:
        """A file could not be used now: give it again."""
        self._read.pop(path.name, None)

    def _look(self) -> list[tuple[str, tuple[int, int, int]]]:
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.endswith(_SUFFIXES):
                    continue
                try:
                    said = entry.stat()
                except OSError:
                    continue
                if stat.S_ISREG(said.st_mode):  # a pipe would be waited for without end
                    found.append((entry.name, (said.st_ino, said.st_size, said.st_mtime_ns)))
                if len(found) > _MOST_FILES:
                    break
        return found
