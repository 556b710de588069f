"""The tree of files that others may see: each of them is there whole, or not at all.

A file is made in a folder beside the tree and takes its name there in one step, so that whoever serves the
tree, by whatever means, never shows half of one, nor one that is only being made.
"""

from __future__ import annotations

__all__ = ["PublicTree"]

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from cryoflux.digests import file_digest
from cryoflux.files import (
    open_regular,
    read_beginning,
    read_regular,
    require_regular,
    storage_errors,
    sync_folder,
    write_atomic,
)


class PublicTree:
    """The files, by their paths below the root.

    Args:
        root: of the tree.
        staging: folder on the same file system that has files until they are whole; what lies there is thrown
            away.
    """

    def __init__(self, root: Path, staging: Path) -> None:
        self.root, self._staging = root, staging
        self.changed = 0
        """files that are new, or others than before"""
        with storage_errors(staging):
            staging.mkdir(parents=True, exist_ok=True)
            root.mkdir(parents=True, exist_ok=True)
            for left in staging.iterdir():
                left.unlink()

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.root / name).is_file()

    def read(self, name: str, most: int) -> bytes:
        """What a file has, at most so many bytes; empty where there is none."""
        with storage_errors(self.root / name):
            return read_regular(self.root / name, most) if self.has(name) else b""

    def put(self, name: str, content: bytes) -> None:
        """Let a file have some bytes.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        path = self.root / name
        with storage_errors(path):
            same = self.has(name) and read_beginning(path, len(content) + 1) == content
        if not same:
            write_atomic(path, content, by_way_of=self._staging)
            self.changed += 1

    def share(self, name: str, source: Path, digest: str = "") -> bool:
        """Let a file be another one for good; what is there already stays.

        Where the file system has links it is the same file under a second name, so it takes no room.

        Args:
            name: in the tree.
            source: the file, which is replaced but never written to once more.
            digest: SHA-256 that its bytes have to have; empty where they are not held against any.

        Returns:
            whether the file is there now: not where ``source`` is none, or has other bytes.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        if self.has(name):
            return True
        try:
            require_regular(source)
        except OSError:
            return False
        target, staged = self.root / name, self._staging / secrets.token_hex(8)
        with storage_errors(target):
            _link_or_copy(source, staged)
            if digest and file_digest(staged) != digest:
                staged.unlink()
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            sync_folder(target.parent)
        self.changed += 1
        return True

    def remove(self, name: str) -> None:
        """Let a file go."""
        with storage_errors(self.root / name):
            (self.root / name).unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    with suppress(OSError):  # another file system, or one without links
        os.link(source, target, follow_symlinks=False)
        return
    with open_regular(source) as stream, target.open("xb") as copy:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        os.fsync(copy.fileno())
