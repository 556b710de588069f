"""What was found in a file of examples: what it is, what was taken of it, and what was left out."""

from __future__ import annotations

__all__ = ["FileFound", "LeftOut"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryoflux.data.columns import PAIR_MARK
from cryoflux.errors import DataError

_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_CAUSES = {
    "text": "without a text",
    "label": "without a label",
    "several": "with several labels",
    "width": "of another width",
    "shape": "that are no objects",
    "long": "with a text that is too long",
    "character": "with half a character",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that were left out for one cause."""

    count: int
    first: tuple[int, ...]
    """numbers of the first of them"""


@dataclass(frozen=True, slots=True)
class FileFound:
    """How a file was read."""

    file: str
    format: str
    packed: str
    encoding: str
    """empty where it is no text"""
    encoding_how: str
    """``valid``, ``marked``, ``asked for`` or ``guessed``"""
    separator: str
    headed: bool
    texts: tuple[str, ...]
    label: str
    columns_how: str
    numbered: str
    """what numbers of rows count: ``line`` or ``row``"""
    named_classes: bool
    """whether numbers were read as the names that the file gives them"""
    rows: int
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    """cause → rows"""
    first_flaw: str = ""
    """the first row that was left out, and why; empty where none was"""

    def too_many(self, most: float) -> DataError | None:
        """The refusal of a file of which more was left out than may be; none where it was not.

        Args:
            most: share of its rows that may be left out.
        """
        count = self.rows - self.kept
        if count <= most * self.rows:
            return None
        allowed = min(1.0, math.ceil(100 * count / self.rows) / 100)
        return DataError(
            f"{self.file}, {self.first_flaw}; {count} of {self.rows} rows lack something.",
            why=f"Up to {100 * most:g} % of them would be left out and counted; here something else is wrong."
            if self.kept
            else "There is nothing to learn from.",
            hint="Mend or remove them, name other columns (--text-column, --label-column)"
            + (f", or allow more: --most-dropped {allowed:g}." if self.kept else "."),
        )

    @property
    def kept(self) -> int:
        """How many examples were read."""
        return self.rows - sum(one.count for one in self.left_out.values())

    @property
    def plain(self) -> bool:
        """Whether it is as the documentation asks for it, so that there is nothing to say."""
        usual = self.texts == ("text",) and self.label == "label" and self.encoding_how == "valid"
        by_place = self.texts == ("column 1",) and self.encoding_how == "valid"
        simple = self.format in {"CSV", "JSONL"} and not self.packed and self.separator in {"", ","}
        return simple and (usual or by_place) and not self.left_out

    def lines(self) -> list[str]:
        """What was found, in words."""
        return [self._form(), self._columns(), *self._dropped()]

    def _form(self) -> str:
        parts = [self.format]
        parts += (
            [f"{_SEPARATORS.get(self.separator, repr(self.separator))} between columns"]
            if self.separator
            else []
        )
        parts += [] if self.headed else ["no header"]
        parts += [f"packed by {self.packed}"] if self.packed else []
        if self.encoding:
            name = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
            guess = " (a guess; --encoding NAME says it)" if self.encoding_how == "guessed" else ""
            parts.append(f"{name}{guess}")
        return ", ".join(parts)

    def _columns(self) -> str:
        text = " and ".join(map(_quoted, self.texts))
        joined = f" joined by {PAIR_MARK!r}" if len(self.texts) > 1 else ""
        said = f"text is {text}{joined}, label is {_quoted(self.label)} ({self.columns_how})"
        return f"{said}; classes by their names in the file" if self.named_classes else said

    def _dropped(self) -> list[str]:
        return [
            f"{one.count} of {self.rows} rows {_CAUSES[cause]} left out: {self.numbered} "
            + ", ".join(map(str, one.first))
            + (", …" if one.count > len(one.first) else "")
            for cause, one in self.left_out.items()
        ]

    def document(self) -> dict[str, Any]:
        """What was found, as JSON has it."""
        return {
            "file": self.file,
            "format": self.format,
            "packed": self.packed,
            "encoding": "utf-8" if self.encoding == "utf-8-sig" else self.encoding,
            "encoding_how": self.encoding_how,
            "separator": self.separator,
            "headed": self.headed,
            "text_columns": list(self.texts),
            "label_column": self.label,
            "columns_how": self.columns_how,
            "named_classes": self.named_classes,
            "rows": self.rows,
            "examples": self.kept,
            "left_out": [
                {"cause": cause, "rows": one.count, "numbered": self.numbered, "lines": list(one.first)}
                for cause, one in self.left_out.items()
            ],
        }


def _quoted(name: str) -> str:
    return name if name.isprintable() and len(name) < 60 and name.isascii() else repr(name)[:60]
