"""What a run says of itself once its state is open and its budget granted."""

from __future__ import annotations

__all__ = ["opening_of"]

from collections.abc import Mapping

from cryoflux.attempt.context import Context, Opened
from cryoflux.runs.needed import closing_uj
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.watch import Begun, Opening, Witnesses
from cryoflux.tasks.interface import Origin


def opening_of(context: Context, origins: Mapping[str, Origin], session: OpenSession | None) -> Opening:
    """What is told of a run before its first attempt.

    Args:
        context: the run.
        origins: task → what it was begun with.
        session: what it may spend; none where it was stopped before.
    """
    seen = context.witnessing
    firsts = {name: opened.task.head for name, opened in context.tasks.items()}
    return Opening(
        state=context.state.path,
        sample=context.agent.sample(),
        spendable_uj=session.budget_uj if session is not None else 0,
        startup=session.spent() if session is not None else None,
        closing_uj=closing_uj(context, firsts),
        reserve_uj=context.terms.reserve_uj,
        policy=context.terms.policy,
        attempts=context.memory.attempts,
        tasks=tuple(_begun(context, opened, origins[name]) for name, opened in context.tasks.items()),
        witnesses=Witnesses(seen.needed, seen.mode) if seen else None,
    )


def _begun(context: Context, opened: Opened, origin: Origin) -> Begun:
    task, bar, known = opened.task, context.bar(opened), opened.known()
    return Begun(
        name=task.name,
        metric=task.metric,
        origin=origin,
        head=task.head.digest,
        examples={name: opened.data.count(name) for name in opened.data.sets},
        arms=tuple(offer.arm for offer in task.arms(opened.drawn, opened.part)),
        rule=opened.rule,
        looks=known.tally(opened.holdout).looks if known is not None else 0,
        count=opened.count,
        thresholds=opened.thresholds(bar),
        compute=task.compute(),
        facts=task.facts(),
    )
