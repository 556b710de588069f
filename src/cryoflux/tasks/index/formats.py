"""The texts of a file: one of a txt or md file, one a row of a csv, jsonl or parquet file."""

from __future__ import annotations

__all__ = ["LONGEST_BYTES", "SUFFIXES", "read_texts"]

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from cryoflux.errors import DataError
from cryoflux.files import open_regular

SUFFIXES = (".txt", ".md", ".csv", ".jsonl", ".parquet")
LONGEST_BYTES = 16_000_000
"""of a document"""
_ROWS = 1024
"""rows of a parquet file that are in memory together"""
_TEXT, _TITLE = "text", "title"
_SHAPE = "Each row needs a field called text; one called title may stand beside it."


def read_texts(path: Path, wanted: Iterable[int] | None = None) -> Iterator[tuple[int, str]]:
    """The number of a row, from 0, and its text as it is written.

    Args:
        path: the file.
        wanted: numbers of rows, rising; all where it is none. Of others only where they end is looked for.

    Raises:
        DataError: it cannot be read.
    """
    rows, said = _FORMATS.get(path.suffix.lower(), (_whole, _as_text))
    numbers = iter(count() if wanted is None else wanted)
    following = next(numbers, None)
    with _readable(path):
        for number, row in enumerate(rows(path)):
            if following is None:
                return
            if number == following:
                yield number, said(row)
                following = next(numbers, None)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        kind = path.suffix.lower()
        mend = "Mend it" if kind == ".parquet" else "Mend it, convert it to UTF-8"
        raise DataError(
            f"{path} cannot be indexed: {str(error).strip()[:200]}.",
            why="A document that is left out in silence could not be found, and nobody would know.",
            hint=f"{mend}, or move it out of the folder.{'' if kind in {'.txt', '.md'} else f' {_SHAPE}'}",
        ) from error


def _whole(path: Path) -> Iterator[bytes]:
    with open_regular(path) as stream:
        content = stream.read(LONGEST_BYTES + 1)
    if len(content) > LONGEST_BYTES:
        raise ValueError(f"it is longer than {LONGEST_BYTES:,} bytes, the most that a document has")
    yield content


def _as_text(content: bytes) -> str:
    return content.decode("utf-8")


def _row_text(row: Any, where: str = "a row") -> str:
    text = row.get(_TEXT) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{where} has no field called {_TEXT}")  # noqa: TRY004 - of the file, not of a call
    title = row.get(_TITLE)
    return f"{title.strip()}\n{text}" if isinstance(title, str) and title.strip() else text


def _csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(LONGEST_BYTES)
    with open_regular(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames is not None and _TEXT not in reader.fieldnames:
            raise ValueError(f"its first line names no field called {_TEXT}")
        yield from reader


def _jsonl(path: Path) -> Iterator[tuple[int, bytes]]:
    with open_regular(path) as stream:
        number = 0
        while line := stream.readline(LONGEST_BYTES + 1):
            number += 1
            if len(line) > LONGEST_BYTES:
                raise ValueError(f"line {number} is longer than {LONGEST_BYTES:,} bytes")
            if line.strip():
                yield number, line


def _line_text(numbered: tuple[int, bytes]) -> str:
    number, line = numbered
    return _row_text(json.loads(line), f"line {number}")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path} is a parquet file, and pyarrow is not installed.",
            why="Nothing else here reads its format.",
            hint="Install it: pip install 'cryoflux[index]', or convert the file to csv or jsonl.",
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as raw, pq.ParquetFile(raw) as table:
            columns = [name for name in (_TITLE, _TEXT) if name in table.schema_arrow.names]
            if _TEXT not in columns:
                raise ValueError(f"it has no column called {_TEXT}")
            for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


_FORMATS: dict[str, tuple[Callable[[Path], Iterator[Any]], Callable[[Any], str]]] = {
    ".csv": (_csv, _row_text),
    ".jsonl": (_jsonl, _line_text),
    ".parquet": (_parquet, _row_text),
}
"""suffix → what reads the rows of a file, and what makes a row's text"""
