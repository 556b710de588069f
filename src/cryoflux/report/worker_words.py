"""What the workers of a fleet are, in words and for programs."""

from __future__ import annotations

__all__ = ["worker_document", "worker_lines"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryoflux.fleet.documents import WorkerFacts


def worker_lines(workers: Sequence[WorkerFacts], asked_for: int) -> list[str]:
    """A line for each kind of worker, with the names of those that are alike.

    Args:
        workers: the workers.
        asked_for: how many were asked for.
    """
    alike: dict[str, list[str]] = {}
    for one in workers:
        by = f" by {one.metered_by}" if one.metered_by else ""
        kind = f"{one.compute}, {one.tier.value}{by}, on {one.host}"
        alike.setdefault(kind, []).append(one.name)
    found = [f"{', '.join(names)}: {kind}" for kind, names in alike.items()]
    if asked_for > len(workers):
        started = f"{len(workers)} of {asked_for} started"
        found.append(f"{started}: a chain has work for one; --recipes prefix-1 has for all")
    return [f"{'workers' if not number else '':<8} {line}" for number, line in enumerate(found)]


def worker_document(worker: WorkerFacts) -> dict[str, Any]:
    """The same of one, as a program reads it.

    Args:
        worker: the worker.
    """
    return {
        "worker": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "boot": worker.boot,
        "meter_key": worker.meter_key,
        "tier": worker.tier.value,
        "sources": worker.sources,
        "compute": worker.compute,
        "metered_by": worker.metered_by or None,
    }
