"""The losses of a head on its holdout, measured once and beside all attempts: a charge of their own.

What an attempt is compared with does not depend on it, and costs a whole evaluation in float64. So no
reservation has to pay for it: the session does, whose entry names it (`receipts.session.BaseCharge`). What a
verdict has measured of a new head is known already.
"""

from __future__ import annotations

__all__ = ["base_uj", "measure_bases"]

from collections.abc import Callable

from cryoflux.attempt import stages
from cryoflux.attempt.context import Context, Opened
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.scoring import score
from cryoflux.receipts.session import BaseCharge
from cryoflux.runs.open_session import OpenSession

_Progress = Callable[[str, int, int], None]


class _StoppedError(Exception):
    """Somebody asked to stop meanwhile."""


def _unknown(context: Context) -> list[Opened]:
    return [one for one in context.tasks.values() if stages.known_head_loss(context, one) is None]


def base_uj(context: Context) -> int:
    """What is still to be measured should cost, µJ; modelled."""
    return sum(opened.task.evaluation_uj(opened.part) for opened in _unknown(context))


def measure_bases(context: Context, session: OpenSession, progress: _Progress) -> bool:
    """Measure what is not known of the heads that the next attempts are compared with.

    Args:
        context: the run.
        session: pays for it.
        progress: called with what is done, examples done, examples in all.

    Returns:
        False where somebody asked to stop.

    Raises:
        EvaluationFailedError: a loss is no number.
    """
    try:
        for opened in _unknown(context):
            session.paid_for(_measure(context, opened, session, progress))
    except _StoppedError:
        return False
    return True


def _measure(context: Context, opened: Opened, session: OpenSession, progress: _Progress) -> BaseCharge:
    task, part, count = opened.task, opened.part, opened.count

    def between(done: int) -> None:
        progress("evaluating the head", done, count)
        if context.stop():
            raise _StoppedError

    start_uj, share = session.spent().uj, task.share_to_compute(part)
    scores = score(task.scorer(task.head, part), list(range(count)), between, task.largest)
    spent_uj = max(0, session.spent().uj - start_uj)
    losses, profile = Losses(tuple(scores[0]), tuple(scores[1])), task.profile(part)
    task.evaluated("", part, spent_uj, share)
    context.losses.put(task.head.digest, opened.holdout, task.cut, KnownLosses(losses, spent_uj), profile)
    return BaseCharge(
        task=task.name,
        base=opened.base,
        holdout=opened.holdout,
        count=count,
        profile=profile,
        loss_sum=sum(losses.nano_nats),
        microjoules=spent_uj,
    )
