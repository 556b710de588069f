"""The documents of a folder, named by what they say.

A txt or md file is a document; so is each row of a csv, jsonl or parquet file that has a text. A document is
called by the SHA-256 of its text, white space at the ends of lines left out, so that it stays the same one
wherever it lies. Files that did not change since they were read are not read again; of what was read, only
digests are kept.

At first, a file that cannot be read is an error. Later it is told of, once until it changes: what was known
of it stays as it was, and everything else goes on. A folder that is away takes no document with it.
"""

from __future__ import annotations

__all__ = ["Folder", "digest_of", "tidy"]

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryoflux.errors import DataError
from cryoflux.tasks.index.formats import SUFFIXES, read_texts
from cryoflux.tasks.index.names import NAME_BYTES, Names, Places, as_digests

_SIGNATURE = struct.Struct("<qqQ")
"""modified, ns; bytes; inode"""
_UNKNOWN = bytes(_SIGNATURE.size)
"""of a file that is to be read again, whatever it is like"""
_NO_TEXT = bytes(NAME_BYTES)

Trouble = Callable[[str, DataError], Any]
"""is told of a file that cannot be read, by its name in the folder"""


def tidy(text: str) -> str:
    """A text without a byte order mark, blanks at the ends of lines, and empty lines around it."""
    found = "\n".join(line.rstrip() for line in text.removeprefix("\ufeff").splitlines()).strip()
    try:
        found.encode()
    except UnicodeEncodeError:  # half a character, which JSON can spell and nothing can show
        return found.encode("utf-8", "replace").decode()
    return found


def digest_of(text: str) -> bytes:
    """SHA-256 of a tidy text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class Folder:
    """A folder of documents."""

    path: Path
    names: Names = field(default_factory=Names.of)
    """of its documents"""
    away: bool = False
    """whether it was not there when it was looked at last"""
    _files: dict[str, bytes] = field(default_factory=dict)
    """file → its signature as it was read, and the digest of each row; zeros where a row has no text"""
    _broken: dict[str, bytes] = field(default_factory=dict)
    """file, or folder below, that cannot be read → its signature"""
    _stale: bool = False
    """whether a file has changed since the names were put in order"""
    _order: list[str] = field(default_factory=list)
    """the files, sorted"""
    _ends: Places = field(default_factory=lambda: np.zeros(0, np.int64))
    """of each of these: the rows up to its last one, all files counted"""
    _rows: Places = field(default_factory=lambda: np.zeros(0, np.int64))
    """of each name: the first row that has it, all files counted"""

    def look(self, trouble: Trouble | None = None) -> bool:
        """Read what is new or changed; whether anything is.

        Args:
            trouble: is told of what cannot be read, once until it changes; without it that is raised.

        Raises:
            DataError: the folder or one of its files cannot be read, and there is nobody to tell.
        """
        found = _Found(set(self._files) | set(self._broken))
        try:
            for name, signature in self._listed(found):
                if not self._knows(name, signature):
                    self._read(name, signature, trouble)
        except DataError as error:
            if trouble is None:
                raise
            if not self.away:
                trouble("", error)
            self.away = True
            return False
        self.away = False
        self._unreadable(found, trouble)
        for name in found.gone():
            self._stale |= self._files.pop(name, None) is not None
            self._broken.pop(name, None)
        changed = self._stale
        if changed:
            self._arrange()
        return changed

    def has_changed(self) -> bool:
        """Whether there is something to read: by names, sizes and times alone.

        Raises:
            DataError: the folder is not there.
        """
        found = _Found(set(self._files) | set(self._broken))
        if not all(self._knows(name, signature) for name, signature in self._listed(found)) or self.away:
            return True
        return bool(found.gone()) or any(name not in self._broken for name in found.unreadable)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    def texts(self, wanted: Names) -> Iterator[tuple[bytes, str, str]]:
        """Name, place and text of some documents, file by file; what has changed meanwhile is left out."""
        places = self.names.places(wanted.digests)
        yield from self._texts(np.sort(self._rows[places[places >= 0]]))

    def everything(self) -> Iterator[tuple[bytes, str, str]]:
        """Name, place and text of each document, file by file."""
        yield from self._texts(np.sort(self._rows))

    def _texts(self, rows: Places) -> Iterator[tuple[bytes, str, str]]:
        at = 0
        while at < len(rows):
            number = int(np.searchsorted(self._ends, rows[at], side="right"))
            before = int(self._ends[number - 1]) if number else 0
            after = int(np.searchsorted(rows, self._ends[number]))
            name, alone = self._order[number], int(self._ends[number]) - before == 1
            shown = name.encode("utf-8", "replace").decode()
            for row, digest, text in self._of_file(name, (rows[at:after] - before).tolist()):
                yield digest, shown if alone else f"{shown}#{row + 1}", text
            at = after

    def _of_file(self, name: str, rows: list[int]) -> Iterator[tuple[int, bytes, str]]:
        known = self._files[name]
        left = len(rows)
        try:
            for row, raw in read_texts(self.path / name, rows):
                text, start = tidy(raw), _SIGNATURE.size + row * NAME_BYTES
                digest = known[start : start + NAME_BYTES]
                if digest_of(text) == digest:
                    left -= 1
                    yield row, digest, text
        except DataError:
            pass  # the next look says what is wrong with it
        if left and name in self._files:
            self._files[name] = _UNKNOWN + self._files[name][_SIGNATURE.size :]

    def _knows(self, name: str, signature: bytes) -> bool:
        return self._broken.get(name, self._files.get(name, b"")[: _SIGNATURE.size]) == signature

    def _read(self, name: str, signature: bytes, trouble: Trouble | None) -> None:
        try:
            texts = (tidy(text) for _, text in read_texts(self.path / name))
            rows = b"".join(digest_of(text) if text else _NO_TEXT for text in texts)
        except DataError as error:
            if trouble is None:
                raise
            self._broken[name] = signature
            trouble(name, error)
            return
        self._broken.pop(name, None)
        self._files[name] = signature + rows
        self._stale = True

    def _arrange(self) -> None:
        self._order = sorted(self._files)
        content = b"".join(self._files[name][_SIGNATURE.size :] for name in self._order)
        sizes = [len(self._files[name]) - _SIGNATURE.size for name in self._order]
        self._ends = np.cumsum(np.array(sizes, np.int64)) // NAME_BYTES
        names, self._rows = np.unique(as_digests(content), return_index=True)
        if len(names) and names[0] == b"":  # of rows without a text
            names, self._rows = names[1:], self._rows[1:]
        self.names, self._stale = Names(names), False

    def _unreadable(self, found: _Found, trouble: Trouble | None) -> None:
        for name, error in found.unreadable.items():
            if trouble is None:
                raise _no_folder(self.path / name, error)
            if name not in self._broken:
                self._broken[name] = _UNKNOWN
                trouble(name, _no_folder(self.path / name, error))

    def _listed(self, found: _Found) -> Iterator[tuple[str, bytes]]:
        """Each file with its signature; what it comes upon is noted as it goes."""
        folders = [""]
        while folders:
            below = folders.pop()
            try:
                for entry in _entries(self.path / below):
                    name = f"{below}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
                    elif (signature := _signature(entry)) is not None:
                        found.not_yet.discard(name)
                        yield name, signature
            except OSError as error:
                if not below:
                    raise _no_folder(self.path, error) from error
                if not isinstance(error, FileNotFoundError):
                    found.unreadable[below] = error


@dataclass(slots=True)
class _Found:
    """What a look comes upon."""

    not_yet: set[str]
    """files and folders that were known and were not come upon"""
    unreadable: dict[str, OSError] = field(default_factory=dict)
    """folder below that cannot be listed → why"""

    def gone(self) -> list[str]:
        """Files and folders that are gone; what is below an unreadable folder may be there."""
        hidden = tuple(self.unreadable)
        return [name for name in self.not_yet if not (hidden and name.startswith(hidden))]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _signature(entry: os.DirEntry[str]) -> bytes | None:
    """What a file is known by; none where it is none that is read."""
    if not entry.name.lower().endswith(SUFFIXES):
        return None
    try:
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError:  # it is gone by now, or a link that leads nowhere
        return None
    return _SIGNATURE.pack(status.st_mtime_ns, status.st_size, status.st_ino)


def _no_folder(path: Path, error: OSError) -> DataError:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    what = f"There is no folder {path}." if gone else f"The folder {path} cannot be read: {error.strerror}."
    return DataError(what, why="Its documents are what is indexed.", hint="Name one: --index DIR.")
