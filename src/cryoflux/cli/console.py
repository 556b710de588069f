"""What goes where: results on stdout, progress and errors on stderr, JSON where it is asked for."""

from __future__ import annotations

__all__ = ["JsonOption", "StateOption", "close_stdout", "emit_json", "print_error", "stderr", "stdout"]

import json
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.errors import CryoFluxError

if TYPE_CHECKING:
    from rich.console import Console


class _Output:
    """A rich console that is made when it is first written to: the daemon, and --json, do without."""

    def __init__(self, *, stderr: bool) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> Console:
        """The console itself."""
        from rich.console import Console

        class Pipe(Console):
            def print(self, *objects: Any, **how: Any) -> None:
                """Print, with whatever a terminal would obey escaped: much of it a stranger has written."""
                super().print(*map(_escaped, objects), **how)

            def on_broken_pipe(self) -> None:
                """Let whoever called decide; rich would exit with 1: that a verdict is negative."""
                raise BrokenPipeError

        return Pipe(stderr=self._stderr, highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees it."""
        return self.console.is_terminal

    def print(self, *objects: Any, markup: bool = True) -> None:
        """Print a line."""
        self.console.print(*objects, markup=markup)


def _escaped(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in value)


stdout = _Output(stderr=False)
stderr = _Output(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
StateOption = Annotated[
    str | None,
    typer.Option("--state", metavar="DIR", help="State directory.", show_default="./state"),
]


def emit_json(document: Any) -> None:
    """Print one JSON document on one line and flush it, so that a pipe sees it at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def close_stdout() -> None:
    """Stop writing to an output that nobody reads, also when Python flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def print_error(error: CryoFluxError, *, as_json: bool) -> None:
    """Say what happened, why it matters and what to type next."""
    if as_json:
        emit_json(
            {
                "event": "error",
                "error": type(error).__name__,
                "what": error.what,
                "why": error.why,
                "hint": error.hint,
                "exit_code": int(error.exit_code),
            }
        )
    for label, line in zip(("error:", "  why:", " next:"), error.lines(), strict=False):
        stderr.print(f"{label} {line}", markup=False)
