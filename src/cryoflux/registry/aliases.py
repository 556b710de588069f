"""Names of one's own for versions: ``aliases/NAME`` is a link to ``models/<digest>``, switched in one step.

They are a convenience of whoever owns the state: nothing signs them, and nothing that is verified reads them.
A link is read and never followed, so one that leads elsewhere names nothing.
"""

from __future__ import annotations

__all__ = ["check_alias", "read_aliases", "remove_alias", "set_alias"]

import re
from pathlib import Path

from cryoflux.errors import StateError, UsageError
from cryoflux.files import replace_symlink, storage_errors, sync_folder
from cryoflux.state import StateFolder

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_TARGET = re.compile(r"\.\./models/([0-9a-f]{64})")
_DIGITS = re.compile(r"[0-9a-f]+")
_TAKEN = frozenset({"head", "champion"})


def check_alias(name: str) -> None:
    """Refuse a name that would be taken for something else.

    Raises:
        UsageError: it has other characters than a name, is the beginning of a digest, or is taken.
    """
    if name in _TAKEN:
        raise UsageError(
            f"{name!r} follows the log by itself.",
            why="It names another version as soon as the log says so.",
            hint=f"Choose a name of your own; cryoflux models show {name} says which version it is.",
        )
    if not _NAME.fullmatch(name) or _DIGITS.fullmatch(name):
        raise UsageError(
            f"{name!r} is no alias.",
            why="One begins with a letter, has at most 64 letters, digits, points, dashes and underscores, "
            "and is not the beginning of a digest.",
            hint="Choose another one, such as: production.",
        )


def read_aliases(state: StateFolder) -> dict[str, str]:
    """Alias → digest of the version that it names; whether that is here is another question."""
    folder = state.aliases
    if folder.is_symlink() or not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() or not _NAME.fullmatch(path.name):
            continue
        if target := _TARGET.fullmatch(path.readlink().as_posix()):
            found[path.name] = target[1]
    return found


def _own(state: StateFolder) -> Path:
    """The folder of aliases, which has to be the state's own.

    Raises:
        StateError: it is a link.
    """
    if state.aliases.is_symlink():
        raise StateError(
            f"{state.aliases} is a link.",
            why="What is written there would be written elsewhere.",
            hint="Remove the link; the folder is made anew.",
        )
    return state.aliases


def set_alias(state: StateFolder, name: str, digest: str) -> None:
    """Let a name lead to a version that is here; whoever reads sees the version before, or this one.

    Raises:
        UsageError: the name is none.
        StateError: the folder of aliases leads elsewhere, or a file of that name is in the way.
        StorageError: the disk is full, read-only, or refuses.
    """
    check_alias(name)
    link = _own(state) / name
    if link.exists() and not link.is_symlink():
        raise StateError(
            f"{link} is no link.",
            why="An alias is one, and takes the place of nothing else.",
            hint="Move it away, or choose another name.",
        )
    with storage_errors(link):
        link.parent.mkdir(parents=True, exist_ok=True)
    replace_symlink(link, f"../models/{digest}")


def remove_alias(state: StateFolder, name: str) -> str:
    """Forget a name, and return the digest that it led to.

    Raises:
        UsageError: there is no such alias.
        StateError: the folder of aliases leads elsewhere.
        StorageError: the disk is read-only, or refuses.
    """
    known = read_aliases(state)
    if name not in known:
        raise UsageError(
            f"There is no alias {name!r}.",
            why=f"There are {len(known)}{': ' + ', '.join(known) if known else ''}.",
            hint=f"They are listed by: cryoflux models list{state.flag()}.",
        )
    link = _own(state) / name
    with storage_errors(link):
        link.unlink()
        sync_folder(link.parent)
    return known[name]
