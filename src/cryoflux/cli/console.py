"""What goes where: results on stdout, progress and errors on stderr, JSON where it is asked for."""

from __future__ import annotations

__all__ = ["JsonOption", "StateOption", "close_stdout", "emit_json", "print_error", "stderr", "stdout"]

import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from cryoflux.errors import CryoFluxError


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let whoever called decide; rich would exit with 1, which says that a verdict is negative."""
        raise BrokenPipeError


stdout = _Console(highlight=False, soft_wrap=True)
stderr = _Console(stderr=True, highlight=False, soft_wrap=True)

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
