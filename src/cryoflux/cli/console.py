"""What goes where: results on stdout, progress and errors on stderr, JSON where it is asked for.

On a terminal lines are at most 100 columns wide, and no wider than it is, or than ``COLUMNS`` says. In a pipe
or a file they stay whole unless ``COLUMNS`` is set: those are searched line by line.
"""

from __future__ import annotations

__all__ = [
    "JsonOption",
    "StateOption",
    "as_json_line",
    "close_stdout",
    "emit_json",
    "print_error",
    "stderr",
    "stdout",
]

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.errors import CryoFluxError
from cryoflux.report.layout import Cells, plain, table, visible, wrap

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 100
"""columns: longer lines are hard to read"""
_COLOURS = {
    r"✓ kept\b|ok kept\b|^✓|^ok\b": "green",
    r"✗ rejected\b|FAIL rejected\b|^✗|^FAIL\b": "red",
    r"\? undecided\b|^\?": "yellow",
    r"→ carried\b": "yellow",
    r"[·-] aborted\b": "dim",
}
"""what marks an outcome → its colour; the word says the same"""


class _Output:
    """A rich console that is made when it is first written to: the daemon, and --json, do without."""

    def __init__(self, *, stderr: bool) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> Console:
        """The console itself."""
        from rich.console import Console

        class Pipe(Console):
            def on_broken_pipe(self) -> None:
                """Let whoever called decide; rich would exit with 1: that a verdict is negative."""
                raise BrokenPipeError

        return Pipe(stderr=self._stderr, highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees it."""
        return self.console.is_terminal

    @property
    def width(self) -> int | None:
        """Columns of a line; none where lines stay whole."""
        asked = os.environ.get("COLUMNS", "")
        if asked.isascii() and asked.isdecimal() and int(asked) > 0:
            return min(_WIDEST, int(asked))
        if self.is_terminal:
            return min(_WIDEST, self.console.width)
        return None

    def print(self, text: str, *, indent: int = 2, markup: bool = False) -> None:  # noqa: ARG002
        """Print a text, wrapped between words; ``indent`` columns stand before every line but the first.

        Whatever a terminal would obey is escaped: much of it a stranger has written.
        """
        from rich.text import Text

        said = plain(visible(text), self.console.encoding)
        lines = [said.replace("\N{NO-BREAK SPACE}", " ")]
        if (width := self.width) is not None:
            lead = len(said) - len(said.lstrip(" "))
            lines = wrap(said, width, min(max(indent, lead), width // 2))
        shown = Text("\n".join(lines))
        for pattern, colour in _COLOURS.items():
            shown.highlight_regex(pattern, colour)
        self.console.print(shown)

    def table(
        self,
        rows: Sequence[Cells],
        right: Sequence[bool],
        below: Sequence[str] = (),
        spare: Sequence[int] = (),
    ) -> list[str]:
        """Print rows of cells, the heading first, and return the headings that were left out.

        Args:
            rows: each with as many cells.
            right: by column, whether it is set to the right.
            below: by row, what stands under it, or beside it where there is room; empty for nothing.
            spare: columns that are left out where a line would be broken, in this order, until none is.
        """
        spelt = [[plain(visible(cell), self.console.encoding) for cell in row] for row in rows]
        if len(spelt) < 2:
            return []
        lines, left_out = table(spelt, right), set[int]()
        for column in spare:
            if self.width is None or max(map(len, lines)) <= self.width:
                break
            left_out.add(column)
            lines = table([["" if i in left_out else c for i, c in enumerate(row)] for row in spelt], right)
        beside = max(map(len, lines)) + 2
        short = self.width is not None and beside + max(map(len, below), default=0) <= self.width
        for line, more in zip_longest(lines, below, fillvalue=""):
            self.print(line.ljust(beside) + more if short else line, indent=4)
            if more and not short:
                self.print(f"    {more}", indent=4)
        return [rows[0][i] for i in sorted(left_out) if any(row[i] for row in rows[1:])]


stdout = _Output(stderr=False)
stderr = _Output(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
StateOption = Annotated[
    str | None,
    typer.Option("--state", metavar="DIR", help="State directory.", show_default="./state"),
]


def as_json_line(schema: str, document: Mapping[str, Any]) -> str:
    """A document on one line, with what it is: ``report/1`` becomes ``"schema": "cryoflux.report/1"``.

    Args:
        schema: the command that prints it, with points between its words, and the version of its form
            (docs/reference/json.md).
        document: it.
    """
    said = {"schema": f"cryoflux.{schema}", **document}
    try:
        text = json.dumps(said, ensure_ascii=False, allow_nan=False)
    except ValueError:  # JSON has no infinity: what has no bound, or is no number, is not there
        text = json.dumps(_finite(said), ensure_ascii=False)
    # A file name may have bytes that are no UTF-8; JSON spells those as the half of a pair that Python has.
    return text.encode(errors="backslashreplace").decode() + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def emit_json(schema: str, document: Mapping[str, Any]) -> None:
    """Print such a document and flush it, so that a pipe sees it at once."""
    sys.stdout.write(as_json_line(schema, document))
    sys.stdout.flush()


def close_stdout() -> None:
    """Stop writing to an output that nobody reads, also when Python flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def print_error(error: CryoFluxError, *, as_json: bool) -> None:
    """Say what happened, why it matters and what to type next."""
    if as_json:
        emit_json(
            "error/1",
            {
                "event": "error",
                "error": type(error).__name__,
                "what": error.what,
                "why": error.why,
                "hint": error.hint,
                "exit_code": int(error.exit_code),
            },
        )
    for label, line in (("error:", error.what), ("  why:", error.why), (" next:", error.hint)):
        if line:
            stderr.print(f"{label} {line}", indent=7)
