"""A head goes to a version that was kept before: the signed entry of it, which is the commit point.

A run does it, and a person does it by a command: what either has to have is a `HeadMover`.
"""

from __future__ import annotations

__all__ = ["HeadMover", "move_head"]

from collections.abc import Callable, Sequence
from typing import Protocol

from cryoflux.attempt.workings import forget_workings
from cryoflux.decision.reason import Reason
from cryoflux.log_state import LogState
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
from cryoflux.registry.versions import Versions
from cryoflux.state import HEAD, StateFolder


class HeadMover(Protocol):
    """A state that is locked and open for appending, as a run or a command has it."""

    @property
    def state(self) -> StateFolder:
        """Where it lies."""

    @property
    def memory(self) -> LogState:
        """What its log has come to."""

    @property
    def versions(self) -> Versions:
        """Its models."""

    def append(self, build: Callable[[int, str], HeadStatement], /) -> Entry:
        """Write an entry, and remember it."""

    def published(self, *, binding: bool) -> None:
        """The log has a new head: offer it to the witnesses, if there are any."""

    def timestamp(self) -> str:
        """Wall time as an entry writes it."""


def move_head(
    mover: HeadMover,
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
        mover: the run, or the command.
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
    base = mover.memory.tasks[task].head

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
            moved_at=mover.timestamp(),
            evidence=list(evidence),
            test=test,
        )
        subject = Subject(name=HEAD, digest=Sha256Digest(sha256=result.files))
        return HeadStatement(subject=[subject], predicate=said)

    entry = mover.append(build)
    mover.published(binding=True)
    mover.versions.point_head(result.digest, task)
    chains = (chain for known in mover.memory.tasks.values() for chain in known.chains.values())
    forget_workings(mover.state.workings, {chain.working for chain in chains})
    return entry
