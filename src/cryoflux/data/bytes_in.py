"""The bytes of a file, from its beginning as often as they are asked for, unpacked where it is packed.

What is not read is refused by its first bytes, with what makes it readable.
"""

from __future__ import annotations

__all__ = ["MOST_ARRIVING_BYTES", "SHAPE_HINT", "BytesIn", "bytes_of_arrived", "bytes_of_named", "too_much"]

import gzip
import io
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cryoflux.errors import DataError
from cryoflux.files import read_regular

MOST_ARRIVING_BYTES = 2**26
"""of a file that came while a run goes on: its rows take many times as much memory"""
_MOST_TIMES, _LEAST_BYTES = 200, 2**28
"""gzip packs texts to a tenth, and nothing but a bomb to less than a two hundredth of so many bytes"""
_HEAD = 4096
SHAPE_HINT = "Give CSV, TSV, JSON, JSONL or parquet with a column of texts and one of labels."
_STRANGE: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "Unpack it (unzip FILE), or save the sheet as CSV."),
    (b"BZh", "packed by bzip2", "Unpack it: bunzip2 -k FILE."),
    (b"\xfd7zXZ\0", "packed by xz", "Unpack it: unxz -k FILE."),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "Unpack it: unzstd FILE."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it: 7z x FILE."),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "Export it: sqlite3 -csv -header FILE 'select …' > NEW.csv.",
    ),
    (b"%PDF-", "a PDF", SHAPE_HINT),
    (b"\xd0\xcf\x11\xe0", "an old Office file", "Save the sheet as CSV."),
    (b"ARROW1", "an Arrow file", "Write it as parquet, or name the folder that it lies in."),
    (b"\x80\x04\x95", "a pickle, which may run code when it is read", "Write it as CSV or parquet."),
)


@dataclass(frozen=True, slots=True)
class BytesIn:
    """A file as bytes."""

    where: str
    """its name, for errors"""
    suffix: str
    """of its name, without ``.gz``, in lower case"""
    opened: Callable[[], BinaryIO]
    """its bytes from the beginning, unpacked"""
    packed: str = ""
    """``gzip``, or nothing"""
    head: bytes = b""

    @property
    def is_parquet(self) -> bool:
        """Whether it is a parquet file."""
        return self.head.startswith(b"PAR1")


def bytes_of_named(path: Path) -> BytesIn:
    """A file that the owner has named; it may be a pipe.

    Raises:
        DataError: it cannot be read, or is of a kind that is not.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            content = path.read_bytes()  # a pipe is read once; a folder is refused here
            return _made(path, lambda: io.BytesIO(content), len(content))
        with path.open("rb"):
            pass
    except OSError as error:
        raise _unreadable(path, error) from error
    return _made(path, lambda: path.open("rb"), found.st_size)


def bytes_of_arrived(path: Path) -> BytesIn:
    """A file that anybody may have put there: regular, of 64 MiB at most, packed or not.

    Raises:
        DataError: it is not, or of a kind that is not read.
    """
    try:
        content = read_regular(path, MOST_ARRIVING_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _made(path, lambda: io.BytesIO(content), len(content), most=MOST_ARRIVING_BYTES)


def _made(path: Path, opened: Callable[[], BinaryIO], size: int, most: int | None = None) -> BytesIn:
    with opened() as stream:
        head = stream.read(_HEAD)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = ""
    if head.startswith(b"\x1f\x8b"):
        packed, raw = "gzip", opened
        limit = most or max(_LEAST_BYTES, _MOST_TIMES * size)
        suffixes = [suffix for suffix in suffixes if suffix != ".gz"]

        def unpacked() -> BinaryIO:
            return cast(BinaryIO, io.BufferedReader(_Unpacked(str(path), raw(), limit)))

        opened = unpacked
        with opened() as stream:
            head = stream.read(_HEAD)
    _refuse_strange(str(path), head)
    return BytesIn(str(path), suffixes[-1] if suffixes else "", opened, packed, head)


def too_much(where: str, most: int) -> DataError:
    """The error about a file that unpacks to more bytes than are read of it."""
    return DataError(
        f"{where} unpacks to more than {most // 10**6} MB.",
        why="Texts do not pack that well: it was made to fill the memory, or is too large to read.",
        hint="Unpack it yourself, and give what you want to be read: gunzip -k FILE.",
    )


class _Unpacked(io.RawIOBase):
    """What gzip unpacks, up to a limit."""

    def __init__(self, where: str, raw: BinaryIO, most: int) -> None:
        self._where, self._raw, self._most = where, raw, most
        self._file, self._count = gzip.GzipFile(fileobj=raw, mode="rb"), 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        try:
            found = self._file.read(len(into))
        except (OSError, EOFError, ValueError) as error:
            raise self._broken(str(error)) from error
        except Exception as error:  # zlib's own error is a plain Exception
            raise self._broken(str(error)) from error
        self._count += len(found)
        if self._count > self._most:
            raise too_much(self._where, self._most)
        into[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._file.close()
        self._raw.close()
        super().close()

    def _broken(self, reason: str) -> DataError:
        return DataError(
            f"{self._where} cannot be unpacked: {reason[:200]}.",
            why="What is left of a broken file would be another data set.",
            hint="Copy or download it again; `gzip -t FILE` tests it.",
        )


def _refuse_strange(where: str, head: bytes) -> None:
    for mark, kind, hint in _STRANGE:
        if head.startswith(mark):
            raise DataError(
                f"{where} is {kind}.", why="Examples are read from text files and parquet.", hint=hint
            )
    if head[257:262] == b"ustar":
        raise DataError(
            f"{where} is a tar archive.",
            why="Which of its files is meant is not known.",
            hint="Unpack it: tar xf FILE.",
        )
    if not head.strip() and len(head) < _HEAD:
        raise DataError(f"{where} is empty.", why="There is nothing to learn from.", hint=SHAPE_HINT)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be read: {error.strerror}.",
        why="Without its examples there is nothing to train or judge on.",
        hint=f"Check the path. {SHAPE_HINT}",
    )
