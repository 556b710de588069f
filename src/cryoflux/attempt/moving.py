"""A head goes to a version that was kept before: the signed entry of it, which is the commit point."""

from __future__ import annotations

__all__ = ["move_head"]

from collections.abc import Sequence

from cryoflux.attempt.context import Context
from cryoflux.attempt.workings import forget_workings
from cryoflux.decision.reason import Reason
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import (
    Base,
    HeadMove,
    HeadStatement,
    Measurement,
    MonitorTest,
    Move,
    Sha256Digest,
    Subject,
)
from cryoflux.state import HEAD


def move_head(
    context: Context,
    task: str,
    move: Move,
    result: Base,
    *,
    made_at: int,
    made_by: str,
    reason: Reason,
    evidence: Sequence[Measurement] = (),
    test: MonitorTest | None = None,
) -> Entry:
    """Write the entry, have the witnesses see it, and let the link follow; a crash in between is repaired.

    What the link and the working updates say follows from the log, so the next run makes good what a crash
    left behind.

    Args:
        context: the run.
        task: whose head it is; the log has come to one.
        move: a rollback or a promotion.
        result: the head from here on.
        made_at: position of the entry that made it.
        made_by: leaf hash of that entry.
        reason: why.
        evidence: of the present head as base and the other version as new.
        test: by which the head was found to be worse.

    Raises:
        StateError: a quorum of witnesses is required, and was not reached.
        StorageError: the disk is full, read-only, or refuses.
    """
    base = context.memory.tasks[task].head

    def build(sequence: int, prev: str) -> HeadStatement:
        said = HeadMove(
            sequence=sequence,
            prev=prev,
            task=task,
            move=move,
            base=base,
            result=result,
            made_at=made_at,
            made_by=made_by,
            reason=reason,
            moved_at=context.timestamp(),
            evidence=list(evidence),
            test=test,
        )
        subject = Subject(name=HEAD, digest=Sha256Digest(sha256=result.files))
        return HeadStatement(subject=[subject], predicate=said)

    entry = context.append(build)
    context.published(binding=True)
    context.versions.point_head(result.digest, task)
    chains = (chain for known in context.memory.tasks.values() for chain in known.chains.values())
    forget_workings(context.state.workings, {chain.working for chain in chains})
    return entry
