"""Making a version again from the genesis of its list and the updates that were kept: the same digest.

A genesis that is not here any more is made again first, from a list of its own. What is made is compared with
the digests that the log signed, tensors and files, before it gets a name.
"""

from __future__ import annotations

__all__ = ["Rebuilt", "rebuild_into", "rebuild_version"]

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.digests import COMPOSED, TensorEntry, read_tensor_entries, tensors_digest, write_checksums
from cryoflux.errors import ModelError, StateTamperedError, UsageError
from cryoflux.files import holds_something, storage_errors, write_atomic
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition
from cryoflux.registry.kept_lists import composition_text, is_whole, said_in
from cryoflux.registry.parent_lists import adapter_place, parent_lists, updates_of
from cryoflux.registry.shards import TensorFolder, write_model
from cryoflux.registry.versions import Version, Versions
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion

_MOST_DEEP = 64
"""lists that begin at one another; each is of up to 1,024 updates"""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A version that was made again."""

    digest: str
    updates: int
    """that were added up"""
    genesis: str
    """digest of the version that its list begins at"""
    same_files: bool
    """whether every file is the one that was signed, not only every tensor"""
    was_here: bool
    """whether its files were here, and are the same to the byte"""
    folder: Path


def rebuild_version(catalogue: Catalogue, versions: Versions, wanted: CataloguedVersion) -> Rebuilt:
    """Make a version again where it belongs; whoever calls holds the lock of the state.

    One that is here is made again all the same, and compared.

    Raises:
        UsageError: the log does not say what it is the sum of.
        ModelError: an update cannot be read.
        StateTamperedError: what is made is another model than was signed.
        StorageError: the disk is full, read-only, or refuses.
    """
    composed, folder = _composition(wanted), versions.folder(wanted.digest)
    if (folder / COMPOSED).exists() and said_in(folder) != composed:
        write_atomic(
            folder / COMPOSED, composition_text(composed)
        )  # it is unsigned: what the log says counts
    if not is_whole(folder) and wanted.digest in catalogue.present:
        versions.open(wanted.digest)  # kept as its list: what is composed has its name, or is refused
        return _rebuilt(catalogue.state.path, wanted, composed, folder, same_files=True, was_here=False)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=catalogue.state.models) as room:
        genesis = _genesis(catalogue, versions, composed.genesis, Path(room), 0)
        draft = versions.derive(genesis, _changed(catalogue, composed, genesis.folder))
    _compare(wanted, draft.digest)
    same, here = draft.files == wanted.files, wanted.digest in catalogue.present
    if here:
        versions.discard(draft)
        if versions.open(wanted.digest).files != draft.files:
            raise _another(wanted, "other files beside its tensors")
    else:
        if not same:
            versions.discard(draft)
            raise _another(wanted, "other files beside its tensors")
        versions.keep(draft)
    return _rebuilt(catalogue.state.path, wanted, composed, folder, same_files=same, was_here=here)


def rebuild_into(catalogue: Catalogue, wanted: CataloguedVersion, into: Path) -> Rebuilt:
    """Make a version again in a folder of its own; the state is only read.

    Raises:
        UsageError: the folder is in the way, or the log does not say what the version is the sum of.
        ModelError, StateTamperedError, StorageError: as for `rebuild_version`.
    """
    if into.is_symlink() or holds_something(into):
        raise UsageError(
            f"{into} exists and is not an empty folder.",
            why="A version is a folder of its own, and takes the place of nothing.",
            hint="Give it the name of a folder that is not there yet.",
        )
    composed, versions = _composition(wanted), Versions(catalogue.state.path)
    with storage_errors(into), tempfile.TemporaryDirectory() as room:
        genesis = _genesis(catalogue, versions, composed.genesis, Path(room), 0)
        made = Path(room) / "made"
        write_model(genesis.folder, genesis.folder, _changed(catalogue, composed, genesis.folder), made)
        files = write_checksums(made)
        _compare(wanted, _digest(made))
        _copy(made, into)
    here = wanted.digest in catalogue.present
    return _rebuilt(
        catalogue.state.path, wanted, composed, into, same_files=files == wanted.files, was_here=here
    )


def _rebuilt(
    state: Path,
    wanted: CataloguedVersion,
    composed: Composition,
    folder: Path,
    *,
    same_files: bool,
    was_here: bool,
) -> Rebuilt:
    return Rebuilt(
        digest=wanted.digest,
        updates=len(updates_of(composed.terms, parent_lists(state))),
        genesis=composed.genesis,
        same_files=same_files,
        was_here=was_here,
        folder=folder,
    )


def _copy(made: Path, into: Path) -> None:
    """All files of a folder, or none of them."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        for path in sorted(made.iterdir()):
            shutil.copyfile(path, into / path.name)
    except OSError:
        for path in made.iterdir():
            (into / path.name).unlink(missing_ok=True)
        raise


def _composition(wanted: CataloguedVersion) -> Composition:
    if wanted.composed is not None:
        return wanted.composed
    raise UsageError(
        f"{wanted.digest[:16]}… is the sum of no list of updates.",
        why="Version 0 is given, and what was merged in float32, or by another task, is not made again here.",
        hint="Take its files from a backup, or from a bundle that was made while they were here.",
    )


def _genesis(catalogue: Catalogue, versions: Versions, digest: str, room: Path, depth: int) -> Version:
    """The version that a list begins at, from the disk or made again."""
    if digest in catalogue.present:
        return versions.open(digest)
    wanted = next((one for one in catalogue.versions() if one.digest == digest), None)
    if wanted is None or wanted.composed is None or depth >= _MOST_DEEP:
        raise UsageError(
            f"The version {digest[:16]}…, which the list begins at, is not here.",
            why="Updates are added to something.",
            hint="Take its files from a backup, or from a bundle that was made while they were here.",
        )
    below = _genesis(catalogue, versions, wanted.composed.genesis, room, depth + 1)
    made = room / digest
    write_model(below.folder, below.folder, _changed(catalogue, wanted.composed, below.folder), made)
    files = write_checksums(made)
    _compare(wanted, _digest(made))
    return Version(made, digest, files, _entries(made))


def _changed(catalogue: Catalogue, composed: Composition, genesis: Path) -> dict[str, Any]:
    """The tensors that differ from the genesis, as torch tensors."""
    import torch

    place = adapter_place(catalogue.state)

    def adapter(digest: str) -> Any:
        if not (folder := place(digest)).is_dir():
            raise ModelError(
                f"The update {digest[:16]}… is not here.",
                why="A version is the sum of all updates of its list.",
                hint="Take its folder, capsules/<digest> or network/incoming/<digest>, from a backup.",
            )
        return read_adapter(folder, digest)

    sums = compose(composed, TensorFolder(genesis), adapter, parent_lists(catalogue.state.path))
    return {name: torch.from_numpy(tensor) for name, tensor in sums.rounded().items()}


def _entries(folder: Path) -> tuple[TensorEntry, ...]:
    weights = sorted(folder.glob("*.safetensors"))
    return tuple(entry for path in weights for entry in read_tensor_entries(path))


def _digest(folder: Path) -> str:
    return tensors_digest(_entries(folder))


def _compare(wanted: CataloguedVersion, made: str) -> None:
    if made != wanted.digest:
        raise _another(wanted, f"the digest {made[:16]}…")


def _another(wanted: CataloguedVersion, what: str) -> StateTamperedError:
    return StateTamperedError(
        f"Genesis and updates make another model than {wanted.digest[:16]}…: it has {what}.",
        why="Nothing was kept: what is named by a digest has to be that.",
        hint="cryoflux verify names what is damaged; cryoflux verify --recompute looks at the merges.",
    )
