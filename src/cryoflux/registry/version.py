"""One version on the disk: what it is called, and whether it is what it is called."""

from __future__ import annotations

__all__ = ["Version", "altered", "checked_version", "derived_version", "version_in"]

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import (
    TensorEntry,
    folder_digest,
    mismatched_files,
    read_tensor_entries,
    tensors_digest,
)
from cryoflux.errors import StateTamperedError


@dataclass(frozen=True, slots=True)
class Version:
    """A model version on disk."""

    folder: Path
    digest: str
    """of its tensors (``tensors/v1``), or `files` where it has none"""
    files: str
    """SHA-256 of its ``SHA256SUMS``"""
    entries: tuple[TensorEntry, ...] = ()
    """its tensors, hashed; none where a task keeps its weights in another way"""

    def differing(self, other: Version) -> frozenset[str]:
        """Names of the tensors in which it differs from another version."""
        theirs = {entry.name: entry.sha256 for entry in other.entries}
        return frozenset(entry.name for entry in self.entries if theirs.get(entry.name) != entry.sha256)


def version_in(folder: Path, files: str) -> Version:
    """What a folder holds, by the digest of its checksums."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return Version(folder, files, files)
    entries = tuple(entry for path in weights for entry in read_tensor_entries(path))
    return Version(folder, tensors_digest(entries), files, entries)


def derived_version(base: Version, folder: Path, files: str, changed: Iterable[TensorEntry]) -> Version:
    """A draft with some tensors of its own, and the others of its base."""
    own = {entry.name: entry for entry in changed}
    entries = tuple(own.get(entry.name, entry) for entry in base.entries)
    return Version(folder, tensors_digest(entries), files, entries)


def checked_version(folder: Path, kept: Path, digest: str) -> Version:
    """A version whose every byte was compared.

    Args:
        folder: where it lies.
        kept: its own in the state, which it is called by.
        digest: that it has to have.

    Raises:
        StateTamperedError: it is another, or cannot be read.
    """
    try:
        if wrong := mismatched_files(folder):
            raise altered(f"{kept / wrong[0]} is not the file that was kept")
        found = version_in(folder, folder_digest(folder))
    except (OSError, ValueError) as error:
        raise altered(f"{kept} cannot be read ({error})") from error
    if found.digest != digest:
        raise altered(f"{kept} is another model")
    return found


def altered(what: str) -> StateTamperedError:
    """What is said of a version that is not what it is called."""
    return StateTamperedError(
        f"{what}.",
        why="Training on top of altered weights would make every later Δ meaningless.",
        hint="`cryoflux verify` names what is damaged; restore it, or start afresh with --state DIR.",
    )
