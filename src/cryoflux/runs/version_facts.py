"""What of a version is known beside the log: its loss on the audit set, its bytes on the disk.

The audit set is evaluated by runs, at the end and now and then, and what they found is a cache: of a version
that no run has evaluated, or whose cache was freed, it is not known.
"""

from __future__ import annotations

__all__ = ["VersionFacts", "known_audit_losses", "version_facts"]

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass

from cryoflux.cache_files import bytes_on_disk
from cryoflux.errors import CryoFluxError
from cryoflux.evaluation.cache import LossCache
from cryoflux.evaluation.losses import Losses
from cryoflux.files import files_below
from cryoflux.receipts.profiles import (
    DOCUMENT_F32,
    DOCUMENT_F32_2,
    DOCUMENT_F64,
    F32,
    PROFILE,
    REPEATABLE,
)
from cryoflux.receipts.statement import Data
from cryoflux.registry.cuts import Cut
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.inputs import stored_origins
from cryoflux.tasks.interface import Origin


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is not in the log."""

    audit_loss: float | None
    """mean, in the unit of its task; none where it is not known"""
    audit_delta: float | None
    """of version 0 less its own"""
    own_bytes: int
    """on the disk, of files that no other version has"""
    shared_bytes: int
    """of those that another one has too"""
    audit_accuracy: float | None = None
    """share of the audit set that it gets right, 0 to 1; none too where none is, or can be"""


def version_facts(
    catalogue: Catalogue, only: Container[str] | None = None
) -> dict[tuple[str, str], VersionFacts]:
    """(task, digest) → what is known of each version.

    Args:
        catalogue: of the state.
        only: digests of those that are asked about; none for all.
    """
    origins: dict[str, Origin] = {}
    with suppress(CryoFluxError):  # without that file, how much of a text was read is not known
        origins = stored_origins(catalogue.state)
    cache, found = LossCache(catalogue.state.cache / "losses"), {}
    for one in catalogue.versions():
        if only is not None and one.digest not in only:
            continue
        losses = _audit_losses(catalogue, cache, origins, one.task, one.digest)
        known = catalogue.memory.tasks.get(one.task)
        first = _audit_losses(catalogue, cache, origins, one.task, known.first.digest) if known else None
        delta = first.mean - losses.mean if first is not None and losses is not None else None
        loss = losses.mean if losses is not None else None
        accuracy = losses.accuracy if losses is not None and any(losses.correct) else None
        found[one.task, one.digest] = VersionFacts(loss, delta, *_sizes(catalogue, one), accuracy)
    return found


def known_audit_losses(cache: LossCache, cut: Cut, data: Data, digest: str) -> Losses | None:
    """Losses of a version on the audit set, in its order; none where no run has evaluated it.

    Args:
        cache: of the state.
        cut: how much of a text is read there.
        data: the data set that the audit set is of.
        digest: of the version.
    """
    for profile in (PROFILE, F32, REPEATABLE, DOCUMENT_F64, DOCUMENT_F32_2, DOCUMENT_F32):
        if (known := cache.get(digest, data.audit, cut, data.audit_count, profile)) is not None:
            return known.losses
    return None


def _audit_losses(
    catalogue: Catalogue, cache: LossCache, origins: dict[str, Origin], task: str, digest: str
) -> Losses | None:
    known, origin = catalogue.memory.tasks.get(task), origins.get(task)
    if known is None or origin is None:
        return None
    return known_audit_losses(cache, origin.cut, known.data, digest)


def _sizes(catalogue: Catalogue, version: CataloguedVersion) -> tuple[int, int]:
    own = shared = 0
    if version.digest in catalogue.present:
        for path in files_below(catalogue.state.model(version.digest)).values():
            status = path.lstat()
            if status.st_nlink > 1:
                shared += bytes_on_disk(status)
            else:
                own += bytes_on_disk(status)
    return own, shared
