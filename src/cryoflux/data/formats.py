"""Reads examples from CSV and JSONL files, and refuses whatever it would have to guess at.

- CSV: two columns, ``text,label``; a header row with those names may put them in any order and may
  have other columns, which are ignored.
- JSONL: one object a line with ``text`` and ``label``; a label is a text, an integer or a boolean.

Every refusal names the file and the line.
"""

from __future__ import annotations

__all__ = ["read_arrived", "read_examples"]

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryoflux.data.examples import Example
from cryoflux.errors import DataError
from cryoflux.files import read_regular

_MOST_ARRIVING_BYTES = 2**26
"""of a file that came while a run goes on: its rows take many times as much memory"""
_MAX_TEXT = 1_000_000
_SHAPE_HINT = "Give a CSV file with the columns text,label, or JSONL with those two keys."


def read_examples(path: Path) -> list[Example]:
    """All examples of a file, in order.

    Raises:
        DataError: the file is missing, empty, binary, not UTF-8, ragged, or lacks texts or labels.
    """
    return [example for _, example in _numbered(path, _read_named(path))]


def read_arrived(path: Path) -> list[tuple[int, Example]]:
    """All examples of a file that anybody may have put there, in order, each with its line.

    Raises:
        DataError: as `read_examples`; or it is no regular file, or larger than 64 MiB.
    """
    try:
        content = read_regular(path, _MOST_ARRIVING_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _numbered(path, content)


def _numbered(path: Path, content: bytes) -> list[tuple[int, Example]]:
    text = _decode(path, content)
    is_json = path.suffix in {".jsonl", ".ndjson", ".json"} or text.lstrip().startswith("{")
    rows = _json_rows(path, text) if is_json else _csv_rows(path, text)
    examples = [(line, _example(path, line, value, label)) for line, value, label in rows]
    if not is_json and len(examples) > 2:
        _refuse_unknown_header(path, text, [example for _, example in examples])
    if not examples:
        raise DataError(f"{path} holds no example.", why="There is nothing to learn from.", hint=_SHAPE_HINT)
    return examples


def _read_named(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be read: {error.strerror}.",
        why="Without its examples there is nothing to train or judge on.",
        hint="Check the path. " + _SHAPE_HINT,
    )


def _decode(path: Path, content: bytes) -> str:
    if not content.strip():
        raise DataError(f"{path} is empty.", why="There is nothing to learn from.", hint=_SHAPE_HINT)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"{path} is UTF-16 text.",
            why="Examples are read as UTF-8.",
            hint="Convert it: iconv -f utf-16 -t utf-8 FILE > NEW.",
        )
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
    csv.field_size_limit(_MAX_TEXT)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: tuple[int, int] | None = None
    width = 0
    try:
        for row in filter(None, reader):
            if columns is None:
                width, named = len(row), _named_columns(path, row)
                columns = named or (0, 1)
                if named:
                    continue
                width = 2
            if len(row) != width:
                raise _wrong_width(path, reader.line_num, len(row), width)
            yield reader.line_num, row[columns[0]], row[columns[1]]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: this is not CSV ({error}).",
            why="A row read wrongly would be learned wrongly.",
            hint="Quote texts that hold commas, quotes or line breaks.",
        ) from error


def _named_columns(path: Path, row: list[str]) -> tuple[int, int] | None:
    """Where text and label stand, if the row is a header that says so."""
    names = [name.strip().casefold() for name in row]
    if "text" not in names or "label" not in names:
        return None
    if names.count("text") + names.count("label") > 2:
        raise DataError(
            f"{path}, line 1: the header names a column twice: {', '.join(row)}.",
            why="It is not clear which of them is the text or the label.",
            hint="Leave one column text and one column label.",
        )
    return names.index("text"), names.index("label")


def _refuse_unknown_header(path: Path, text: str, examples: list[Example]) -> None:
    first = examples[0]
    heads_the_file = text.lstrip().startswith((first.text, f'"{first.text}'))
    if heads_the_file and all(example.label != first.label for example in examples[1:]):
        raise DataError(
            f"{path}, line 1: the class {first.label!r} occurs only there; is that line a header?",
            why="A header that is read as an example would become a class of its own.",
            hint="Call the columns text and label, or remove that line.",
        )


def _wrong_width(path: Path, line: int, found: int, wanted: int) -> DataError:
    return DataError(
        f"{path}, line {line}: {found} columns instead of {wanted}.",
        why="It is not clear which of them are the text and the label.",
        hint=f"Separate with commas, not tabs or semicolons, and quote texts that hold commas. {_SHAPE_HINT}",
    )


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    # Only a line feed ends a line: JSON strings may hold every other separator that Unicode knows.
    for number, line in enumerate(text.split("\n"), start=1):
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
        if isinstance(row, list):
            raise DataError(
                f"{path}, line {number}: a JSON array.",
                why="JSONL has one object a line, so that a bad line can be named.",
                hint="Convert it, for example: jq -c '.[]' FILE > NEW.jsonl.",
            )
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
    try:
        f"{text}{label}".encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{path}, line {line}: half of a surrogate pair, which is no character.",
            why="It could be neither stored nor learned.",
            hint="Remove or mend that line.",
        ) from error
    return Example(text, str(label).strip())
