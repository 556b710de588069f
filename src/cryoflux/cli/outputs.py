"""Where a command writes a file: asked before the work, so that a slip in a path is said as one."""

from __future__ import annotations

__all__ = ["require_output"]

import shlex
from pathlib import Path

from cryoflux.errors import UsageError


def require_output(path: Path) -> None:
    """Make sure that a file can have that name.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
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
