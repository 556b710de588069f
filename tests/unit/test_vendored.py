"""What is not ours and is served: it is what it says it is."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from cryoflux.pages.render import STATIC

VENDOR = STATIC / "vendor"


def test_each_vendored_file_is_the_one_that_was_looked_at() -> None:
    listed: dict[str, str] = {}
    for package in tomllib.loads((VENDOR / "VENDORED.toml").read_text("utf-8"))["package"]:
        assert package["licence_file"] in package["files"]
        assert all(package["version"] in name for name in package["files"])
        listed |= package["files"]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _files()}
    assert found == listed


def _files() -> list[Path]:
    return [path for path in VENDOR.iterdir() if path.name != "VENDORED.toml"]
