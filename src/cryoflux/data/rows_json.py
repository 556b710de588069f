"""Rows of named fields in text: JSONL, one object a line; or an array of objects, read a piece at a time."""

from __future__ import annotations

__all__ = ["is_array", "read_json"]

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from cryoflux.data.bytes_in import SHAPE_HINT, BytesIn
from cryoflux.data.columns import TakenColumns, Wishes, columns_of
from cryoflux.data.tables import LONGEST_ROW, Flaw, Table, looked_up, names_in, text_lines, too_long
from cryoflux.errors import DataError

_SAMPLE_ROWS = 200
_CHUNK = 2**18
_SPACE = re.compile(r"[ \t\n\r]*")
_ARRAY = re.compile(r'\ufeff?\s*\[\s*\{\s*"')
_Rows = Callable[[], Iterator[tuple[int, Any]]]


def is_array(head: str) -> bool:
    """Whether a text of no certain kind begins as an array of objects."""
    return _ARRAY.match(head) is not None


def read_json(source: BytesIn, encoding: str, wishes: Wishes) -> Table:
    """The table of a file of JSON.

    Raises:
        DataError: its first rows are no objects, or which fields are text and label is not known.
    """
    with io.TextIOWrapper(source.opened(), encoding=encoding) as text:
        first = text.read(_CHUNK).lstrip()[:1]
    if first == "[":
        return _table("JSON array", source.where, lambda: _elements(source, encoding), wishes, "row")
    try:
        return _table("JSONL", source.where, lambda: _lines(source, encoding), wishes, "line")
    except DataError:
        if (whole := _whole(source, encoding)) is None:
            raise
        name, found = whole
        rows = list(enumerate(found, start=1))
        return _table(f"JSON array in {name!r}", source.where, lambda: iter(rows), wishes, "row")


def _table(kind: str, where: str, read: _Rows, wishes: Wishes, numbered: str) -> Table:
    sample = [row for _, row in islice(read(), _SAMPLE_ROWS) if isinstance(row, Mapping)]
    names = names_in(sample)
    if not sample:
        columns = TakenColumns(("text",), "label", "by name")
    else:
        columns = columns_of(_first_place(where, numbered), names, wishes, tabular=False)

    def rows() -> Iterator[tuple[int, Any, Any]]:
        texts, label = columns.texts, columns.label
        for number, row in read():
            if not isinstance(row, Mapping):
                yield number, Flaw("shape", "no object with fields"), None
                continue
            found = tuple(looked_up(row, name) for name in texts)
            yield number, found[0] if len(found) == 1 else found, looked_up(row, label)

    return Table(kind, columns, rows, numbered)


def _first_place(where: str, numbered: str) -> str:
    return f"{where}, {numbered} 1"


def _broken(where: str, place: str, why: str = "") -> DataError:
    return DataError(
        f"{where}, {place}: this is not a JSON object{why}.",
        why="A row read wrongly would be learned wrongly.",
        hint=SHAPE_HINT,
    )


def _lines(source: BytesIn, encoding: str) -> Iterator[tuple[int, Any]]:
    # Only a line feed ends a line: JSON strings may hold every other separator that Unicode knows.
    for number, line in enumerate(text_lines(source, encoding, newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _broken(source.where, f"line {number}") from error


def _elements(source: BytesIn, encoding: str) -> Iterator[tuple[int, Any]]:
    """The elements of an array, in memory one at a time, each with its number."""
    with io.TextIOWrapper(source.opened(), encoding=encoding) as text:
        reader = _Pieces(text, source.where)
        if reader.next_mark() != "[":
            raise _broken(source.where, "row 1")
        number = 0
        mark = reader.next_mark(take="")
        while mark != "]":
            number += 1
            yield number, reader.value(number)
            mark = reader.next_mark()
            if mark not in {",", "]"}:
                raise _broken(source.where, f"row {number + 1}", "" if mark else ": the array does not end")


class _Pieces:
    """A text that is decoded as it is read."""

    def __init__(self, text: io.TextIOBase, where: str) -> None:
        self._text, self._where = text, where
        self._held, self._at = "", 0
        self._decoder = json.JSONDecoder()

    def _more(self) -> bool:
        piece = self._text.read(max(_CHUNK, len(self._held) - self._at))
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)

    def next_mark(self, take: str = "[],") -> str:
        """The next character that is no space; passed over where it is one of ``take`` or ends an array."""
        while True:
            found = _SPACE.match(self._held, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._held):
                break
            if not self._more():
                return ""
        mark = self._held[self._at]
        self._at += mark in take
        return mark

    def value(self, number: int) -> Any:
        """The next value."""
        self.next_mark(take="")
        while True:
            try:
                found, self._at = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if len(self._held) - self._at > LONGEST_ROW:
                    raise too_long(self._where, f"row {number}") from error
                if not self._more():
                    raise _broken(self._where, f"row {number}") from error
            except (ValueError, RecursionError) as error:
                raise _broken(self._where, f"row {number}") from error
            else:
                return found


def _whole(source: BytesIn, encoding: str) -> tuple[str, list[Any]] | None:
    """The one list of objects that a document has, with its name, if that is what the file is."""
    with io.TextIOWrapper(source.opened(), encoding=encoding) as text:
        try:
            document = json.loads(text.read(LONGEST_ROW))
        except (ValueError, RecursionError):
            return None
    if not isinstance(document, dict):
        return None
    lists = {
        name: value
        for name, value in document.items()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    return next(iter(lists.items())) if len(lists) == 1 else None
