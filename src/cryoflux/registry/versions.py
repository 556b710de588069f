"""Model versions and capsules, named by what they contain.

- ``models/<digest>/`` is one version, loadable by ``from_pretrained``; the digest is over its tensors.
  A version that was derived from another shares the files of the layers that did not change (`shards`).
  One of which most changes is kept as its list of updates (`composed`): its weights are on the disk while it
  is a head or has an alias, and can be deleted at any time, because `open` composes them.
- ``base_model`` is a link to the head version and is switched in one step. The receipt log says which
  version is the head; the link follows it.
- ``capsules/<sha256>/`` is one adapter, kept or not, as PEFT saves it.

A draft gets its final name only after every byte of it is on the disk.
"""

from __future__ import annotations

__all__ = ["Version", "Versions"]

import io
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cryoflux.digests import (
    CHECKSUMS,
    COMPOSED,
    TensorEntry,
    file_digest,
    folder_digest,
    listed_digests,
    mismatched_files,
    read_tensor_entries,
    sha256_hex,
    tensor_entries,
    tensors_digest,
    write_checksums,
)
from cryoflux.errors import ModelError, StateTamperedError
from cryoflux.files import copy_regular, replace_symlink, storage_errors, sync_folder
from cryoflux.registry.aliases import read_aliases
from cryoflux.registry.composed import ComposedTensors
from cryoflux.registry.drafts import (
    complete,
    no_half,
    save_model,
    shard_of,
    sync_file,
    sync_files,
    weight_errors,
    write_changed,
)
from cryoflux.registry.kept_lists import (
    absent_weights,
    can_compose,
    composition_in,
    composition_text,
    said_in,
    weight_files,
)
from cryoflux.registry.shards import (
    TensorFolder,
    shard,
    shard_names,
    write_shard_bytes,
)
from cryoflux.state import FIRST_TASK, StateFolder

if TYPE_CHECKING:
    from cryoflux.registry.composition import Composition

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
        with storage_errors(folder), no_half(folder):
            save_model(save, folder, then=shard)
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
        with storage_errors(folder), no_half(folder):
            save_model(lambda into: write_changed(base.folder, touched, changed, into), folder)
            listed |= {file: file_digest(folder / file) for file in touched}
            files = complete(base.folder, folder, listed, frozenset(touched))
        return _derived(base, folder, files, [e for f in touched for e in read_tensor_entries(folder / f)])

    def compose(self, base: Version, changed: Mapping[str, Any], composed: Composition) -> Version:
        """The same as a list of updates: its weights are hashed, and not written.

        Args:
            base: a version of this state that is whole.
            changed: tensor name → float32 tensor, what ``composed`` makes of them.
            composed: what the version is the sum of.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        where, stored = shard_names(base.folder), TensorFolder(base.folder, "pt")
        touched = frozenset(where[name] for name in changed)
        listed, entries = listed_digests(base.folder), list[TensorEntry]()
        folder = self._new_draft()
        with storage_errors(folder), no_half(folder):
            folder.mkdir(parents=True)
            for file in sorted(touched):
                content = shard_of(file, where, changed, stored)
                listed[file] = sha256_hex(content)
                entries += tensor_entries(io.BytesIO(content), len(content))
            (folder / COMPOSED).write_bytes(composition_text(composed))
            sync_file(folder / COMPOSED)
            files = complete(base.folder, folder, listed, touched)
        return _derived(base, folder, files, entries)

    def fill(self, digest: str, above: tuple[str, ...] = (), *, into: Path | None = None) -> None:
        """Compose the weights that a version was kept without, if it was, and write them.

        Args:
            digest: of the version.
            above: versions whose list begins at it, and that wait for it.
            into: another folder than its own.

        Raises:
            StateTamperedError: they are not the ones that it is named by, or cannot be composed.
            StorageError: the disk is full, read-only, or refuses.
        """
        folder = self._models / digest
        if not absent_weights(folder):
            return
        if digest in above:
            raise _not_composed(folder, "its list begins at itself")
        try:
            composed = composition_in(folder)
            self.fill(composed.genesis, (*above, digest))
            self._write_absent(folder, into or folder, {}, self._tensors(composed))
        except (ModelError, KeyError, OSError) as error:
            what = error.what if isinstance(error, ModelError) else str(error)
            raise _not_composed(folder, what.removesuffix(".")) from error

    def write(self, version: Version, base: Version, changed: Mapping[str, Any]) -> None:
        """The same of one whose tensors are at hand: those of its base, but for some."""
        self._write_absent(version.folder, version.folder, changed, TensorFolder(base.folder, "pt"))

    @contextmanager
    def opened(self, digest: str) -> Iterator[Path]:
        """The folder of a version with its weights, for one who holds no lock; nothing in the state changes.

        Raises:
            StateTamperedError: it cannot be composed.
            StorageError: there is no room for its weights.
        """
        folder = self._models / digest
        if not absent_weights(folder):
            yield folder
            return
        with storage_errors(folder), TemporaryDirectory(prefix="cryoflux-") as place:
            into = Path(place) / digest
            for name in listed_digests(folder).keys() - set(absent_weights(folder)) | {CHECKSUMS}:
                copy_regular(folder / name, into / name)
            self.fill(digest, into=into)
            yield into

    def _tensors(self, composed: Composition) -> ComposedTensors:
        return ComposedTensors(composed, self.open(composed.genesis).folder, self._state.capsule)

    def _write_absent(
        self, folder: Path, into: Path, changed: Mapping[str, Any], stored: Mapping[str, Any]
    ) -> None:
        """Write what a version lacks; each file is there whole, or not at all."""
        where, listed = shard_names(folder), weight_files(folder)
        with storage_errors(into), TemporaryDirectory(prefix=_DRAFT, dir=into.parent) as room:
            for file in absent_weights(folder):
                content = shard_of(file, where, changed, stored)
                if sha256_hex(content) != listed[file]:
                    raise _not_composed(folder, f"genesis and updates make another {file}")
                written = Path(room) / file
                write_shard_bytes(written, content)
                sync_file(written)
                written.rename(into / file)
            sync_folder(into)

    def slim(self) -> None:
        """Take the weights off the disk that can be composed again: of what is no head and has no alias.

        Raises:
            StorageError: the disk is read-only, or refuses.
        """
        lists = {digest: said_in(self._models / digest) for digest in self.kept()}
        stays = {said.genesis for said in lists.values() if said is not None} | self._named()
        for digest, said in lists.items():
            folder = self._models / digest
            if said is None or digest in stays or folder.is_symlink() or not can_compose(self._state, said):
                continue
            shared = weight_files(self._models / said.genesis).items()
            with storage_errors(folder):
                for name, _ in weight_files(folder).items() - shared:
                    (folder / name).unlink(missing_ok=True)

    def _named(self) -> set[str]:
        """Digests of the heads, and of what has a name of somebody's own."""
        links = [self._state.head(), *self._state.heads.glob("*")]
        return {link.readlink().name for link in links if link.is_symlink()} | {
            *read_aliases(self._state).values()
        }

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
        with storage_errors(draft), weight_errors(draft):
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
        sync_files(draft)
        write_checksums(draft)
        folder = self._state.capsule(file_digest(draft / first))
        if not folder.exists():
            draft.rename(folder)
            sync_folder(self._capsules)
        return folder

    def open(self, digest: str) -> Version:
        """A kept version, every byte of it checked; one that is kept as its list is composed.

        Raises:
            StateTamperedError: it is missing, or not what its name says.
            StorageError: its weights cannot be written.
        """
        folder = self._models / digest
        try:
            self.fill(digest)
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
        """Make a kept version the head of a task; of what was the head, the list may be all that stays."""
        link = self._state.head(task)
        if self.head_digest(task) != digest:
            link.parent.mkdir(parents=True, exist_ok=True)
            above = "../" * (len(link.relative_to(self._state.path).parts) - 1)
            replace_symlink(link, f"{above}models/{digest}")
        self.slim()

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


def _derived(base: Version, folder: Path, files: str, changed: Iterable[TensorEntry]) -> Version:
    """A draft with some tensors of its own, and the others of its base."""
    own = {entry.name: entry for entry in changed}
    entries = tuple(own.get(entry.name, entry) for entry in base.entries)
    return Version(folder, tensors_digest(entries), files, entries)


def _not_composed(folder: Path, what: str) -> StateTamperedError:
    return StateTamperedError(
        f"{folder.name[:16]}… cannot be composed: {what}.",
        why="It is kept as its list of updates, and what they make has to be what its receipt signed.",
        hint="`cryoflux verify` names what is damaged; take capsules/ and models/ from a backup.",
    )
