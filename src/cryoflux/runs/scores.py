"""Loss and accuracy before and after a run, on the holdout and on the audit set.

No decision ever looks at the audit set. It is evaluated here, once a version, outside any attempt.
"""

from __future__ import annotations

__all__ = ["Change", "Scores", "audit_scores", "holdout_scores"]

from collections.abc import Callable
from dataclasses import dataclass

from cryoflux.attempt.context import Bench
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses
from cryoflux.receipts.profiles import PROFILE
from cryoflux.registry.versions import Version


@dataclass(frozen=True, slots=True)
class Scores:
    """What a version scores on a set."""

    loss: float
    """mean cross-entropy, nats"""
    accuracy: float
    """share of examples, 0 to 1"""


Change = tuple[Scores | None, Scores | None]
"""before and after; none where it was not measured"""


def _scores(losses: Losses | None) -> Scores | None:
    return Scores(losses.mean, losses.accuracy) if losses else None


def _known(bench: Bench, version: Version, part: str, profile: str) -> Losses | None:
    digest, count = bench.data.file_digests[part], len(bench.data.part(part))
    known = bench.losses.get(version.digest, digest, bench.max_tokens, count, profile)
    return known.losses if known else None


def holdout_scores(bench: Bench, first: Version, head: Version) -> Change:
    """Before and after on the holdout in use, from what attempts measured; none where none did."""
    part = bench.holdout_use.part
    before, after = (_known(bench, version, part, bench.profile) for version in (first, head))
    return _scores(before), _scores(after)


def audit_scores(
    bench: Bench,
    first: Version,
    head: Version,
    progress: Callable[[str, int, int], None],
    *,
    quick: bool,
) -> Change:
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
    known = _known(bench, version, "audit", PROFILE)
    if known or quick:
        return known
    count, digest = len(bench.data.audit), bench.data.file_digests["audit"]
    scorer = bench.loaded.scorer_of(version, "audit")
    scores = scorer.score(list(range(count)), lambda done: progress("evaluating the audit set", done, count))
    losses = Losses(tuple(scores[0]), tuple(scores[1]))
    bench.losses.put(version.digest, digest, bench.max_tokens, KnownLosses(losses, 0))
    return losses
