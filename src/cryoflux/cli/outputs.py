"""Where a command writes a file: asked before the work, so that a slip in a path is said as one."""

from __future__ import annotations

__all__ = ["require_output", "say_what_goes", "write_report"]

import shlex
from pathlib import Path

from cryoflux.cli.console import stderr
from cryoflux.errors import UsageError
from cryoflux.files import open_regular, write_atomic

_OURS = (b"CryoFlux", b'{"schema": "cryoflux.')
"""one of them stands in every document of ours, near its beginning or its end"""
_ENDS = 65_536
"""bytes at either end that are searched for it"""


def require_output(path: Path) -> None:
    """Make sure that a file can have that name.

    Raises:
        UsageError: its folder is not there, or it is a folder itself, a device or a pipe.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(
            f"{path.parent} is not a folder.",
            why="One file is written, and no folder on the way to it.",
            hint=f"Make it first: mkdir -p {shlex.quote(str(path.parent))}",
        )
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder.",
            why="What is written is one file.",
            hint=f"Name a file in it: {shlex.quote(str(path / 'NAME'))}",
        )
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path} is no regular file: it is a pipe or a device.",
            why="A file is written beside it and takes its name, so a device or a pipe would be gone.",
            hint="Name a file; what goes to stdout without -o can be redirected there.",
        )


def _is_ours(path: Path) -> bool:
    with open_regular(path) as stream:
        begun = stream.read(_ENDS)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _ENDS))
        ended = stream.read(_ENDS)
    return any(mark in begun or mark in ended for mark in _OURS)


def say_what_goes(path: Path, *, named: bool) -> None:
    """Before a file is written: say so where another one goes for it that is none of ours.

    Args:
        path: of the file.
        named: whether somebody typed that name; by a default, only what is ours is replaced.

    Raises:
        UsageError: a file is there that is none of ours, and nobody named it.
    """
    if not path.exists() or not path.is_file() or _is_ours(path):
        return
    if not named:
        raise UsageError(
            f"{path} is there, and is no document of CryoFlux.",
            why="Only what CryoFlux wrote is replaced without being asked.",
            hint=f"Name another file, or this one: -o {shlex.quote(str(path))}",
        )
    stderr.print(f"{path} is replaced: it was no document of CryoFlux.")


def write_report(path: Path, content: bytes) -> None:
    """Write a document whole or not at all, and say where it is."""
    write_atomic(path, content)
    stderr.print(f"written: {path}")
