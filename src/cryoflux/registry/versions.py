"""Model versions and capsules, named by what they contain.

- ``models/<digest>/`` is one version, loadable by ``from_pretrained``; the digest is over its tensors.
- ``base_model`` is a link to the head version and is switched in one step. The receipt log says which
  version is the head; the link follows it.
- ``capsules/<sha256>/`` is one adapter, kept or not, as PEFT saves it.

A draft gets its final name only after every byte of it is on the disk.
"""

from __future__ import annotations

__all__ = ["HEAD", "Version", "Versions"]

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import (
    file_digest,
    folder_digest,
    listed_digests,
    mismatched_files,
    read_tensor_entries,
    tensors_digest,
    write_checksums,
)
from cryoflux.errors import ModelError, StateTamperedError, StorageError
from cryoflux.files import replace_symlink, storage_errors, sync_folder

HEAD = "base_model"
_DRAFT = ".draft-"


@dataclass(frozen=True, slots=True)
class Version:
    """A model version on disk."""

    folder: Path
    digest: str
    """``tensors/v1``"""
    files: str
    """SHA-256 of its ``SHA256SUMS``"""

    def weights_sha256(self) -> str:
        """SHA-256 of the first weight file, as it was listed when the version was written or checked."""
        return listed_digests(self.folder)[min(self.folder.glob("*.safetensors")).name]


class Versions:
    """The models and capsules of one state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._models = state / "models"
        self._capsules = state / "capsules"

    def draft(self, save: Callable[[Path], None]) -> Version:
        """Save a model under a draft name and find out what it is called.

        Args:
            save: writes the model into the folder that it is given.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        folder = self._models / f"{_DRAFT}{secrets.token_hex(4)}"
        with storage_errors(folder), _no_half(folder):
            _save(save, folder)
            files = write_checksums(folder)
        return Version(folder, _digest(folder), files)

    def keep(self, draft: Version) -> Version:
        """Give a draft its final name; a version that is there already is the same one."""
        folder = self._models / draft.digest
        with storage_errors(folder):
            if folder.exists():
                shutil.rmtree(draft.folder)
            else:
                draft.folder.rename(folder)
                sync_folder(self._models)
        return Version(folder, draft.digest, folder_digest(folder))

    def discard(self, draft: Version) -> None:
        """Throw a draft away."""
        shutil.rmtree(draft.folder, ignore_errors=True)

    def discard_drafts(self) -> None:
        """Throw away whatever a crash left half made."""
        for parent in (self._models, self._capsules):
            for folder in parent.glob(f"{_DRAFT}*"):
                shutil.rmtree(folder, ignore_errors=True)

    def keep_capsule(self, save: Callable[[Path], None]) -> Path:
        """Save an adapter and return its folder, named by the SHA-256 of its weights."""
        draft = self._capsules / f"{_DRAFT}{secrets.token_hex(4)}"
        with storage_errors(draft), _no_half(draft):
            _save(save, draft)
            write_checksums(draft)
            folder = self._capsules / file_digest(draft / "adapter_model.safetensors")
            if folder.exists():
                shutil.rmtree(draft)
            else:
                draft.rename(folder)
                sync_folder(self._capsules)
        return folder

    def open(self, digest: str) -> Version:
        """A kept version, every byte of it checked.

        Raises:
            StateTamperedError: it is missing, or not what its name says.
        """
        folder = self._models / digest
        try:
            wrong = mismatched_files(folder)
            if not wrong and _digest(folder) == digest:
                return Version(folder, digest, folder_digest(folder))
            what = (
                f"{folder / wrong[0]} is not the file that was kept"
                if wrong
                else f"{folder} is another model"
            )
        except (OSError, ValueError) as error:
            what = f"{folder} cannot be read ({error})"
        raise StateTamperedError(
            f"{what}.",
            why="Training on top of altered weights would make every later Δ meaningless.",
            hint="`cryoflux verify` names what is damaged; restore it, or start afresh with --state DIR.",
        )

    def folder(self, digest: str) -> Path:
        """Where the version of that digest lies, or would lie."""
        return self._models / digest

    def head_digest(self) -> str | None:
        """What the link says is the head; none before the first version."""
        link = self._state / HEAD
        return link.readlink().name if link.is_symlink() else None

    def point_head(self, digest: str) -> None:
        """Make a kept version the head."""
        if self.head_digest() != digest:
            replace_symlink(self._state / HEAD, f"models/{digest}")

    def kept(self) -> list[str]:
        """Digests of the kept versions, oldest first."""
        folders = [p for p in self._models.glob("*") if p.is_dir() and not p.name.startswith(".")]
        return [p.name for p in sorted(folders, key=lambda p: p.stat().st_mtime_ns)]


def _digest(folder: Path) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(f"{folder} holds no safetensors weights.", why="A version is named by them.")
    return tensors_digest(entry for path in weights for entry in read_tensor_entries(path))


@contextmanager
def _no_half(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(save: Callable[[Path], None], folder: Path) -> None:
    from safetensors import SafetensorError

    folder.mkdir(parents=True)
    try:
        save(folder)
    except SafetensorError as error:  # what the weights' writer says of a full disk
        raise StorageError(
            f"{folder.name} could not be written to {folder.parent}: {error}.",
            why="Nothing was kept; what the attempt used is charged and recorded.",
            hint="Free some space, then run the same command again.",
        ) from error
    _sync_files(folder)


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
