"""Composing what a version lacks, where it lies or in a folder of its own.

Whoever holds no lock reads a version in such a folder: its files are linked there, so a run can take them
off the disk meanwhile, and nothing in the state changes.
"""

from __future__ import annotations

__all__ = ["DRAFT", "composing", "gathered", "not_composed", "write_absent"]

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryoflux.digests import CHECKSUMS, COMPOSED, listed_digests, sha256_hex
from cryoflux.errors import ModelError, StateTamperedError, StorageError
from cryoflux.files import IrregularFileError, copy_regular, files_below, storage_errors, sync_folder
from cryoflux.registry.composed import ComposedTensors
from cryoflux.registry.drafts import shard_of, sync_file
from cryoflux.registry.kept_lists import absent_weights, composition_in, weight_files
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.registry.shards import link_or_copy, shard_names, write_shard_bytes
from cryoflux.registry.version import altered, checked_version
from cryoflux.state import StateFolder

DRAFT = ".draft-"
"""what the names of folders begin with that are not ready"""


def gathered(state: StateFolder, digest: str, place: Path) -> Path:
    """A version whole in a folder of its own below a place, every byte of it checked.

    Raises:
        StateTamperedError: it is missing, or not what its name says, or cannot be composed.
        StorageError: there is no room for it.
    """
    with storage_errors(place):
        try:
            return _gathered(state, digest, place, ())
        except FileNotFoundError:  # the head moved while its files were linked: what went is composed
            shutil.rmtree(place / digest)
        try:
            return _gathered(state, digest, place, ())
        except FileNotFoundError as error:
            raise altered(f"{error.filename or digest} is missing") from error


def _gathered(state: StateFolder, digest: str, place: Path, above: tuple[str, ...]) -> Path:
    folder, into = state.model(digest), place / digest
    if digest in above:
        raise not_composed(folder, "its list begins at itself")
    try:
        listed, absent = listed_digests(folder), set(absent_weights(folder))
        present = {str(path.relative_to(folder)) for path in files_below(folder).values() if path.is_file()}
    except (OSError, UnicodeError) as error:
        raise altered(f"{folder} cannot be read ({error})") from error
    if unlisted := present - listed.keys() - {CHECKSUMS, COMPOSED}:
        raise altered(f"{folder / min(unlisted)} is not the file that was kept")
    into.mkdir()
    for name in sorted((listed.keys() | {CHECKSUMS}) - absent):
        _link(folder / name, into / name)
    if absent:
        with composing(folder):
            composed = composition_in(folder)
            genesis = _gathered(state, composed.genesis, place, (*above, digest))
            lists = parent_lists(state.path)
            write_absent(folder, into, {}, ComposedTensors(composed, genesis, state.capsule, lists))
    checked_version(into, folder, digest)
    return into


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_file() and not source.is_symlink():
            link_or_copy(source, target)
        else:
            copy_regular(source, target)
    except IrregularFileError as error:
        raise altered(f"{source} cannot be read ({error})") from error


def write_absent(folder: Path, into: Path, changed: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Write what a version lacks; each file is there whole, or not at all.

    Args:
        folder: of the version.
        into: the folder that lacks it: the same, or another.
        changed: tensors of its own.
        stored: the others.

    Raises:
        StateTamperedError: they make another file than the version lists.
        StorageError: it cannot be written.
    """
    where, listed = shard_names(folder), weight_files(folder)
    with storage_errors(into), TemporaryDirectory(prefix=DRAFT, dir=into.parent) as room:
        for file in [name for name in listed if not (into / name).is_file()]:
            content = shard_of(file, where, changed, stored)
            if sha256_hex(content) != listed[file]:
                raise not_composed(folder, f"genesis and updates make another {file}")
            written = Path(room) / file
            write_shard_bytes(written, content)
            sync_file(written)
            written.rename(into / file)
        sync_folder(into)


@contextmanager
def composing(folder: Path) -> Iterator[None]:
    """Whatever is wrong with a list, its genesis or its updates: the version cannot be composed."""
    try:
        yield
    except StorageError:
        raise
    except (ModelError, KeyError, OSError) as error:
        what = error.what if isinstance(error, ModelError) else str(error)
        raise not_composed(folder, what.removesuffix(".")) from error


def not_composed(folder: Path, what: str) -> StateTamperedError:
    """What is said of a list that its version does not follow from."""
    return StateTamperedError(
        f"{folder.name[:16]}… cannot be composed: {what}.",
        why="It is kept as its list of updates, and what they make has to be what its receipt signed.",
        hint="`cryoflux verify` names what is damaged; take capsules/ and models/ from a backup.",
    )
