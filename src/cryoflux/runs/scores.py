"""Loss and accuracy before and after a run, on the holdout and on the audit set.

No decision ever looks at the audit set. It is evaluated here, once a version, outside any attempt.
"""

from __future__ import annotations

__all__ = ["Change", "Scores", "audit_known", "audit_scores", "holdout_recalls", "holdout_scores"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cryoflux.attempt.context import Context, Opened
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.recall import ClassRecall, recalls
from cryoflux.evaluation.scoring import score
from cryoflux.registry.kept_lists import is_whole
from cryoflux.registry.versions import Version

_Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a version scores on a set."""

    loss: float
    """mean loss, in the metric's unit: nats"""
    accuracy: float | None
    """share of examples, 0 to 1; none where an example is neither right nor wrong"""


Change = tuple[Scores | None, Scores | None]
"""before and after; none where it was not measured"""


def _scores(opened: Opened, losses: Losses | None) -> Scores | None:
    if losses is None:
        return None
    return Scores(losses.mean, losses.accuracy if opened.task.hits else None)


def _known(context: Context, opened: Opened, version: Version, part: str) -> Losses | None:
    digest, count = opened.data.file_digests[part], opened.data.count(part)
    profile = opened.task.profile(part)
    known = context.losses.get(version.digest, digest, opened.task.cut, count, profile, opened.task.largest)
    return known.losses if known else None


def holdout_scores(context: Context, opened: Opened, first: Version) -> Change:
    """Before and after on the holdout that was used last, from what attempts measured; none where none did.

    Args:
        context: the run.
        opened: the task.
        first: its head before the run.
    """
    versions = (first, opened.task.head)
    before, after = (_known(context, opened, version, opened.used) for version in versions)
    return _scores(opened, before), _scores(opened, after)


def holdout_recalls(context: Context, opened: Opened, first: Version) -> tuple[ClassRecall, ...]:
    """Recall by class on the same holdout; nothing where classes are even, there are none, or none measured.

    Args:
        context: the run.
        opened: the task.
        first: its head before the run.
    """
    before, after = (_known(context, opened, version, opened.used) for version in (first, opened.task.head))
    if after is None or not opened.task.hits or not opened.data.labels:
        return ()
    try:
        classes = [example.label for example in opened.data.examples(opened.used)]
    except (KeyError, TypeError):  # lines of a task of one's own, whose classes are elsewhere
        return ()
    return recalls(classes, before.correct if before is not None else None, after.correct)


def audit_known(context: Context, opened: Opened, version: Version) -> bool:
    """Whether a version has been evaluated on the audit set."""
    return _known(context, opened, version, "audit") is not None


def audit_scores(
    context: Context, opened: Opened, first: Version, progress: _Progress, *, quick: bool
) -> Change:
    """Before and after on the audit set.

    Args:
        context: the run.
        opened: the task.
        first: its head before the run.
        progress: called with what is done, examples done, examples in all.
        quick: report only what is known already.
    """
    versions = (first, opened.task.head)
    before, after = (_audit(context, opened, version, progress, quick=quick) for version in versions)
    return _scores(opened, before), _scores(opened, after)


def _audit(
    context: Context, opened: Opened, version: Version, progress: _Progress, *, quick: bool
) -> Losses | None:
    known = _known(context, opened, version, "audit")
    if known or quick:
        return known
    count, digest = opened.data.count("audit"), opened.data.file_digests["audit"]
    with _here(context, version) as here:
        scores = score(
            opened.task.scorer(here, "audit"),
            list(range(count)),
            lambda done: progress("evaluating the audit set", done, count),
            opened.task.largest,
        )
    losses = Losses(tuple(scores[0]), tuple(scores[1]))
    profile = opened.task.profile("audit")
    context.losses.put(version.digest, digest, opened.task.cut, KnownLosses(losses, 0), profile)
    return losses


@contextmanager
def _here(context: Context, version: Version) -> Iterator[Version]:
    """A version with its weights: of what was the head before, the list may be all that is kept."""
    if is_whole(version.folder):
        yield version
        return
    with context.versions.opened(version.digest) as folder:
        yield replace(version, folder=folder)
