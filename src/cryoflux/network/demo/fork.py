"""A second history of a log, as any cheat could show it: its files, with a head that nobody cosigned.

A node that serves itself shows only heads that a quorum of witnesses has cosigned, and witnesses cosign one
history. So whoever tells another one has to copy the files of its log to some web server.
"""

from __future__ import annotations

__all__ = ["show_other_history"]

import shutil
from pathlib import Path


def show_other_history(public: Path, state: Path, into: Path) -> None:
    """Make a tree that shows a node as it was, but with the log of another copy of its state.

    Args:
        public: the tree that the node has published.
        state: a copy of its state that went on by itself: it signs with the same key.
        into: the new tree.

    Raises:
        OSError: it is there, or cannot be written.
    """
    shutil.copytree(public, into, ignore=lambda folder, _: ["log"] if Path(folder) == public else [])
    shutil.copytree(state / "log", into / "log")
