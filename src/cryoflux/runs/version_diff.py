"""What lies between two versions: tensors and settings that differ, and by the log Δ, joules, receipts."""

from __future__ import annotations

__all__ = ["TensorChange", "VersionDiff", "diff_versions"]

from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryoflux.digests import listed_digests
from cryoflux.quantities import Energy
from cryoflux.registry.kept_lists import is_list
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Versions
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion

_AT_ONCE = 1 << 20
"""elements of a tensor that are compared at once"""


@dataclass(frozen=True, slots=True)
class TensorChange:
    """A tensor that differs."""

    name: str
    relative_norm: float | None
    """‖second − first‖ / ‖first‖; none where the first is zero, or only one of them has the tensor"""


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What lies between two versions."""

    first: CataloguedVersion
    second: CataloguedVersion
    tensors: tuple[TensorChange, ...] | None
    """that differ, by name; none where files of one of them are not here, or are no tensors, and where what
    reads them is not installed"""
    same: int
    """tensors that are the same"""
    relative_norm: float | None
    """of all tensors that differ, as one vector"""
    settings: tuple[str, ...] | None
    """files beside the weights that differ; none where files of one of them are not here"""
    delta: float | None
    """Σ Δ of the second less that of the first, in the unit of the task; none between two tasks"""
    spent: Energy | None
    """charged to the attempts of the task between the two; none where there were none, or two tasks"""
    receipts: tuple[CataloguedVersion, ...]
    """versions that the second rests on and the first does not, oldest first"""
    back: tuple[CataloguedVersion, ...]
    """versions that the first rests on and the second does not, newest first"""


def diff_versions(catalogue: Catalogue, first: CataloguedVersion, second: CataloguedVersion) -> VersionDiff:
    """Compare two versions of a state.

    Raises:
        ModelError: weights of one of them cannot be read.
        OSError: the same, of a file.
    """
    changes, same, overall, settings = _of_files(catalogue, first, second)
    delta, spent = None, None
    receipts: list[CataloguedVersion] = []
    back: list[CataloguedVersion] = []
    if first.task and first.task == second.task:
        of = catalogue.tasks[first.task]
        here, there = of.line(first.digest), of.line(second.digest)
        shared = {one.digest for one in here} & {one.digest for one in there}
        receipts = [one for one in there if one.digest not in shared]
        back = [one for one in here[::-1] if one.digest not in shared]
        delta, spent = second.total_delta - first.total_delta, _between(first, second)
    return VersionDiff(
        first, second, changes, same, overall, settings, delta, spent, tuple(receipts), tuple(back)
    )


def _between(first: CataloguedVersion, second: CataloguedVersion) -> Energy | None:
    early, late = sorted((first, second), key=lambda one: one.made_at or 0)
    if late.energy is None or early.digest == late.digest:
        return None
    if early.energy is None:
        return late.energy
    # Attempts add up one by one, so what came between is the difference of each end.
    a, b = early.energy, late.energy
    return Energy(b.uj - a.uj, b.lo_uj - a.lo_uj, b.hi_uj - a.hi_uj, b.tier, b.flags)


def _squares(a: Any, b: Any) -> tuple[float, float]:
    """‖b - a‖² and ‖a‖², in parts: as float64, a tensor of bytes is eight times as large."""
    import numpy as np

    far = long = 0.0
    for at in range(0, len(a), _AT_ONCE):
        wide = a[at : at + _AT_ONCE].astype(np.float64)
        apart = b[at : at + _AT_ONCE].astype(np.float64) - wide
        far, long = far + float(apart @ apart), long + float(wide @ wide)
    return far, long


def _of_files(
    catalogue: Catalogue, first: CataloguedVersion, second: CataloguedVersion
) -> tuple[tuple[TensorChange, ...] | None, int, float | None, tuple[str, ...] | None]:
    if not {first.digest, second.digest} <= catalogue.present:
        return None, 0, None, None
    folders = [catalogue.state.model(one.digest) for one in (first, second)]
    old, new = (listed_digests(folder) for folder in folders)
    differ = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    settings = tuple(sorted(name for name in differ if not name.endswith(".safetensors")))
    weights = any(name.endswith(".safetensors") for name in old.keys() | new.keys())
    if not weights or find_spec("numpy") is None or find_spec("safetensors") is None:
        return None, 0, None, settings
    with ExitStack() as stack:
        before, after = (TensorFolder(_with_weights(catalogue, one.digest, stack)) for one in (first, second))
        return (*_of_tensors(before, after), settings)


def _with_weights(catalogue: Catalogue, digest: str, stack: ExitStack) -> Path:
    """Where a version lies whole: read where it is, composed elsewhere only where it is kept as its list."""
    folder = catalogue.state.model(digest)
    if not is_list(folder):
        return folder
    return stack.enter_context(Versions(catalogue.state.path).opened(digest))


def _of_tensors(
    before: TensorFolder, after: TensorFolder
) -> tuple[tuple[TensorChange, ...], int, float | None]:
    changes: list[TensorChange] = []
    moved = length = 0.0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            changes.append(TensorChange(name, None))
            continue
        a, b = before[name], after[name]
        if a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes():
            continue
        if a.shape != b.shape:
            changes.append(TensorChange(name, None))
            continue
        far, long = _squares(a.reshape(-1), b.reshape(-1))
        moved, length = moved + far, length + long
        changes.append(TensorChange(name, (far / long) ** 0.5 if long else None))
    overall = (moved / length) ** 0.5 if length else None
    same = len(before.keys() | after.keys()) - len(changes)
    return tuple(changes), same, overall
