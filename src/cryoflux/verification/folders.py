"""Whether a folder holds exactly the files that its signed ``SHA256SUMS`` lists.

What is missing, what is different and what nobody listed are three findings, because a file that was
withheld is not a file that was changed.
"""

from __future__ import annotations

__all__ = ["FolderState", "compare_folder", "folder_findings", "folders_in"]

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import CHECKSUMS, COMPOSED, MAX_SUMS_BYTES, Hashing, sha256_hex
from cryoflux.files import files_below, read_beginning
from cryoflux.verification.locating import Searching, said_where
from cryoflux.verification.result import Finding, failed

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
_MOST_UNLISTED = 1000
_FOLDER = "."
"""name of the folder itself, where it holds so much that nobody listed that it is not looked at"""


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
    """The signed list of a folder's files; none where it is missing, nothing where it cannot be read."""
    try:
        return read_beginning(path, MAX_SUMS_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def _differs(path: Path, digest: str | None, hashing: Hashing) -> bool:
    try:
        return digest is None or hashing.digest(path) != digest
    except OSError:
        return True


def _present(folder: Path, listed: int) -> dict[str, Path] | None:
    """Files of a folder by name; none where it holds far more names than are listed."""
    try:
        return files_below(folder, most=2 * listed + _MOST_UNLISTED)
    except OSError:
        return None


def compare_folder(folder: Path, digest: str, hashing: Hashing | None = None) -> FolderState:
    """Compare a folder with the ``SHA256SUMS`` whose SHA-256 is ``digest``.

    Args:
        folder: whose files are hashed, each of them once, whatever names lead to it.
        digest: what was signed.
        hashing: what was hashed of others before; nothing, without.
    """
    hashing = hashing or Hashing()
    sums = _read_sums(folder / CHECKSUMS)
    if sums is None:
        return FolderState({}, missing=(CHECKSUMS,))
    if sha256_hex(sums) != digest:
        return FolderState({}, different=(CHECKSUMS,))
    text = sums.decode("utf-8", "surrogateescape").removesuffix("\n")
    lines = [_LINE.fullmatch(line) for line in (text.split("\n") if text else ())]
    if not all(lines):
        return FolderState({}, different=(CHECKSUMS,))
    listed = {found[2]: found[1] for found in lines if found}
    if len(listed) < len(lines):  # which of two lines of one name counts, no two readers have to agree on
        return FolderState({}, different=(CHECKSUMS,))
    present = _present(folder, len(listed))
    if present is None:
        return FolderState(listed, different=(_FOLDER,))
    for beside in (CHECKSUMS, COMPOSED):
        present.pop(beside, None)
    return FolderState(
        listed,
        missing=tuple(sorted(name for name in listed if name not in present)),
        different=tuple(
            sorted(name for name, path in present.items() if _differs(path, listed.get(name), hashing))
        ),
    )


def folder_findings(where: str, folder: Path, found: FolderState, searching: Searching) -> Iterator[Finding]:
    """What is wrong with a folder, file by file.

    Args:
        where: what a finding calls it.
        folder: itself.
        found: how it differs from what was signed.
        searching: for where a file of the signed digest lies instead.
    """
    for name in found.different:
        place = said_where(folder / name, found.listed[name], searching) if name in found.listed else ""
        yield failed(f"{where}/{name}", f"is not the file that was signed{place}")
    for name in found.missing:
        yield failed(f"{where}/{name}", "is missing")


def folders_in(place: Path) -> set[str]:
    """Names of the folders at a place; none where that is no folder."""
    return {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()
