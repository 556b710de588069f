"""Files that are either the old one or the new one, whatever happens in between.

A write goes to a temporary name in the same folder, is flushed to the disk, and takes the final
name in one step. Whatever the operating system refuses becomes a `StorageError` that says what to
do about it.
"""

from __future__ import annotations

__all__ = [
    "lock_exclusively",
    "one_at_a_time",
    "replace_symlink",
    "storage_errors",
    "sync_folder",
    "write_atomic",
]

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryoflux.errors import StateLockedError, StorageError

try:
    import fcntl
except ImportError:  # what only reads works without locks, on Windows too
    fcntl = None  # type: ignore[assignment]

_HINTS = {
    errno.ENOSPC: "Free some space, then run the same command again.",
    errno.EDQUOT: "Your disk quota is used up: free some space, then run the same command again.",
    errno.EROFS: "The file system is read-only: choose another folder with --state DIR.",
    errno.EACCES: "You may not write there: choose another folder with --state DIR.",
    errno.EEXIST: "A file of that name is in the way: choose another folder with --state DIR.",
    errno.ENOTDIR: "A part of that path is a file: choose another folder with --state DIR.",
    errno.EPERM: "You may not write there: choose another folder with --state DIR.",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` about ``path`` into a `StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(
            f"{path} could not be written: {reason}.",
            why="Nothing was recorded that is not safely on the disk.",
            hint=_HINTS.get(error.errno or 0, "Check the disk, then run the same command again."),
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries, so that a rename in it survives a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write ``content`` so that readers see the old file or the new one, never a part.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Point ``link`` at ``target`` in one step."""
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    with storage_errors(link):
        temporary.symlink_to(target)
        try:
            temporary.replace(link)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(link.parent)


@contextmanager
def lock_exclusively(path: Path, *, holder: str) -> Iterator[None]:
    """Hold a lock that the kernel releases when this process ends, however it ends.

    Args:
        path: the lock file; it stays behind, unlocked.
        holder: who asks, for the message that a second process gets.

    Raises:
        StateLockedError: a live process holds it.
        StorageError: the file cannot be made.
    """
    if fcntl is None:
        raise StorageError(
            f"{path.parent} cannot be locked on this system.",
            why="Two runs on one state would spend the same joules twice.",
            hint="Run on Linux, also in a virtual machine or WSL; reading and verifying need no lock.",
        )
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with storage_errors(path):
            _take(descriptor, path, holder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, holder: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
        raise StateLockedError(
            f"{path.parent} is in use by {other}.",
            why="Two runs on one state would spend the same joules twice.",
            hint="Wait for it to end, or give this one its own folder with --state DIR.",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{holder} (process {os.getpid()})\n".encode(), 0)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait for the turn, and have it until the end of the block, or of this process.

    Where nothing may be written, or the file system knows no locks, nobody waits.

    Args:
        path: the lock file; it stays behind, unlocked.
    """
    descriptor = -1
    try:
        if fcntl is not None:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)
