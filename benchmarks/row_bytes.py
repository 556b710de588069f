"""Which bytes of a database belong to which row of a table, read from the file itself and not by SQLite.

What SQLite says of a damaged file cannot be held against SQLite. So this reads the undamaged one, by
https://www.sqlite.org/fileformat2.html, as far as a table of receipts goes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_LEAF = 0x0D


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes in a row."""

    start: int
    end: int
    rows: range
    own: bool
    """whether they are of the one row itself; else they lead to these rows"""


def row_spans(path: Path, table: str = "entries") -> list[Span]:
    """The bytes of each row of a table, and those that lead to them."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        wanted = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = connection.execute(wanted, (table,)).fetchone()
    return list(_Pages(path.read_bytes()).spans(root))


class _Pages:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._size = int.from_bytes(content[16:18], "big")
        self._usable = self._size - content[20]

    def _number(self, place: int, width: int) -> int:
        return int.from_bytes(self._content[place : place + width], "big")

    def _varint(self, place: int) -> tuple[int, int]:
        value = 0
        for byte in self._content[place : place + 8]:
            value, place = value << 7 | byte & 0x7F, place + 1
            if byte < 0x80:
                return value, place
        return value << 8 | self._content[place], place + 1

    def spans(self, page: int) -> Iterator[Span]:
        start = (page - 1) * self._size
        leaf = self._content[start] == _LEAF
        pointers = start + (8 if leaf else 12)
        end = pointers + 2 * self._number(start + 3, 2)
        cells = [start + self._number(place, 2) for place in range(pointers, end, 2)]
        below = [span for cell in cells for span in (self._row(cell) if leaf else self._child(cell))]
        if not leaf:
            below += self.spans(self._number(start + 8, 4))
        rows = range(min(span.rows[0] for span in below), max(span.rows[-1] for span in below) + 1)
        yield Span(start, end, rows, own=False)
        if not leaf:
            yield from (Span(cell, self._varint(cell + 4)[1], rows, own=False) for cell in cells)
        yield from below

    def _child(self, cell: int) -> Iterator[Span]:
        return self.spans(self._number(cell, 4))

    def _row(self, cell: int) -> Iterator[Span]:
        length, place = self._varint(cell)
        index, place = self._varint(place)
        rows, most = range(index, index + 1), self._usable - 35
        here = length
        if length > most:
            least = (self._usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (self._usable - 4)
            here = here if here <= most else least
        end, rest = place + here, length - here
        yield Span(cell, end + (4 if rest else 0), rows, own=True)
        while rest:
            page = (self._number(end, 4) - 1) * self._size
            here = min(rest, self._usable - 4)
            yield Span(page, page + 4 + here, rows, own=True)
            end, rest = page, rest - here
