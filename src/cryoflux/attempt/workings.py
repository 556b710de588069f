"""Which working updates may go: those that no chain goes on from any more."""

from __future__ import annotations

__all__ = ["forget_workings"]

import re
from collections.abc import Collection
from pathlib import Path

_OURS = re.compile(r"\.?([0-9a-f]{64})\.safetensors(\.[0-9a-f]{8})?")
"""a working update, or one that a dead run had begun to write"""


def forget_workings(folder: Path, needed: Collection[str]) -> None:
    """Throw away what is not needed any more; what a dead run left behind, too.

    Whoever makes a state may put anything there: a link to a folder of somebody else is not followed, and
    what has no name of ours stays.

    Args:
        folder: of the working updates.
        needed: digests of those that chains go on from.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        named = _OURS.fullmatch(path.name)
        if named and (named[2] or named[1] not in needed) and (path.is_symlink() or path.is_file()):
            path.unlink(missing_ok=True)
