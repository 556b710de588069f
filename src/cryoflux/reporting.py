"""Loss and accuracy before and after a run, on the holdout and on the audit set.

No decision ever looks at the audit set. It is evaluated here, once a version, outside any attempt.
"""

from __future__ import annotations

__all__ = ["Scores", "audit_scores", "holdout_scores"]

from collections.abc import Callable
from dataclasses import dataclass

from cryoflux.bench import Bench
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses, measure_losses
from cryoflux.registry.versions import Version


@dataclass(frozen=True, slots=True)
class Scores:
    """What a version scores on a set."""

    loss: float
    """mean cross-entropy, nats"""
    accuracy: float
    """share of examples, 0 to 1"""


def _scores(losses: Losses | None) -> Scores | None:
    return Scores(losses.mean, losses.accuracy) if losses else None


def _known(bench: Bench, version: Version, part: str) -> Losses | None:
    count = len({"holdout": bench.data.holdout, "audit": bench.data.audit}[part])
    known = bench.losses.get(version.digest, bench.data.file_digests[part], bench.max_tokens, count)
    return known.losses if known else None


def holdout_scores(bench: Bench, first: Version, head: Version) -> tuple[Scores | None, Scores | None]:
    """Before and after on the holdout, from what attempts measured; none where none did."""
    return _scores(_known(bench, first, "holdout")), _scores(_known(bench, head, "holdout"))


def audit_scores(
    bench: Bench,
    first: Version,
    head: Version,
    progress: Callable[[str, int, int], None],
    *,
    quick: bool,
) -> tuple[Scores | None, Scores | None]:
    """Before and after on the audit set.

    Args:
        bench: the run.
        first: the head version before the run.
        head: the head version after it.
        progress: called with what is done, examples done, examples in all.
        quick: report only what is known already.
    """
    return _scores(_audit(bench, first, progress, quick=quick)), _scores(
        _audit(bench, head, progress, quick=quick)
    )


def _audit(
    bench: Bench, version: Version, progress: Callable[[str, int, int], None], *, quick: bool
) -> Losses | None:
    known = _known(bench, version, "audit")
    if known or quick:
        return known
    losses = measure_losses(
        version.folder,
        bench.data.audit,
        max_tokens=bench.max_tokens,
        device=bench.device,
        between_batches=lambda done, count: progress("evaluating the audit set", done, count),
    )
    digest = bench.data.file_digests["audit"]
    bench.losses.put(version.digest, digest, bench.max_tokens, KnownLosses(losses, 0))
    return losses
