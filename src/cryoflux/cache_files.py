"""Files that may be deleted: who uses one holds a lock on it, and what was used longest ago goes first.

The lock is the kernel's, so it ends with the process, however that ends. A file is removed only by whoever
gets its lock, so none is taken away from a process that has it open.
"""

from __future__ import annotations

__all__ = ["CachedFile", "bytes_on_disk", "cached_files", "hold", "remove_unused"]

import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
"""bytes, whatever those of the disk are"""


@dataclass(frozen=True, slots=True)
class CachedFile:
    """One file of a cache."""

    path: Path
    size: int
    """bytes, without its holes"""
    used_ns: int
    """when it was last used"""


def bytes_on_disk(status: os.stat_result) -> int:
    """Bytes of a file, less its holes; some file systems do not say what they gave it."""
    given = getattr(status, "st_blocks", 0) * _BLOCK
    return min(status.st_size, given) if given else status.st_size


def cached_files(folder: Path) -> list[CachedFile]:
    """All files below a folder, used longest ago first; links are not followed."""
    found = []
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:  # another process was faster
            continue
        if not path.is_dir() or path.is_symlink():
            found.append(CachedFile(path, bytes_on_disk(status), status.st_mtime_ns))
    return sorted(found, key=lambda one: (one.used_ns, one.path))


def hold(descriptor: int) -> bool:
    """Take the lock of an open file, unless another process has it; closing the file gives it back."""
    try:
        import fcntl  # what only reads needs no lock, and works where there are none

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_unused(path: Path) -> bool:
    """Delete a file unless somebody uses it; whether it is gone.

    Raises:
        OSError: it may not be deleted.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError:  # no plain file, or not readable: nobody maps such a thing
        path.unlink(missing_ok=True)
        return True
    try:
        if not hold(descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
