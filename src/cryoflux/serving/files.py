"""Files below a folder, as answers: nothing outside of it, no link, nothing hidden, and parts on request.

A file has a tag that changes with it, so that a client gets nothing twice. Nothing is packed: what is packed
can be a thousand times as large as what was sent.
"""

from __future__ import annotations

__all__ = ["IMMUTABLE", "REVALIDATED", "FileTree", "answer_file"]

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from cryoflux.serving.routing import FileReply, Headers, NotServedError, Reply, Request

IMMUTABLE = b"public, max-age=31536000, immutable"
"""of what is named by its content"""
REVALIDATED = b"no-cache"
"""of what changes: a client asks each time, by its tag"""
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MOST_PARTS = 12
_MOST_HASHED_BYTES = 128 * 1024
_NOT_HERE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO}
)
_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")
_BELOW = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


class FileTree:
    """The regular files below a folder.

    Args:
        root: the folder; it need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> BinaryIO | None:
        """A file, opened to read; none where there is no regular file of that path.

        Each folder on the way is opened from the one above it, and no link is followed, so it makes no
        difference what is exchanged meanwhile.

        Args:
            path: below the root, with slashes.

        Raises:
            OSError: the disk refuses, or this process has too many files open.
        """
        *folders, name = parts = path.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
            return None
        try:
            return self._opened(folders, name)
        except OSError as error:
            if error.errno in _NOT_HERE:
                return None
            raise

    def _opened(self, folders: list[str], name: str) -> BinaryIO | None:
        above = os.open(self._root, _FOLDER)
        try:
            for folder in folders:
                below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
                os.close(above)
                above = below
            found = os.open(name, _BELOW | os.O_NONBLOCK, dir_fd=above)
        finally:
            os.close(above)
        stream = os.fdopen(found, "rb")
        if stat.S_ISREG(os.fstat(found).st_mode):
            return stream
        stream.close()
        return None


def answer_file(stream: BinaryIO, request: Request, media: str, keep: bytes) -> Reply | FileReply:
    """An open file as an answer: all of it, a part of it, or that it has not changed.

    Args:
        stream: the file, which the answer closes.
        request: what was asked.
        media: its type.
        keep: how long it may be kept: `IMMUTABLE` or `REVALIDATED`.

    Raises:
        NotServedError: it has no such part.
    """
    size, tag = _known_by(stream)
    headers: Headers = (
        (b"etag", tag),
        (b"cache-control", keep),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
    )
    if _same(request.headers.get(b"if-none-match", b""), tag):
        stream.close()
        return Reply(b"", 304, media, headers)
    asked = request.headers.get(b"range", b"")
    if request.headers.get(b"if-range", tag) != tag:
        asked = b""
    try:
        start, end = _part(asked, size)
    except NotServedError:
        stream.close()
        raise
    if (start, end) == (0, size):
        return FileReply(stream, size, 200, media, headers)
    stream.seek(start)
    within = (b"content-range", f"bytes {start}-{end - 1}/{size}".encode())
    return FileReply(stream, end - start, 206, media, (*headers, within))


def _known_by(stream: BinaryIO) -> tuple[int, bytes]:
    """Size and tag: of small files by their bytes, so that the same ones keep it, else by when they came."""
    found = os.fstat(stream.fileno())
    if found.st_size <= _MOST_HASHED_BYTES:
        tag = hashlib.sha256(stream.read(found.st_size)).hexdigest()[:32]
        stream.seek(0)
    else:
        tag = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
    return found.st_size, f'"{tag}"'.encode()


def _same(tags: bytes, tag: bytes) -> bool:
    """Whether a client has it, by the tags that it names."""
    named = {one.strip().removeprefix(b"W/") for one in tags.split(b",")}
    return tag in named or tags.strip() == b"*"


def _part(asked: bytes, size: int) -> tuple[int, int]:
    """First byte, and the one behind the last; all of it where not exactly one part is asked for."""
    found = _RANGE.fullmatch(asked.strip())
    first, last = found.groups() if found is not None else (b"", b"")
    if not first and not last:
        return 0, size
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):  # no range at all, so none was asked for
            return 0, size
    if start >= end:
        within = (b"content-range", f"bytes */{size}".encode())
        raise NotServedError(416, f"The file has {size} bytes, and none of those.", (within,))
    return start, end
