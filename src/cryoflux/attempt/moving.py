"""Writes the entry by which a head goes back to a version that was kept before."""

from __future__ import annotations

__all__ = ["move_head"]

from collections.abc import Sequence

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.workings import forget_workings
from cryoflux.decision.reason import Reason
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import (
    HeadMove,
    HeadStatement,
    Measurement,
    MonitorTest,
    Move,
    Sha256Digest,
    Subject,
)
from cryoflux.registry.versions import Version
from cryoflux.state import HEAD
from cryoflux.task_state import MadeBy


def move_head(
    context: Context,
    opened: Opened,
    move: Move,
    to: Version,
    made: MadeBy,
    reason: Reason,
    *,
    evidence: Sequence[Measurement] = (),
    test: MonitorTest | None = None,
) -> Entry:
    """Make a kept version the head of a task that is at work: the entry first, then what follows from it.

    A crash after the entry leaves a link that the next run lets follow the log.

    Args:
        context: the run.
        opened: the task.
        move: why.
        to: the version, opened.
        made: the entry that made it.
        reason: as a code with its numbers.
        evidence: of the head as base and the version as new.
        test: by which the head was found to be worse; none where somebody just chose.

    Raises:
        StateError: a quorum of witnesses is required, and has not seen the entry.
        StorageError: the disk is full, read-only, or refuses.
    """

    def build(sequence: int, prev: str) -> HeadStatement:
        said = HeadMove(
            sequence=sequence,
            prev=prev,
            task=opened.task.name,
            move=move,
            base=opened.base,
            result=made.version,
            made_at=made.index,
            made_by=made.leaf_hash,
            reason=reason,
            moved_at=context.timestamp(),
            evidence=list(evidence),
            test=test,
        )
        subject = Subject(name=HEAD, digest=Sha256Digest(sha256=made.version.files))
        return HeadStatement(subject=[subject], predicate=said)

    entry = context.append(build)
    context.published(binding=True)
    opened.task.adopt(to)
    context.versions.point_head(to.digest, opened.task.name)
    chains = (chain for known in context.memory.tasks.values() for chain in known.chains.values())
    forget_workings(context.state.workings, {chain.working for chain in chains})
    return entry
