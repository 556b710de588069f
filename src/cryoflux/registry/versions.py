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

__all__ = ["Lists", "Version", "Versions"]

import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from cryoflux.digests import (
    COMPOSED,
    TensorEntry,
    file_digest,
    folder_digest,
    listed_digests,
    read_tensor_entries,
    sha256_hex,
    tensor_entries,
    write_checksums,
)
from cryoflux.files import replace_symlink, storage_errors, sync_folder
from cryoflux.registry.aliases import read_aliases
from cryoflux.registry.composed import ComposedTensors
from cryoflux.registry.composing import DRAFT, composing, gathered, not_composed, write_absent
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
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.registry.shards import (
    TensorFolder,
    shard,
    shard_names,
)
from cryoflux.registry.version import Version, altered, checked_version, derived_version, version_in
from cryoflux.state import FIRST_TASK, StateFolder

if TYPE_CHECKING:
    from cryoflux.registry.composition import Composition


Lists = Callable[[str], "Composition | None"]
"""digest of a version → what the log says that it is the sum of; none where it does not say"""


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
        return version_in(folder, files)

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
        own = [entry for file in touched for entry in read_tensor_entries(folder / file)]
        return derived_version(base, folder, files, own)

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
        return derived_version(base, folder, files, entries)

    def fill(self, digest: str, above: tuple[str, ...] = ()) -> None:
        """Compose the weights that a version was kept without, if it was, and write them.

        Args:
            digest: of the version.
            above: versions whose list begins at it, and that wait for it.

        Raises:
            StateTamperedError: they are not the ones that it is named by, or cannot be composed.
            StorageError: the disk is full, read-only, or refuses.
        """
        folder = self._models / digest
        if not absent_weights(folder):
            return
        if digest in above:
            raise not_composed(folder, "its list begins at itself")
        with composing(folder):
            composed = composition_in(folder)
            self.fill(composed.genesis, (*above, digest))
            write_absent(folder, folder, {}, self._tensors(composed))

    def write(self, version: Version, base: Version, changed: Mapping[str, Any]) -> None:
        """The same of one whose tensors are at hand: those of its base, but for some."""
        write_absent(version.folder, version.folder, changed, TensorFolder(base.folder, "pt"))

    @contextmanager
    def opened(self, digest: str, room: Path | None = None) -> Iterator[Path]:
        """A folder of a version with its weights, for one who holds no lock; nothing in the state changes.

        What is here is linked into a folder of its own, so whoever holds the lock can take it off the disk
        meanwhile; what is not is composed there.

        Args:
            digest: of the version.
            room: where that folder lies; files are copied where it is on another disk.

        Raises:
            StateTamperedError: it is missing, or not what its name says, or cannot be composed.
            StorageError: there is no room for its weights.
        """
        with ExitStack() as stack:
            with storage_errors(room or Path(gettempdir())):
                place = Path(stack.enter_context(TemporaryDirectory(prefix=".cryoflux-", dir=room)))
            yield gathered(self._state, digest, place)

    def _tensors(self, composed: Composition) -> ComposedTensors:
        genesis, lists = self.open(composed.genesis).folder, parent_lists(self._state.path)
        return ComposedTensors(composed, genesis, self._state.capsule, lists)

    def slim(self, lists: Lists) -> None:
        """Take the weights off the disk that can be composed again: of what is no head and has no alias.

        Args:
            lists: what the log says that a version is the sum of; where its folder says another, they stay.

        Raises:
            StorageError: the disk is read-only, or refuses.
        """
        kept = {digest: said_in(self._models / digest) for digest in self.kept()}
        stays = {said.genesis for said in kept.values() if said is not None} | self._named()
        for digest, said in kept.items():
            folder = self._models / digest
            if said is None or digest in stays or folder.is_symlink() or not can_compose(self._state, said):
                continue
            if lists(digest) != said:
                continue
            try:
                own = weight_files(folder).items() - weight_files(self._models / said.genesis).items()
            except OSError:  # checksums that cannot be read say of no file that it can go
                continue
            with storage_errors(folder):
                for name, _ in own:
                    (folder / name).unlink(missing_ok=True)

    def _named(self) -> set[str]:
        """Digests of the heads, and of what has a name of somebody's own."""
        links = [self._state.head(), *self._state.heads.glob("*")]
        return {link.readlink().name for link in links if link.is_symlink()} | {
            *read_aliases(self._state).values()
        }

    def _new_draft(self) -> Path:
        return self._models / f"{DRAFT}{secrets.token_hex(4)}"

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
            for folder in parent.glob(f"{DRAFT}*"):
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def capsule_draft(self) -> Iterator[Path]:
        """An empty folder for the files of an update; gone afterwards, unless `keep_capsule` kept it."""
        draft = self._capsules / f"{DRAFT}{secrets.token_hex(4)}"
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
        except (OSError, ValueError) as error:
            raise altered(f"{folder} cannot be read ({error})") from error
        return checked_version(folder, folder, digest)

    def folder(self, digest: str) -> Path:
        """Where the version of that digest lies, or would lie."""
        return self._models / digest

    def head_digest(self, task: str = FIRST_TASK) -> str | None:
        """The digest of a task's head by its link; none before the first version."""
        link = self._state.head(task)
        return link.readlink().name if link.is_symlink() else None

    def point_head(self, digest: str, task: str = FIRST_TASK, lists: Lists | None = None) -> None:
        """Make a kept version the head of a task; of what was the head, the list may be all that stays.

        Args:
            digest: of the version.
            task: its name.
            lists: what the log says that a version is the sum of; without, all weights stay.
        """
        link = self._state.head(task)
        if self.head_digest(task) != digest:
            link.parent.mkdir(parents=True, exist_ok=True)
            above = "../" * (len(link.relative_to(self._state.path).parts) - 1)
            replace_symlink(link, f"{above}models/{digest}")
        if lists is not None:
            self.slim(lists)

    def kept(self) -> list[str]:
        """Digests of the kept versions, oldest first."""
        folders = [p for p in self._models.glob("*") if p.is_dir() and not p.name.startswith(".")]
        return [p.name for p in sorted(folders, key=lambda p: p.stat().st_mtime_ns)]
