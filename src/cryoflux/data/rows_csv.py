"""Rows of columns with a separator between them: CSV, TSV, semicolons, bars; fastText's lines beside them.

Which separator it is, whether quotes count, whether there is a header and which column comes first is settled
by the first rows, and said. What commas make two columns of is read so, as it always was.
"""

from __future__ import annotations

__all__ = ["is_fasttext", "read_delimited", "read_fasttext"]

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cryoflux.data.bytes_in import SHAPE_HINT, BytesIn
from cryoflux.data.columns import TakenColumns, Wishes, by_place, columns_named, columns_of, is_of_documents
from cryoflux.data.tables import Flaw, Table, text_lines
from cryoflux.errors import DataError

_MAX_FIELD = 1_000_000
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 2**20
_LEAST_ROWS = 8
"""by fewer nobody can tell a column of labels from one of texts"""
_SEPARATORS = (
    (",", csv.QUOTE_MINIMAL),
    ("\t", csv.QUOTE_MINIMAL),
    ("\t", csv.QUOTE_NONE),
    (";", csv.QUOTE_MINIMAL),
    ("|", csv.QUOTE_MINIMAL),
)
_NAMED = {",": "CSV", "\t": "TSV", ";": "CSV", "|": "CSV"}
_EXCEL = re.compile(r"sep=(.)\r?\n\Z")
_FASTTEXT = "__label__"
_SURELY_WHOLE = 2048
"""characters of a beginning that is all of its file: of a longer one the last line may be cut off"""


@dataclass(frozen=True, slots=True)
class _Trial:
    """The first rows as one separator has them."""

    separator: str
    quoting: int
    rows: list[list[str]]
    broken: bool
    headed: bool

    def rank(self, place: int) -> tuple[bool, bool, bool, float, int]:
        width = len(self.rows[0])
        share = 0.0 if self.broken else sum(len(row) == width for row in self.rows) / len(self.rows)
        return self.headed, share > 0.95, self._settled(), share, -place

    def _settled(self) -> bool:
        """Whether a column has values that come again, as labels do."""
        rows = [row for row in self.rows if len(row) == len(self.rows[0])]
        return len(rows) < 4 or any(len({*column}) * 2 <= len(rows) for column in zip(*rows, strict=True))


def read_delimited(source: BytesIn, encoding: str, wishes: Wishes) -> Table:
    """The table of a file of columns.

    Raises:
        DataError: there is only one column, or which are text and label is not known.
    """
    csv.field_size_limit(_MAX_FIELD)
    sample, whole = _sample(source, encoding)
    skipped = 0
    chosen: tuple[tuple[str, int], ...] = _SEPARATORS
    if sample and (said := _EXCEL.match(sample[0])):
        skipped, sample, chosen = 1, sample[1:], ((said[1], csv.QUOTE_MINIMAL),)
    trials = [trial for one in chosen if (trial := _tried(sample, *one, wishes, whole=whole))]
    if not trials:
        raise DataError(
            f"{source.where}, line 1: 1 columns instead of 2.",
            why="It is not clear which of them are the text and the label.",
            hint=SHAPE_HINT,
        )
    best = max(enumerate(trials), key=lambda one: one[1].rank(one[0]))[1]
    columns = _columns(source.where, best, wishes)
    width = len(best.rows[0])

    def rows() -> Iterator[tuple[int, Any, Any]]:
        lines = islice(text_lines(source, encoding, newline=""), skipped, None)
        yield from _rows(source.where, lines, best, columns, width, skipped)

    said_kind = _NAMED.get(best.separator, "CSV")
    return Table(said_kind, columns, rows, separator=best.separator, headed=best.headed)


def _sample(source: BytesIn, encoding: str) -> tuple[list[str], bool]:
    """The first lines, and whether they are all."""
    found, left = list[str](), _SAMPLE_CHARACTERS
    for line in text_lines(source, encoding, newline=""):
        if len(found) == _SAMPLE_LINES or left < 0:
            return found, False
        found.append(line)
        left -= len(line)
    return found, True


def _tried(
    lines: Sequence[str], separator: str, quoting: int, wishes: Wishes, *, whole: bool
) -> _Trial | None:
    rows, broken = list[list[str]](), False
    try:
        for row in csv.reader(lines, delimiter=separator, quoting=quoting, strict=True):  # type: ignore[arg-type]
            if row:
                rows.append(row)
    except csv.Error as error:
        broken = whole or "unexpected end" not in str(error)
    if not rows or len(rows[0]) < 2:
        return None
    if not whole and len(rows) > 1 and not broken:
        rows = rows[:-1]  # the last one may be cut off
    # by the first row alone: what comes after it, and in which order, makes no example of a header
    headed = columns_named([name.strip() for name in rows[0]], wishes) is not None
    return _Trial(separator, quoting, rows, broken, headed)


def _columns(where: str, trial: _Trial, wishes: Wishes) -> TakenColumns:
    names, width = [name.strip() for name in trial.rows[0]], len(trial.rows[0])
    if trial.headed:
        return columns_of(where, names, wishes, tabular=True)
    asked = [*wishes.texts, *filter(None, [wishes.label_column])]
    by_number = asked and all(name.isascii() and name.isdecimal() for name in asked)
    named = is_of_documents(names) or (width > 2 and _like_names(trial.rows))
    if (asked and not by_number) or (not asked and named):
        return columns_of(where, names, wishes, tabular=True)  # it says what is missing
    if not asked and width > 2:
        raise DataError(
            f"{where}, line 1: {width} columns instead of 2.",
            why="It is not clear which of them are the text and the label.",
            hint="Say which by number, for example: --text-column 2 --label-column 1; or give them names.",
        )
    return by_place(where, width, wishes, label_first=_label_first(trial.rows))


def _like_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row looks like a header, if one of names that nobody knows."""
    first = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in first if cell]
    short = all(len(cell) < 40 and not cell.replace(".", "").isdecimal() for cell in filled)
    seen = {cell.strip() for row in rows[1:] for cell in row}
    return short and len({*filled}) == len(filled) > 1 and seen.isdisjoint(filled) and len(rows) > 1


def _label_first(rows: Sequence[Sequence[str]]) -> bool:
    pairs = [row for row in rows if len(row) == 2]
    firsts, seconds = ({row[at].strip() for row in pairs} for at in (0, 1))
    lengths = [sum(map(len, column)) / len(column) if column else 0 for column in (firsts, seconds)]
    return len(pairs) >= _LEAST_ROWS and len(firsts) * 2 <= len(seconds) and lengths[0] < lengths[1]


def _rows(
    where: str, lines: Iterator[str], trial: _Trial, columns: TakenColumns, width: int, skipped: int
) -> Iterator[tuple[int, Any, Any]]:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(lines, delimiter=trial.separator, quoting=trial.quoting, strict=True)  # type: ignore[arg-type]
    *texts, label = columns.places
    one = texts[0] if len(texts) == 1 else None
    try:
        rows = filter(None, reader)
        for row in islice(rows, 1 if trial.headed else 0, None):
            number = reader.line_num + skipped
            if len(row) != width and not _mended(row, width):
                yield number, Flaw("width", f"{len(row)} columns instead of {width}"), None
                continue
            yield number, row[one] if one is not None else tuple(row[at] for at in texts), row[label]
    except csv.Error as error:
        raise DataError(
            f"{where}, line {reader.line_num + skipped}: this is not CSV ({error}).",
            why="A row read wrongly would be learned wrongly.",
            hint="Quote texts that hold commas, quotes or line breaks.",
        ) from error


def _mended(row: list[str], width: int) -> bool:
    """Take empty cells off the end of a row that has too many; whether it is as wide as the others then."""
    while len(row) > width and not row[-1].strip():
        row.pop()
    return len(row) == width


def is_fasttext(head: str) -> bool:
    """Whether the beginning of a file has a label in each line as fastText writes it."""
    lines = [line for line in head.lstrip("\ufeff").split("\n") if line.strip()]
    whole = lines if len(head) < _SURELY_WHOLE or len(lines) == 1 else lines[:-1]
    return bool(whole) and all(line.startswith(_FASTTEXT) for line in whole)


def read_fasttext(source: BytesIn, encoding: str) -> Table:
    """The table of a file of lines with ``__label__x`` before, or after, their text."""

    def rows() -> Iterator[tuple[int, Any, Any]]:
        for number, line in enumerate(text_lines(source, encoding, newline="\n"), start=1):
            words = line.split()
            if not words:
                continue
            labels = [word.removeprefix(_FASTTEXT) for word in words if word.startswith(_FASTTEXT)]
            text = " ".join(word for word in words if not word.startswith(_FASTTEXT))
            yield number, text, labels[0] if len(labels) == 1 else labels

    return Table("fastText lines", TakenColumns(("text",), _FASTTEXT, "fastText"), rows, headed=False)
