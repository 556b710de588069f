"""Whether a folder holds exactly the files that its signed ``SHA256SUMS`` lists.

What is missing, what is different and what nobody listed are three findings, because a file that was
withheld is not a file that was changed.
"""

from __future__ import annotations

__all__ = ["FolderState", "compare_folder"]

import re
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import CHECKSUMS, file_digest, sha256_hex

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
_MAX_SUMS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FolderState:
    """How a folder differs from what was signed."""

    listed: dict[str, str]
    """name → SHA-256, as signed"""
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    """not the listed bytes, not listed at all, or not readable"""

    @property
    def intact(self) -> bool:
        """Whether nothing is missing or different."""
        return not self.missing and not self.different


def _read_sums(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_SUMS_BYTES)
    except OSError:
        return None


def _differs(path: Path, digest: str | None) -> bool:
    try:
        return digest is None or file_digest(path) != digest
    except OSError:
        return True


def compare_folder(folder: Path, digest: str) -> FolderState:
    """Compare a folder with the ``SHA256SUMS`` whose SHA-256 is ``digest``."""
    # A pipe in the place of the file would be waited on for ever.
    sums = _read_sums(folder / CHECKSUMS) if (folder / CHECKSUMS).is_file() else None
    if sums is None:
        return FolderState({}, missing=(CHECKSUMS,))
    if sha256_hex(sums) != digest:
        return FolderState({}, different=(CHECKSUMS,))
    text = sums.decode("utf-8", "surrogateescape").removesuffix("\n")
    lines = [_LINE.fullmatch(line) for line in (text.split("\n") if text else ())]
    if not all(lines):
        return FolderState({}, different=(CHECKSUMS,))
    listed = {found[2]: found[1] for found in lines if found}
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path != folder / CHECKSUMS and (path.is_symlink() or not path.is_dir())
    }
    return FolderState(
        listed,
        missing=tuple(sorted(name for name in listed if name not in present)),
        different=tuple(
            sorted(
                name
                for name, path in present.items()
                if not path.is_file() or _differs(path, listed.get(name))
            )
        ),
    )
