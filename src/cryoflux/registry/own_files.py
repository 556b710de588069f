"""Whether the files of a model folder are its own, or names of files elsewhere."""

from __future__ import annotations

__all__ = ["refuse_foreign_files"]

from pathlib import Path

from cryoflux.errors import ModelError


def refuse_foreign_files(folder: Path) -> None:
    """Make sure that no file of a model folder is a link out of it.

    What a stranger calls ``chat_template.jinja`` may be a link to a file that is nobody's business: its text
    would be read to a model, and its digest signed. In the cache of the hub, links lead to the blobs beside.

    Raises:
        ModelError: one is.
        OSError: the folder cannot be read.
    """
    whole = folder.resolve()
    is_cached = whole.parent.name == "snapshots" and whole.parent.parent.name.startswith("models--")
    own = whole.parent.parent if is_cached else whole
    for path in sorted(whole.iterdir()):
        if path.is_symlink() and not path.resolve().is_relative_to(own):
            raise ModelError(
                f"{path.name} in {folder} is a link to a file outside of that folder.",
                why="It would be read, and its digest signed, as if it were the model's.",
                hint="Put the file itself there, if it belongs to the model.",
            )
