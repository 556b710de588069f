"""Model versions and capsules, named by what they contain.

- ``models/<digest>/`` is one version, loadable by ``from_pretrained``; the digest is over its tensors.
  A version that was derived from another shares the files of the layers that did not change (`shards`).
- ``base_model`` is a link to the head version and is switched in one step. The receipt log says which
  version is the head; the link follows it.
- ``capsules/<sha256>/`` is one adapter, kept or not, as PEFT saves it.

A draft gets its final name only after every byte of it is on the disk.
"""

from __future__ import annotations

__all__ = ["Version", "Versions"]

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryoflux.digests import (
    CHECKSUMS,
    TensorEntry,
    checksum_lines,
    file_digest,
    folder_digest,
    listed_digests,
    mismatched_files,
    read_tensor_entries,
    sha256_hex,
    tensors_digest,
    write_checksums,
)
from cryoflux.errors import StateTamperedError, StorageError
from cryoflux.files import replace_symlink, storage_errors, sync_folder
from cryoflux.registry.shards import link_or_copy, read_tensors, shard, shard_names, write_shard
from cryoflux.state import FIRST_TASK, StateFolder

_DRAFT = ".draft-"


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


class Versions:
    """The models and capsules of one state directory."""

    def __init__(self, state: Path) -> None:
        self._state = StateFolder(state)
        self._models = self._state.models
        self._capsules = self._state.capsules

    def draft(self, save: Callable[[Path], None]) -> Version:
        """Save a model under a draft name and find out what it is called.

        Args:
            save: writes the model into the folder that it is given.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        folder = self._new_draft()
        with storage_errors(folder), _no_half(folder):
            _save(save, folder, then=shard)
            files = write_checksums(folder)
        return _version(folder, files)

    def derive(self, base: Version, changed: Mapping[str, Any]) -> Version:
        """Save, under a draft name, a version in which some tensors are others.

        Only the files that hold them are written and hashed; the rest is shared with the base.

        Args:
            base: a version of this state.
            changed: tensor name → float32 tensor.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        where = shard_names(base.folder)
        touched = sorted({where[name] for name in changed})
        listed = listed_digests(base.folder)
        folder = self._new_draft()
        with storage_errors(folder), _no_half(folder):
            _save(lambda into: _write_changed(base.folder, touched, changed, into), folder)
            listed |= {file: file_digest(folder / file) for file in touched}
            for name in listed.keys() - set(touched):
                link_or_copy(base.folder / name, folder / name)
            content = checksum_lines(listed)
            (folder / CHECKSUMS).write_bytes(content)
            _sync_file(folder / CHECKSUMS)
            sync_folder(folder)
        written = {e.name: e for file in touched for e in read_tensor_entries(folder / file)}
        entries = tuple(written.get(entry.name, entry) for entry in base.entries)
        return Version(folder, tensors_digest(entries), sha256_hex(content), entries)

    def _new_draft(self) -> Path:
        return self._models / f"{_DRAFT}{secrets.token_hex(4)}"

    def keep(self, draft: Version) -> Version:
        """Give a draft its final name; a version that is there already is the same one."""
        folder = self._models / draft.digest
        with storage_errors(folder):
            if folder.exists():
                shutil.rmtree(draft.folder)
            else:
                draft.folder.rename(folder)
                sync_folder(self._models)
        return Version(folder, draft.digest, folder_digest(folder), draft.entries)

    def discard(self, draft: Version) -> None:
        """Throw a draft away."""
        shutil.rmtree(draft.folder, ignore_errors=True)

    def free(self, digest: str) -> None:
        """Free the files of a version: it loses its name in one step, so half of one never has it.

        Raises:
            StorageError: the disk is read-only, or refuses.
        """
        folder, going = self._models / digest, self._new_draft()
        with storage_errors(folder):
            if folder.is_dir() and not folder.is_symlink():
                folder.rename(going)
                sync_folder(self._models)
                shutil.rmtree(going, ignore_errors=True)  # what is left is thrown away with the drafts

    def discard_drafts(self) -> None:
        """Throw away whatever a crash left half made."""
        for parent in (self._models, self._capsules):
            for folder in parent.glob(f"{_DRAFT}*"):
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def capsule_draft(self) -> Iterator[Path]:
        """An empty folder for the files of an update; gone afterwards, unless `keep_capsule` kept it."""
        draft = self._capsules / f"{_DRAFT}{secrets.token_hex(4)}"
        with storage_errors(draft), _weight_errors(draft):
            try:
                draft.mkdir(parents=True)
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def keep_capsule(self, draft: Path, first: str) -> Path:
        """Keep the files of an update, and return their folder.

        Args:
            draft: the folder that they lie in.
            first: name of the file whose SHA-256 names the capsule.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        _sync_files(draft)
        write_checksums(draft)
        folder = self._state.capsule(file_digest(draft / first))
        if not folder.exists():
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
            if not wrong and (found := _version(folder, folder_digest(folder))).digest == digest:
                return found
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

    def head_digest(self, task: str = FIRST_TASK) -> str | None:
        """The digest of a task's head by its link; none before the first version."""
        link = self._state.head(task)
        return link.readlink().name if link.is_symlink() else None

    def point_head(self, digest: str, task: str = FIRST_TASK) -> None:
        """Make a kept version the head of a task."""
        link = self._state.head(task)
        if self.head_digest(task) != digest:
            link.parent.mkdir(parents=True, exist_ok=True)
            above = "../" * (len(link.relative_to(self._state.path).parts) - 1)
            replace_symlink(link, f"{above}models/{digest}")

    def kept(self) -> list[str]:
        """Digests of the kept versions, oldest first."""
        folders = [p for p in self._models.glob("*") if p.is_dir() and not p.name.startswith(".")]
        return [p.name for p in sorted(folders, key=lambda p: p.stat().st_mtime_ns)]


def _version(folder: Path, files: str) -> Version:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return Version(folder, files, files)
    entries = tuple(entry for path in weights for entry in read_tensor_entries(path))
    return Version(folder, tensors_digest(entries), files, entries)


def _write_changed(base: Path, touched: list[str], changed: Mapping[str, Any], into: Path) -> None:
    for file in touched:
        tensors = read_tensors(base / file)
        write_shard(into / file, {name: changed.get(name, tensor) for name, tensor in tensors.items()})


@contextmanager
def _no_half(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _weight_errors(folder: Path) -> Iterator[None]:
    """Say of a full disk what it is, where the weights' writer says it in its own way.

    Raises:
        StorageError: something could not be written.
    """
    if find_spec("safetensors") is None:
        yield
        return
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise StorageError(
            f"{folder.name} could not be written to {folder.parent}: {error}.",
            why="Nothing was kept; what the attempt used is charged and recorded.",
            hint="Free some space, then run the same command again.",
        ) from error


def _save(
    save: Callable[[Path], None], folder: Path, *, then: Callable[[Path], None] = lambda _: None
) -> None:
    folder.mkdir(parents=True)
    with _weight_errors(folder):
        save(folder)
        then(folder)
    _sync_files(folder)


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            _sync_file(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
