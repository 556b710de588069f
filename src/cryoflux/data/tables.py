"""What every format comes down to: a table whose rows are read one at a time, with a text and a label."""

from __future__ import annotations

__all__ = ["LONGEST_ROW", "Flaw", "Table", "looked_up", "names_in", "text_lines", "too_long"]

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryoflux.data.bytes_in import BytesIn
from cryoflux.data.columns import TakenColumns
from cryoflux.errors import DataError

LONGEST_ROW = 2**24
"""characters of a line, or of a row of JSON"""
_DEEPEST, _MOST_NAMES = 4, 400


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a row that has no text to judge."""

    code: str
    said: str
    """in words that end a sentence"""


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose columns are known."""

    kind: str
    """``CSV``, ``JSONL`` and so on"""
    columns: TakenColumns
    rows: Callable[[], Iterator[tuple[int, Any, Any]]]
    """from the beginning: number, text (a tuple of a pair's two; or a `Flaw`), label"""
    numbered: str = "line"
    """what the numbers count"""
    separator: str = ""
    headed: bool = True
    """whether the columns have names"""
    class_names: tuple[str, ...] = ()
    """of labels that are stored as numbers"""


def text_lines(source: BytesIn, encoding: str, *, newline: str) -> Iterator[str]:
    """The lines of a text, each with what ends it; none is ever longer in memory than a row may be.

    Args:
        source: the file.
        encoding: of its text.
        newline: what ends a line, as `io.TextIOWrapper` takes it.

    Raises:
        DataError: a line is too long.
    """
    with io.TextIOWrapper(source.opened(), encoding=encoding, newline=newline) as text:
        number = 0
        while line := text.readline(LONGEST_ROW):
            number += 1
            if len(line) == LONGEST_ROW and not line.endswith("\n"):
                raise too_long(source.where, f"line {number}")
            yield line


def too_long(where: str, place: str) -> DataError:
    """The error about a row that does not end."""
    return DataError(
        f"{where}, {place}: longer than {LONGEST_ROW} characters.",
        why="No text of an example is that long; the file may be of another kind than its name says.",
        hint="Look at its beginning: head -c 500 FILE.",
    )


def looked_up(row: Any, path: str) -> Any:
    """What a row of named fields has under a name, or under a path with dots; nothing where it has none."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    for part in path.split("."):
        if isinstance(row, Mapping):
            row = row.get(part)
        elif isinstance(row, list) and part.isascii() and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        else:
            return None
    return row


def names_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all fields of some rows, those below others as paths, in the order in which they come."""
    found: dict[str, None] = {}
    for row in rows:
        if len(found) < _MOST_NAMES:
            _add_names(found, row, "", _DEEPEST)
    return [*found]


def _add_names(found: dict[str, None], row: Mapping[str, Any], above: str, deep: int) -> None:
    for name, value in row.items():
        if isinstance(value, Mapping) and value and deep > 1:
            _add_names(found, value, f"{above}{name}.", deep - 1)
        else:
            found.setdefault(f"{above}{name}")
