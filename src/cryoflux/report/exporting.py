"""Rows as CSV, as JSON lines and as Parquet: written one after the other, so that any number fits in memory.

A CSV file is opened by spreadsheets, which take some texts for formulas, and shown on terminals, which obey
some. So in CSV a text that begins with one of ``= + - @``, their full-width forms, a quote, an apostrophe or
white space gets an apostrophe in front (as OWASP has it), and so does what comes after a semicolon or a bar,
at which a spreadsheet of another country may begin a cell. A character that shows nothing is spelt out by its
number. Only texts are; a number stays one. JSON lines and Parquet carry the exact text.
"""

from __future__ import annotations

__all__ = ["csv_text", "write_csv", "write_jsonl", "write_parquet"]

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import TextIOWrapper
from itertools import islice
from typing import Any, BinaryIO

from cryoflux.errors import UsageError
from cryoflux.queries.rows import RowColumn
from cryoflux.report.layout import visible

_FORMULAS = frozenset("=+-@＝＋－＠'\"")
_LATER_CELL = re.compile(r"""(?<=[;|])(?=\s*[=+\-@＝＋－＠"])""")
_BATCH = 1024
"""rows of a row group that are in memory at once"""


def csv_text(text: str) -> str:
    """A text as it stands in a cell of CSV."""
    shown = _LATER_CELL.sub("'", visible(text))
    begins = text[:1]
    return f"'{shown}" if (begins in _FORMULAS and begins) or begins.isspace() else shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return csv_text(value) if isinstance(value, str) else repr(value)


def write_csv(stream: BinaryIO, columns: Sequence[RowColumn], rows: Iterable[Mapping[str, Any]]) -> None:
    """RFC 4180 with a heading, in UTF-8; what is not there is an empty cell."""
    text = TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        names = [column.name for column in columns]
        writer.writerow(names)
        writer.writerows([_cell(row[name]) for name in names] for row in rows)
        text.flush()
    finally:
        text.detach()


def write_jsonl(
    stream: BinaryIO, as_line: Callable[[Mapping[str, Any]], str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """One object a line.

    Args:
        stream: where.
        as_line: the line of a row, with its schema.
        rows: of the table.
    """
    stream.writelines(as_line(row).encode() for row in rows)


def write_parquet(
    stream: BinaryIO, schema: str, columns: Sequence[RowColumn], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Apache Parquet, with the unit and the meaning of each column in its field's metadata.

    Args:
        stream: where.
        schema: of the rows, and its version.
        columns: of the table.
        rows: of the table.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError as error:
        raise UsageError(
            "pyarrow is not installed.",
            why="It writes Parquet.",
            hint="Install it: pip install 'cryoflux[index]'; or take --format csv or jsonl.",
        ) from error
    kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    fields = [
        pa.field(
            one.name, kinds[one.kind], metadata={"unit": one.unit.replace("`", ""), "description": one.says}
        )
        for one in columns
    ]
    form = pa.schema(fields, metadata={"schema": f"cryoflux.{schema}"})
    left = iter(rows)
    with pq.ParquetWriter(stream, form, compression="zstd") as writer:
        while batch := list(islice(left, _BATCH)):
            values = [[_exact(row[one.name]) for row in batch] for one in columns]
            arrays = [pa.array(some, field.type) for some, field in zip(values, form, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=form))


def _exact(value: Any) -> Any:
    """A value as Parquet can have it: half a pair, of a file name that is no UTF-8, is spelt out."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
