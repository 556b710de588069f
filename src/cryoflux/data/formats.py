"""Reads examples from files as people have them: one reader for runs, plans, checks and watched folders.

Rows are read one at a time, whatever the format. What a file that is exactly ``text,label`` or JSONL with
these two keys gives is what it always gave: a state finds its data set again by its bytes. What had to be
found or guessed is said (`found`); rows without a text or a label are left out and counted, up to a share.
"""

from __future__ import annotations

__all__ = ["Arrived", "ExampleFile", "open_examples", "read_arrived", "read_examples"]

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryoflux.data.bytes_in import (
    MOST_ARRIVING_BYTES,
    SHAPE_HINT,
    BytesIn,
    bytes_of_arrived,
    bytes_of_named,
    too_much,
)
from cryoflux.data.columns import PAIR_MARK, Wishes, is_usual_label
from cryoflux.data.encodings import Encoding, find_encoding
from cryoflux.data.examples import Example
from cryoflux.data.found import FileFound, LeftOut
from cryoflux.data.rows_arrow import hub_of, is_dataset_folder, read_dataset, read_parquet
from cryoflux.data.rows_csv import is_fasttext, read_delimited, read_fasttext
from cryoflux.data.rows_json import is_array, read_json
from cryoflux.data.tables import Flaw, Table
from cryoflux.errors import DataError

_MAX_TEXT = 1_000_000
_AS_ASKED = Wishes()
_JSON = {".jsonl", ".ndjson", ".json"}
_FIRST = 5
"""numbers of rows that are remembered of each cause"""


def read_examples(path: Path | str, wishes: Wishes = _AS_ASKED) -> list[Example]:
    """All examples of a file, in order.

    Raises:
        DataError: the file is missing, empty, binary or broken; or too many of its rows lack text or label.
        UsageError: it takes a library that is not installed.
    """
    return [example for _, example in open_examples(path, wishes)]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that was read while a run goes on."""

    path: Path
    numbered: Sequence[tuple[int, Example]]
    """its examples in order, each with its line"""
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    """cause → rows that are no examples"""

    @property
    def lacking(self) -> tuple[int, list[int]]:
        """How many rows are no examples, and the lines of the first of each cause, in order."""
        flaws = self.left_out.values()
        return sum(one.count for one in flaws), sorted(line for one in flaws for line in one.first)


def read_arrived(path: Path, wishes: Wishes = _AS_ASKED) -> Arrived:
    """What a file holds that anybody may have put there.

    Raises:
        DataError: as `read_examples`; or it is no regular file, or larger than 64 MiB.
    """
    found, left = list[tuple[int, Example]](), MOST_ARRIVING_BYTES
    file = ExampleFile(_opened(bytes_of_arrived(path), wishes), wishes)
    for number, example in file:
        left -= len(example.text)
        if left < 0:
            raise too_much(str(path), MOST_ARRIVING_BYTES)
        found.append((number, example))
    return Arrived(path, found, file.found.left_out)


def open_examples(path: Path | str, wishes: Wishes = _AS_ASKED) -> ExampleFile:
    """A file, a folder of `datasets`, or a data set of the hub, ready to be read row by row.

    Raises:
        DataError, UsageError: as `read_examples`, as far as the first rows say it.
    """
    name = str(path)
    hub = None if Path(path).exists() else hub_of(name)
    if hub is not None or is_dataset_folder(Path(path)):
        return ExampleFile(_Opened(name, "", None, read_dataset(hub, name, wishes)), wishes)
    return ExampleFile(_opened(bytes_of_named(Path(path)), wishes), wishes)


@dataclass(frozen=True, slots=True)
class _Opened:
    where: str
    packed: str
    encoding: Encoding | None
    table: Table
    head: str = ""


def _opened(source: BytesIn, wishes: Wishes) -> _Opened:
    if source.is_parquet:
        return _Opened(source.where, source.packed, None, read_parquet(source, wishes))
    encoding = find_encoding(source.where, source.opened, wishes.encoding)
    with io.TextIOWrapper(source.opened(), encoding=encoding.name) as text:
        head = text.read(4096)
    table = _table(source, encoding.name, head.lstrip(), wishes)
    return _Opened(source.where, source.packed, encoding, table, head)


def _table(source: BytesIn, encoding: str, head: str, wishes: Wishes) -> Table:
    if source.suffix in _JSON or head.startswith("{"):
        return read_json(source, encoding, wishes)
    if is_fasttext(head):
        return read_fasttext(source, encoding)
    if source.suffix not in {".csv", ".tsv"} and is_array(head):
        return read_json(source, encoding, wishes)
    return read_delimited(source, encoding, wishes)


class ExampleFile:
    """Examples that are read one by one, each with its number; what was found is known at the end."""

    def __init__(self, opened: _Opened, wishes: Wishes) -> None:
        self._opened, self._most = opened, wishes.most_dropped
        self._found: FileFound | None = None

    @property
    def found(self) -> FileFound:
        """How it was read; all of it has to be read before.

        Raises:
            RuntimeError: it was not.
        """
        if self._found is None:
            raise RuntimeError("the file was not read to its end")
        return self._found

    def __iter__(self) -> Iterator[tuple[int, Example]]:
        """The examples.

        Raises:
            DataError: a row cannot be read, too many lack something, or there is none.
        """
        opened, table = self._opened, self._opened.table
        causes: dict[str, tuple[int, list[int]]] = {}
        first: tuple[int, Flaw] | None = None
        head = _Head(opened)
        rows = 0
        for number, text, label in table.rows():
            rows += 1
            example = _example(text, label, table.class_names)
            if isinstance(example, Flaw):
                first = first or (number, example)
                count, numbers = causes.get(example.code, (0, list[int]()))
                causes[example.code] = count + 1, numbers if len(numbers) == _FIRST else [*numbers, number]
                continue
            head.see(example)
            yield number, example
        left_out = {cause: LeftOut(count, tuple(numbers)) for cause, (count, numbers) in causes.items()}
        self._found = found = self._said(rows, left_out, first)
        if refusal := found.too_many(self._most if found.kept else 0.0):
            raise refusal
        head.refuse()
        if not found.kept:
            what = f"{opened.where} holds no example."
            raise DataError(what, why="There is nothing to learn from.", hint=SHAPE_HINT)

    def _said(self, rows: int, left_out: dict[str, LeftOut], first: tuple[int, Flaw] | None) -> FileFound:
        opened, table = self._opened, self._opened.table
        return FileFound(
            file=opened.where,
            format=table.kind,
            packed=opened.packed,
            encoding=opened.encoding.name if opened.encoding else "",
            encoding_how=opened.encoding.how if opened.encoding else "",
            separator=table.separator,
            headed=table.headed,
            texts=table.columns.texts,
            label=table.columns.label,
            columns_how=table.columns.how,
            numbered=table.numbered,
            named_classes=bool(table.class_names),
            rows=rows,
            left_out=left_out,
            first_flaw=f"{table.numbered} {first[0]}: {first[1].said}" if first is not None else "",
        )


class _Head:
    """Whether the first row was taken for what it is not.

    Without a header: its class comes nowhere else, as the name of a column does not. With one: the column
    that was taken for the label because it is the other one is called what a class is called, too.
    """

    def __init__(self, opened: _Opened) -> None:
        self._opened, self._alone, self._count = opened, True, 0
        self._first: Example | None = None
        table = opened.table
        unsure = table.separator and table.headed and table.columns.how == "by name"
        named = table.columns.label
        self._named = named if unsure and not is_usual_label(named) else ""
        """of the label column, where it may be a class"""
        self._is_class = False

    def see(self, example: Example) -> None:
        """Another example."""
        self._count += 1
        self._is_class = self._is_class or example.label == self._named
        if self._first is None:
            self._first = example
        elif example.label == self._first.label:
            self._alone = False

    def refuse(self) -> None:
        """Raise where it is one.

        Raises:
            DataError: it is.
        """
        opened, first = self._opened, self._first
        if self._is_class:
            text, label = shlex.quote(opened.table.columns.texts[0]), shlex.quote(self._named)
            raise DataError(
                f"{opened.where}, line 1: {self._named!r} is a class of other rows; is that line an example?",
                why="An example that is read as a header would be lost.",
                hint="If so, name columns by number: --text-column 1 --label-column 2, or 2 and 1; else by "
                f"what they are called: --text-column {text} --label-column {label}.",
            )
        if first is None or opened.table.columns.how != "by place" or self._count <= 2 or not self._alone:
            return
        if not opened.head.lstrip().startswith((first.text, f'"{first.text}')):
            return
        raise DataError(
            f"{opened.where}, line 1: the class {first.label!r} occurs only there; is that line a header?",
            why="A header that is read as an example would become a class of its own.",
            hint="If so, say what its columns are: --text-column NAME --label-column NAME; else remove it.",
        )


def _example(text: Any, label: Any, class_names: tuple[str, ...]) -> Example | Flaw:
    if isinstance(text, Flaw):
        return text
    if isinstance(text, tuple):
        whole = all(isinstance(part, str) and part.strip() for part in text)
        text = PAIR_MARK.join(text) if whole else None
    if not isinstance(text, str) or not text.strip():
        return Flaw("text", "the text is empty, or not a text")
    if len(text) > _MAX_TEXT:
        return Flaw("long", f"the text is longer than {_MAX_TEXT} characters")
    named = _label(label, class_names)
    if isinstance(named, Flaw):
        return named
    try:
        f"{text}{named}".encode()
    except UnicodeEncodeError:
        return Flaw("character", "half of a surrogate pair, which is no character")
    return Example(text, named)


def _label(label: Any, class_names: tuple[str, ...]) -> str | Flaw:
    if isinstance(label, list):
        if len(label) > 1:
            return Flaw("several", f"the row has {len(label)} labels, and one is learned")
        label = label[0] if label else None
    if class_names and isinstance(label, int):
        label = class_names[label] if 0 <= label < len(class_names) else None
    missing = label != label or not isinstance(label, str | int | float)  # noqa: PLR0124  (not a number)
    if missing or not str(label).strip():
        return Flaw("label", "the label is missing, or not a text or a number")
    return str(label).strip()
