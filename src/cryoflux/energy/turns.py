"""Processes that begin at the same time take turns, so that a machine has one baseline."""

from __future__ import annotations

__all__ = ["one_at_a_time"]

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait for the turn, and have it until the end of the block, or of this process.

    Where nothing may be written, or the file system knows no locks, nobody waits.

    Args:
        path: the lock file; it stays behind, unlocked.
    """
    descriptor = -1
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)
