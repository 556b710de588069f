"""The documents of a folder, named by what they say.

A txt or md file is a document; so is each row of a csv, jsonl or parquet file that has a text. A document is
called by the SHA-256 of its text, white space at the ends of lines left out, so that it stays the same one
wherever it lies. Files that did not change since they were read are not read again; of what was read, only
digests are kept.
"""

from __future__ import annotations

__all__ = ["SUFFIXES", "Folder", "digest_of", "tidy"]

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryoflux.errors import DataError
from cryoflux.files import open_regular

SUFFIXES = (".txt", ".md", ".csv", ".jsonl", ".parquet")
_LONGEST = 16_000_000
"""bytes of a document"""
_ROWS = 1024
"""rows of a parquet file that are in memory together"""
_TEXT, _TITLE = "text", "title"
_SHAPE = "Each row needs a field called text; one called title may stand beside it."


def tidy(text: str) -> str:
    """A text without a byte order mark, blanks at the ends of lines, and empty lines around it."""
    return "\n".join(line.rstrip() for line in text.removeprefix("\ufeff").splitlines()).strip()


def digest_of(text: str) -> bytes:
    """SHA-256 of a tidy text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class _File:
    """A file as it was read."""

    signature: tuple[int, int, int]
    """modified, ns; bytes; inode"""
    digests: list[bytes]
    """of its documents, by row; empty where a row holds none"""


@dataclass(slots=True)
class Folder:
    """A folder of documents."""

    path: Path
    _files: dict[str, _File] = field(default_factory=dict)
    _where: dict[bytes, str] = field(default_factory=dict)
    """digest → the first file that has it"""

    def look(self) -> bool:
        """Read what is new or changed; whether anything is.

        Raises:
            DataError: the folder or one of its files cannot be read.
        """
        found = dict(self._listed())
        changed = found.keys() ^ self._files.keys()
        for name in self._files.keys() - found.keys():
            del self._files[name]
        for name, signature in found.items():
            known = self._files.get(name)
            if known is None or known.signature != signature:
                rows = [digest_of(text) if text else b"" for text in self._rows(name)]
                self._files[name] = _File(signature, rows)
                changed.add(name)
        if changed:
            self._where = {}
            for name in sorted(self._files):
                for digest in self._files[name].digests:
                    if digest:
                        self._where.setdefault(digest, name)
        return bool(changed)

    def has_changed(self) -> bool:
        """Whether there is something to read: by names, sizes and times alone.

        Raises:
            DataError: the folder is not there.
        """
        return {name: file.signature for name, file in self._files.items()} != dict(self._listed())

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._where

    def digests(self) -> list[bytes]:
        """The documents, by name, which is in no order that means anything."""
        return sorted(self._where)

    def texts(self, wanted: Iterable[bytes]) -> Iterator[tuple[bytes, str, str]]:
        """Name, place and text of some documents, file by file; what has changed meanwhile is left out."""
        by_file: dict[str, set[bytes]] = {}
        for digest in wanted:
            if (name := self._where.get(digest)) is not None:
                by_file.setdefault(name, set()).add(digest)
        for name in sorted(by_file):
            left = by_file[name]
            alone = len(self._files[name].digests) == 1
            for row, text in enumerate(self._rows(name), 1):
                digest = digest_of(text) if text else b""
                if digest in left:
                    left.discard(digest)
                    yield digest, name if alone else f"{name}#{row}", text

    def everything(self) -> Iterator[tuple[bytes, str]]:
        """Name and text of each document, file by file."""
        for digest, _, text in self.texts(self._where):
            yield digest, text

    def _listed(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        if not self.path.is_dir():
            raise DataError(
                f"There is no folder {self.path}.",
                why="Its documents are what is indexed.",
                hint="Name one: --index DIR.",
            )
        for above, folders, names in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(above) / name
                if name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
                    continue
                status = path.stat()
                signature = (status.st_mtime_ns, status.st_size, status.st_ino)
                yield path.relative_to(self.path).as_posix(), signature

    def _rows(self, name: str) -> Iterator[str]:
        """The tidy text of each row; empty where a row has none."""
        path = self.path / name
        read = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}.get(path.suffix.lower(), _whole)
        with _readable(path):
            yield from (tidy(text) for text in read(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be indexed: {str(error).strip()[:200]}.",
            why="A document that is left out in silence could not be found, and nobody would know.",
            hint=f"Mend it, convert it to UTF-8, or move it out of the folder. {_SHAPE}",
        ) from error


def _whole(path: Path) -> Iterator[str]:
    with open_regular(path) as stream:
        content = stream.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST:,} bytes, the most that a document has")
    yield content.decode("utf-8")


def _row_text(row: Any, where: str) -> str:
    text = row.get(_TEXT) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{where} has no field called {_TEXT}")  # noqa: TRY004 - of the file, not of a call
    title = row.get(_TITLE)
    return f"{title.strip()}\n{text}" if isinstance(title, str) and title.strip() else text


def _csv(path: Path) -> Iterator[str]:
    csv.field_size_limit(_LONGEST)
    with open_regular(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            yield _row_text(row, "a row")


def _jsonl(path: Path) -> Iterator[str]:
    with open_regular(path) as stream:
        number = 0
        while line := stream.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise ValueError(f"line {number} is longer than {_LONGEST:,} bytes")
            if line.strip():
                yield _row_text(json.loads(line), f"line {number}")


def _parquet(path: Path) -> Iterator[str]:
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path} is a parquet file, and pyarrow is not installed.",
            why="Nothing else here reads its format.",
            hint="Install it: pip install 'cryoflux[index]', or convert the file to csv or jsonl.",
        )
    import pyarrow.parquet as pq

    with open_regular(path) as raw, pq.ParquetFile(raw) as table:
        columns = [name for name in (_TITLE, _TEXT) if name in table.schema_arrow.names]
        for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
            for row in batch.to_pylist():
                yield _row_text(row, "a row")
