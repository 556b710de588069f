"""Reads examples from CSV and JSONL files, and refuses whatever it would have to guess at.

- CSV: two columns, ``text,label``; a header row with those names may put them in any order and may
  have other columns, which are ignored.
- JSONL: one object a line with ``text`` and ``label``; a label is a text, an integer or a boolean.

Every refusal names the file and the line.
"""

from __future__ import annotations

__all__ = ["read_examples"]

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryoflux.data.examples import Example
from cryoflux.errors import DataError

_MAX_TEXT = 1_000_000
_SHAPE_HINT = "Give a CSV file with the columns text,label, or JSONL with those two keys."


def read_examples(path: Path) -> list[Example]:
    """All examples of a file, in order.

    Raises:
        DataError: the file is missing, empty, binary, not UTF-8, ragged, or lacks texts or labels.
    """
    text = _decode(path)
    is_json = path.suffix in {".jsonl", ".ndjson", ".json"} or text.lstrip().startswith("{")
    rows = _json_rows(path, text) if is_json else _csv_rows(path, text)
    examples = [_example(path, line, value, label) for line, value, label in rows]
    if not examples:
        raise DataError(f"{path} holds no example.", why="There is nothing to learn from.", hint=_SHAPE_HINT)
    return examples


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.",
            why="Without its examples there is nothing to train or judge on.",
            hint="Check the path; " + _SHAPE_HINT,
        ) from error
    if not content.strip():
        raise DataError(f"{path} is empty.", why="There is nothing to learn from.", hint=_SHAPE_HINT)
    if b"\0" in content:
        raise DataError(
            f"{path} is a binary file.", why="Examples are read from text files.", hint=_SHAPE_HINT
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: this is not UTF-8 text.",
            why="A text decoded wrongly would be learned wrongly.",
            hint="Convert the file, for example: iconv -f latin1 -t utf-8 FILE > NEW.",
        ) from error


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: tuple[int, int] | None = None
    width = 0
    try:
        for row in reader:
            if not row:
                continue
            if columns is None:
                names = [name.strip().casefold() for name in row]
                width = len(row)
                if "text" in names and "label" in names:
                    columns = (names.index("text"), names.index("label"))
                    continue
                columns = (0, 1)
                if width != 2:
                    raise _wrong_width(path, reader.line_num, width, 2)
            if len(row) != width:
                raise _wrong_width(path, reader.line_num, len(row), width)
            yield reader.line_num, row[columns[0]], row[columns[1]]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: this is not CSV ({error}).",
            why="A row read wrongly would be learned wrongly.",
            hint="Quote texts that hold commas, quotes or line breaks.",
        ) from error


def _wrong_width(path: Path, line: int, found: int, wanted: int) -> DataError:
    return DataError(
        f"{path}, line {line}: {found} columns instead of {wanted}.",
        why="It is not clear which of them are the text and the label.",
        hint=f"Quote texts that hold commas. {_SHAPE_HINT}",
    )


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: this is not a JSON object.",
                why="A row read wrongly would be learned wrongly.",
                hint=_SHAPE_HINT,
            ) from error
        if not isinstance(row, dict) or "text" not in row or "label" not in row:
            raise DataError(
                f"{path}, line {number}: no text and label.",
                why="An example needs both.",
                hint=_SHAPE_HINT,
            )
        yield number, row["text"], row["label"]


def _example(path: Path, line: int, text: Any, label: Any) -> Example:
    if not isinstance(text, str) or not text.strip() or len(text) > _MAX_TEXT:
        raise DataError(
            f"{path}, line {line}: the text is empty, not a text, or longer than {_MAX_TEXT} characters.",
            why="An example without a text teaches nothing.",
            hint="Remove or mend that line.",
        )
    if not isinstance(label, str | int) or not str(label).strip():
        raise DataError(
            f"{path}, line {line}: the label is missing, or not a text or an integer.",
            why="An example without a class can be neither learned nor judged.",
            hint="Remove or mend that line.",
        )
    return Example(text, str(label).strip())
