"""Files that are either the old one or the new one, whatever happens in between, and files of strangers.

A write goes to a temporary name in the same folder, is flushed to the disk, and takes the final
name in one step. Whatever the operating system refuses becomes a `StorageError` that says what to
do about it.

What somebody else has made is read through `open_regular` and the functions beside it, which wait for
nothing and end: no pipe, no device, no file that claims more bytes than anybody has written. What is regular
is asked of the opened file, because a name may mean another file a moment later.
"""

from __future__ import annotations

__all__ = [
    "MOST_DOCUMENT_BYTES",
    "MOST_FILE_BYTES",
    "Copying",
    "IrregularFileError",
    "copy_regular",
    "files_below",
    "holds_something",
    "lock_exclusively",
    "one_at_a_time",
    "open_regular",
    "read_beginning",
    "read_lines",
    "read_regular",
    "replace_symlink",
    "replacing",
    "require_regular",
    "storage_errors",
    "sync_folder",
    "write_atomic",
]

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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

MOST_FILE_BYTES = 64 * 2**30
"""largest file that is read to its end"""
MOST_DOCUMENT_BYTES = 8_000_000
"""largest of the documents that say what a state, a model or a machine is like"""
_MOST_HOLLOW_BYTES = 2**16
_HOLLOW = 16
"""a larger file than that with holes has at least one byte on the disk for so many of its length"""
_MOST_FILES = 100_000
_DEEPEST = 32
_CHUNK = 1 << 20
_READ = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):  # no system has all of them
    _READ |= getattr(os, _name, 0)


class IrregularFileError(OSError):
    """A file is a pipe, a device or the like, or larger than is read; caught like what the system refuses."""


def _irregular(path: Path, reason: str) -> IrregularFileError:
    return IrregularFileError(errno.EINVAL, reason, str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a file that somebody else may have made, to read it.

    A link is followed; what it leads to has to be regular.

    Raises:
        IrregularFileError: it is a pipe, a device, a folder or the like, has more than 64 GiB, or hardly
            consists of anything but holes.
        OSError: it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # to open a device can already do something
        raise _irregular(path, "it is no regular file")
    stream = os.fdopen(os.open(path, _READ), "rb")
    try:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _irregular(path, "it is no regular file")
        if found.st_size > MOST_FILE_BYTES or (_may_be_hollow(found) and _has_holes(stream, found)):
            raise _irregular(path, f"it claims {found.st_size} bytes, more than are read of such a file")
    except BaseException:
        stream.close()
        raise
    return stream


def require_regular(path: Path) -> None:
    """Make sure that something else may open a file by its name: as `open_regular`, but no link.

    An ordinary file is not opened for that: to close it would end all locks that this process has on it.

    Raises:
        IrregularFileError: it is a link, or as for `open_regular`.
        OSError: there is no such file.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise _irregular(path, "it is no regular file")
    if found.st_size > MOST_FILE_BYTES or _may_be_hollow(found):
        open_regular(path).close()


def _may_be_hollow(found: os.stat_result) -> bool:
    """Whether a file has far fewer bytes on the disk than it is long, by a number that may not be known."""
    blocks = getattr(found, "st_blocks", None)
    return blocks is not None and found.st_size > max(_MOST_HOLLOW_BYTES, blocks * 512 * _HOLLOW)


def _has_holes(stream: BinaryIO, found: os.stat_result) -> bool:
    """Whether there are holes in a file, which cost nobody anything to make."""
    # Some file systems do not know their blocks; those know no holes either.
    hole = os.lseek(stream.fileno(), 0, os.SEEK_HOLE)
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    return hole < found.st_size


def read_regular(path: Path, most: int) -> bytes:
    """All bytes of a file that somebody else may have made.

    Raises:
        IrregularFileError: as for `open_regular`; or it has more than ``most`` bytes.
        OSError: it cannot be read.
    """
    content = read_beginning(path, most + 1)
    if len(content) > most:
        raise _irregular(path, f"it has more than {most} bytes")
    return content


def read_beginning(path: Path, most: int) -> bytes:
    """The first ``most`` bytes of a file, or all of a shorter one.

    Raises:
        IrregularFileError, OSError: as for `open_regular`.
    """
    with open_regular(path) as stream:
        # No more than there is: room for all that there may be costs as much as reading it.
        return stream.read(min(most, os.fstat(stream.fileno()).st_size)) or b""


def read_lines(path: Path, longest: int) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file, without their line feed, and whether one ended the line.

    Only one line is in memory at a time. Of one that is too long, the first ``longest`` + 1 bytes are given.

    Raises:
        IrregularFileError, OSError: as for `open_regular`.
    """
    with open_regular(path) as stream:
        left = os.fstat(stream.fileno()).st_size  # a file that grows meanwhile has an end, too
        while left > 0 and (line := stream.readline(min(left, longest + 2))):
            left -= len(line)
            kept = line
            while not line.endswith(b"\n") and left > 0 and (line := stream.readline(min(left, _CHUNK))):
                left -= len(line)
            yield kept.removesuffix(b"\n")[: longest + 1], line.endswith(b"\n")


def copy_regular(source: Path, target: Path) -> None:
    """Copy the bytes of a file that somebody else may have made; folders above the copy are made.

    Raises:
        IrregularFileError, OSError: as for `open_regular`; or it cannot be written.
    """
    Copying().copy(source, target)


class Copying:
    """Copies of files that somebody else may have made, which take no more room than those do.

    What is one file under many names, by links, is one file of as many names afterwards.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], Path] = {}

    def copy(self, source: Path, target: Path) -> None:
        """Copy the bytes of one of them; folders above the copy are made.

        Raises:
            IrregularFileError, OSError: as for `open_regular`; or it cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_regular(source) as stream:
            found = os.fstat(stream.fileno())
            made = self._made.setdefault((found.st_dev, found.st_ino), target)
            if made is not target:
                with suppress(OSError):  # not every file system has links
                    os.link(made, target)
                    return
            with target.open("xb") as copy:
                left = found.st_size
                while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
                    copy.write(chunk)
                    left -= len(chunk)


def holds_something(path: Path) -> bool:
    """Whether anything but an empty folder lies at a path: what is written there would mix with it."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def files_below(folder: Path, *, most: int = _MOST_FILES) -> dict[str, Path]:
    """Everything below a folder that is no folder itself, by its path there; links are not followed.

    Raises:
        IrregularFileError: there are more than ``most`` names, or folders within folders without end.
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    places = [("", 0)]
    count = 0
    while places:
        above, depth = places.pop()
        if depth > _DEEPEST:
            raise _irregular(folder, f"it holds more than {_DEEPEST} folders within each other")
        with os.scandir(folder / above) as entries:
            for entry in entries:
                count += 1
                if count > most:
                    raise _irregular(folder, f"it holds more than {most} names")
                name = f"{above}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    places.append((f"{name}/", depth + 1))
                else:
                    found[name] = folder / name
    return dict(sorted(found.items()))


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


@contextmanager
def replacing(path: Path, *, mode: int = 0o644, by_way_of: Path | None = None) -> Iterator[BinaryIO]:
    """A stream whose content becomes the file once all of it is written: never half a file.

    Args:
        path: of the file.
        mode: of the file, where it is new.
        by_way_of: folder on the same file system that has it until then; the file's own where it is none.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    temporary = (by_way_of or path.parent) / f".{path.name}.{secrets.token_hex(4)}"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644, by_way_of: Path | None = None) -> None:
    """Write ``content`` so that readers see the old file or the new one, never a part.

    Args:
        path: of the file.
        content: its bytes.
        mode: of the file, where it is new.
        by_way_of: folder on the same file system that has it until then; the file's own where it is none.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    with replacing(path, mode=mode, by_way_of=by_way_of) as stream:
        stream.write(content)


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
            hint="Wait for it to end, or end it (Ctrl-C, or kill and that number: what it has begun is "
            "recorded), or give this one its own folder with --state DIR.",
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
