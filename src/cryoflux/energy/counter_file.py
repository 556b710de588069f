"""One small file of the kernel, kept open and read over and over.

An open descriptor costs a microsecond a read, and a read goes on when the process has run out of
descriptors. A file that was replaced (a driver loaded anew, a process that ended) is noticed and opened
again, and how often that happened can be seen: a counter behind it may have restarted.
"""

from __future__ import annotations

__all__ = ["CounterFile"]

import os
from contextlib import suppress

_CLOSES = getattr(os, "O_CLOEXEC", 0)
"""Where a system has no such flag, it has none of the kernel's files either."""


class CounterFile:
    """A file that is read from its start each time.

    Args:
        path: where it is.
    """

    __slots__ = ("_fd", "_inode", "openings", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.openings = 0
        """how often it was opened"""
        self._fd = -1
        self._inode = 0

    @property
    def instance(self) -> str:
        """Changes when the file was replaced or opened again."""
        return f"{self._inode}.{self.openings}"

    def read(self, size: int = 64) -> bytes | None:
        """Up to ``size`` bytes from the start; none where the file cannot be read or is gone."""
        data = self._pread(size) if self._fd >= 0 else None
        if data is None and self._open():
            data = self._pread(size)
        return data

    def _pread(self, size: int) -> bytes | None:
        try:
            # A file without a name was deleted, or another one was put in its place.
            if os.fstat(self._fd).st_nlink:
                return os.pread(self._fd, size, 0)
        except OSError:
            pass
        self.close()
        return None

    def _open(self) -> bool:
        try:
            self._fd = os.open(self.path, os.O_RDONLY | _CLOSES)
            self._inode = os.fstat(self._fd).st_ino
        except OSError:
            return False
        self.openings += 1
        return True

    def close(self) -> None:
        """Let go of the descriptor; the next read opens the file again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # somebody else has closed it, with all that were open
                os.close(fd)

    def __del__(self) -> None:
        self.close()
