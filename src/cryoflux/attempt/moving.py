"""Writes the entry by which a head goes to a version that was kept before, and lets the rest follow from it.

A run does it, and a person does it by a command: what either has to have is a `HeadMover`. A crash after the
entry leaves a link that the next run, or the next command, lets follow the log.
"""

from __future__ import annotations

__all__ = ["HeadMover", "move_head", "write_move"]

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.workings import forget_workings
from cryoflux.decision.reason import Reason
from cryoflux.log_state import LogState
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
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import HEAD, StateFolder
from cryoflux.task_tallies import MadeBy


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
    context: Context,
    opened: Opened,
    move: Move,
    to: Version,
    made: MadeBy,
    reason: Reason,
    *,
    evidence: Sequence[Measurement] = (),
    test: MonitorTest | None = None,
    quarantined: Sequence[int] = (),
) -> Entry:
    """Make a kept version the head of a task that is at work in a run.

    Args:
        context: the run.
        opened: the task.
        move: why.
        to: the version, opened.
        made: the entry that made it.
        reason: as a code with its numbers.
        evidence: of the head as base and the version as new.
        test: by which the head was found to be worse; none where somebody just chose.
        quarantined: what is learned from no more (`TaskState.since`).

    Raises:
        StateError: a quorum of witnesses is required, and has not seen the entry.
        StorageError: the disk is full, read-only, or refuses.
    """
    adopt = partial(opened.task.adopt, to)
    task = opened.task.name
    return write_move(
        context, task, move, made, reason, evidence=evidence, test=test, quarantined=quarantined, adopt=adopt
    )


def write_move(
    mover: HeadMover,
    task: str,
    move: Move,
    made: MadeBy,
    reason: Reason,
    *,
    evidence: Sequence[Measurement] = (),
    test: MonitorTest | None = None,
    quarantined: Sequence[int] = (),
    adopt: Callable[[], None] = lambda: None,
) -> Entry:
    """Make a kept version the head of a task: the entry first, then what follows from it.

    Args:
        mover: the run, or the command.
        task: whose head it is; the log has come to one.
        move: why.
        made: the version, and the entry that made it.
        reason: as a code with its numbers.
        evidence: of the head as base and the version as new.
        test: by which the head was found to be worse.
        quarantined: what is learned from no more.
        adopt: called once the entry is written and seen, before the link follows.

    Raises:
        StateError: a quorum of witnesses is required, and has not seen the entry.
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
            result=made.version,
            made_at=made.index,
            made_by=made.leaf_hash,
            reason=reason,
            moved_at=mover.timestamp(),
            evidence=list(evidence),
            test=test,
            quarantined=list(quarantined),
        )
        subject = Subject(name=HEAD, digest=Sha256Digest(sha256=made.version.files))
        return HeadStatement(subject=[subject], predicate=said)

    entry = mover.append(build)
    mover.published(binding=True)
    adopt()
    mover.versions.point_head(made.version.digest, task, mover.memory.list_of)
    chains = (chain for known in mover.memory.tasks.values() for chain in known.chains.values())
    forget_workings(mover.state.workings, {chain.working for chain in chains})
    return entry
