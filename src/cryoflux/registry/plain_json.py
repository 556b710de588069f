"""Objects of settings in files that somebody else has made."""

from __future__ import annotations

__all__ = ["parse_object", "read_object"]

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryoflux.errors import CryoFluxError
from cryoflux.files import read_regular


def read_object(path: Path, most: int, unusable: Callable[[str], CryoFluxError]) -> dict[str, Any]:
    """A JSON object that means the same to every reader: no name twice, no number that is none.

    Args:
        path: of the file.
        most: bytes that it may have.
        unusable: makes the error of a reason, such as ``is no object``.

    Raises:
        CryoFluxError: that of ``unusable``: it cannot be read, or is no such object.
    """
    try:
        content = read_regular(path, most)
    except OSError as error:
        raise unusable(f"cannot be read: {error}") from error
    return parse_object(content, unusable)


def parse_object(content: bytes, unusable: Callable[[str], CryoFluxError]) -> dict[str, Any]:
    """The same from the bytes of such a file, of which there may be no more than memory has room for.

    Raises:
        CryoFluxError: as for `read_object`.
    """
    try:
        found = json.loads(content, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise unusable(f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise unusable("is no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it says {name[:60]!r} twice")
        found[name] = value
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
