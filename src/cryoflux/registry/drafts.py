"""How the files of a version come onto the disk, before it has a name."""

from __future__ import annotations

__all__ = [
    "complete",
    "no_half",
    "save_model",
    "shard_of",
    "sync_file",
    "sync_files",
    "weight_errors",
    "write_changed",
]

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryoflux.digests import CHECKSUMS, checksum_lines, sha256_hex
from cryoflux.errors import StorageError
from cryoflux.files import sync_folder
from cryoflux.registry.shards import link_or_copy, read_tensors, shard_bytes, write_shard


def write_changed(base: Path, touched: list[str], changed: Mapping[str, Any], into: Path) -> None:
    """Write the weight files of a base that some tensors change."""
    for file in touched:
        tensors = read_tensors(base / file)
        write_shard(into / file, {name: changed.get(name, tensor) for name, tensor in tensors.items()})


def shard_of(file: str, where: Mapping[str, str], changed: Mapping[str, Any], stored: Any) -> bytes:
    """The bytes of a weight file, of tensors that are others and of those that are not."""
    names = [name for name, its in where.items() if its == file]
    return shard_bytes({name: changed[name] if name in changed else stored[name] for name in names})


def complete(base: Path, folder: Path, listed: Mapping[str, str], own: frozenset[str]) -> str:
    """Give a draft the files that it shares with its base, and its checksums; their digest."""
    for name in listed.keys() - own:
        link_or_copy(base / name, folder / name)
    content = checksum_lines(listed)
    (folder / CHECKSUMS).write_bytes(content)
    sync_file(folder / CHECKSUMS)
    sync_folder(folder)
    return sha256_hex(content)


@contextmanager
def no_half(folder: Path) -> Iterator[None]:
    """Remove a folder whose making did not come to its end."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def weight_errors(folder: Path) -> Iterator[None]:
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


def save_model(
    save: Callable[[Path], None], folder: Path, *, then: Callable[[Path], None] = lambda _: None
) -> None:
    """Make a folder of what ``save`` writes into it, and have every byte of it on the disk.

    Raises:
        StorageError: something could not be written.
    """
    folder.mkdir(parents=True)
    with weight_errors(folder):
        save(folder)
        then(folder)
    sync_files(folder)


def sync_files(folder: Path) -> None:
    """Have every file below a folder on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)


def sync_file(path: Path) -> None:
    """Have every byte of a file on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
