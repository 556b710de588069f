"""What a state takes on the disk, and what of it may be deleted: the cache, and nothing else."""

from __future__ import annotations

__all__ = ["DiskUse", "Freed", "StatePart", "disk_use", "free_cache"]

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoflux.cache_files import CachedFile, bytes_on_disk, cached_files, remove_unused
from cryoflux.errors import UsageError
from cryoflux.files import storage_errors
from cryoflux.state import StateFolder

_PLACES = {
    "models": "every version that was kept; layers that did not change are shared",
    "capsules": "the updates that were judged",
    "data": "the examples",
    "evidence": "losses by example, behind each Δ",
    "receipts": "the signed receipts: keep them",
    "log": "checkpoint and tiles",
    "account": "the joule account: keep it",
    "keys": "private keys: keep them, and show them to nobody",
    "activity": "what the last run does or did, for who watches: may be deleted",
    "cache": "can be computed again",
    "other": "settings of this state",
}
"""name → what it is, in the order in which they are shown"""
_PLACE_OF = {"receipts.db": "receipts", "account.db": "account"}
_OF_A_STATE = ("origin.json", "receipts.db", "account.db")
"""any of them makes a folder a state"""
_CACHED = ("embeddings", "losses", "prefix", "tokens")
"""folders of the cache that are ours"""


@dataclass(frozen=True, slots=True)
class StatePart:
    """A part of a state."""

    name: str
    size: int
    """bytes, without holes; a file with several names counts once"""
    files: int
    note: str


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What a state takes on the disk."""

    state: Path
    places: tuple[StatePart, ...]
    freeable: int
    """bytes that `free_cache` would free if nobody used them"""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(place.size for place in self.places)


@dataclass(frozen=True, slots=True)
class Freed:
    """What was deleted of a cache."""

    size: int
    """bytes"""
    files: int
    in_use: int
    """files that a process uses, and that stay"""
    in_use_size: int
    """bytes of them"""


def disk_use(state: StateFolder) -> DiskUse:
    """Measure a state.

    Raises:
        UsageError: the folder is no state.
    """
    _check(state)
    sizes, counts = dict.fromkeys(_PLACES, 0), dict.fromkeys(_PLACES, 0)
    seen: set[tuple[int, int]] = set()
    for path, status in _files(state.path):
        if (file := (status.st_dev, status.st_ino)) in seen:
            continue
        seen.add(file)
        first = path.relative_to(state.path).parts[0].partition("-")[0]
        place = _PLACE_OF.get(first, first if first in _PLACES else "other")
        sizes[place] += bytes_on_disk(status)
        counts[place] += 1
    places = tuple(StatePart(name, sizes[name], counts[name], note) for name, note in _PLACES.items())
    return DiskUse(state.path, places, sum(one.size for one in _freeable(state)))


def free_cache(state: StateFolder) -> Freed:
    """Delete what may be computed again and no process uses.

    Raises:
        UsageError: the folder is no state.
        StorageError: the disk is read-only, or refuses.
    """
    _check(state)
    gone: list[int] = []
    kept: list[int] = []
    for one in _freeable(state):
        with storage_errors(one.path):
            (gone if remove_unused(one.path) else kept).append(one.size)
    return Freed(sum(gone), len(gone), len(kept), sum(kept))


def _check(state: StateFolder) -> None:
    if not any((state.path / name).is_file() for name in _OF_A_STATE):
        raise UsageError(
            f"{state.path} is not a state of CryoFlux.",
            why=f"A state holds {' or '.join(_OF_A_STATE)}; nothing was looked at or deleted.",
            hint="Name one with --state DIR.",
        )


def _freeable(state: StateFolder) -> list[CachedFile]:
    return [one for name in _CACHED for one in cached_files(state.cache / name)]


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder that is not a folder itself; links to folders are not followed."""
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:  # deleted meanwhile
            continue
        if not stat.S_ISDIR(status.st_mode):
            yield path, status
