"""The files beside the pages: stylesheet, scripts and pictures, each by its name alone."""

from __future__ import annotations

__all__ = ["static_files"]

import functools
from collections.abc import Mapping

from cryoflux.pages.render import STATIC

_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.cache
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Name of a file → its bytes and their type; read once."""
    paths = [path for path in STATIC.rglob("*") if path.suffix in _MEDIA]
    return {path.name: (path.read_bytes(), _MEDIA[path.suffix]) for path in paths}
