"""What a log tells of rounds that can be made again: versions that they and recalls made, opened looks."""

from __future__ import annotations

__all__ = ["MovedHead", "OpenedLook", "RoundsTold", "rounds_told"]

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cryoflux.errors import CryoFluxError
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import RoundOutcome, SealedLook
from cryoflux.receipts.network_statement import GuestOpening, Recall, RoundResult
from cryoflux.receipts.statement import Base, Training
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut
from cryoflux.registry.made import list_of
from cryoflux.registry.mixture import after
from cryoflux.task_state import TaskState
from cryoflux.verification.model_sources import ListedVersion
from cryoflux.verification.opened_looks import OpenedSums
from cryoflux.verification.walk import follow, read_rows
from cryoflux.verification.walked import Walked


@dataclass(frozen=True, slots=True)
class TaskTold:
    """How versions of a task are evaluated, as its attempts say it."""

    cut: Cut = 0
    """how much of a text is read"""
    training: Training | None = None
    """of an attempt: whose kind says what evaluates"""


@dataclass(frozen=True, slots=True)
class MovedHead:
    """A version that a round adopted, or that a recall left."""

    name: str
    """of its entry"""
    listed: ListedVersion
    task: TaskTold
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class OpenedLook:
    """A look of a guest holdout that was opened."""

    name: str
    """of the entry of its round"""
    root: str
    """of the guest holdout"""
    examples: str
    """SHA-256 of their file, as the opening says"""
    base: ListedVersion
    candidate: ListedVersion
    opened: OpenedSums
    task: TaskTold


@dataclass(frozen=True, slots=True)
class _Shown:
    """A look that is sealed still."""

    name: str
    look: SealedLook
    needed_milli: int
    before: TaskState
    on: str
    """digest of its base"""
    base: Composition
    round: RoundResult
    task: TaskTold


@dataclass(slots=True)
class RoundsTold:
    """All of them, oldest first; as many are kept as are asked for."""

    moved: deque[MovedHead]
    looks: deque[OpenedLook]
    heads: int = 0
    """versions that rounds and recalls made, those that are not kept included"""
    opened: int = 0
    """opened looks, the same"""
    configs: dict[str, str] = field(default_factory=dict)
    """adapter → digest of its settings, of the log's own updates"""
    _tasks: dict[str, TaskTold] = field(default_factory=dict)
    _shown: dict[str, _Shown] = field(default_factory=dict)
    """announcement → its look"""

    def take(self, entry: Entry, memory: LogState) -> None:
        """Go on by an entry; ``memory`` is the log before it."""
        if entry.intent is not None:
            name, before = entry.intent.task.name, self._tasks.get(entry.intent.task.name)
            training = before.training if before is not None else None
            self._tasks[name] = TaskTold(entry.intent.recipe.get("max_tokens", 0), training)
        elif (receipt := entry.receipt) is not None:
            before = self._tasks.get(receipt.task.name, TaskTold())
            self._tasks[receipt.task.name] = TaskTold(before.cut, receipt.training or before.training)
            if len(subject := entry.statement.subject) > 1:
                self.configs.setdefault(subject[0].digest.sha256, subject[1].digest.sha256)
        elif entry.network is not None:
            said = entry.network.predicate
            known = memory.tasks.get(said.task)
            if known is not None and isinstance(said, RoundResult | Recall | GuestOpening):
                self._network(entry.name, said, known, memory)

    def _network(
        self, name: str, said: RoundResult | Recall | GuestOpening, known: TaskState, memory: LogState
    ) -> None:
        task = self._tasks.get(said.task, TaskTold())
        match said:
            case RoundResult():
                self._round(name, said, known, memory, task)
            case Recall():
                due = list_of(known.made, known.head.digest, never=said.capsule)
                if due is not None:
                    listed = _listed(said.result, due, known, known.head.digest)
                    listed = replace(listed, never=said.capsule)
                    self._move(MovedHead(name, listed, task, recalled=True))
            case GuestOpening():
                self._open(said)

    def _round(
        self, name: str, said: RoundResult, known: TaskState, memory: LogState, task: TaskTold
    ) -> None:
        composed = known.composition
        if said.outcome is RoundOutcome.ACCEPTED:
            due = after(composed, said.steps)
            listed = _listed(said.result, due, known, known.head.digest, said)
            self._move(MovedHead(name, listed, task))
        announced = memory.nodes[said.task].open.get(said.intent) if said.task in memory.nodes else None
        if said.look is not None and announced is not None:
            bar = announced.intent.guest.needed_milli
            seen = _Shown(name, said.look, bar, known, known.head.digest, composed, said, task)
            self._shown[said.intent] = seen

    def _move(self, moved: MovedHead) -> None:
        self.heads += 1
        self.moved.append(moved)

    def _open(self, said: GuestOpening) -> None:
        key = bytes.fromhex(said.key)
        for one in said.rounds:
            if (shown := self._shown.pop(one.intent, None)) is None:
                continue
            sums = one.sums
            opened = OpenedSums(one.intent, shown.look, sums, said.count, key, shown.needed_milli)
            base = _listed(sums.base, shown.base, shown.before, shown.on)
            due = after(shown.base, shown.round.steps)
            candidate = _listed(sums.candidate, due, shown.before, shown.on, shown.round)
            self.opened += 1
            self.looks.append(
                OpenedLook(shown.name, said.root, said.examples, base, candidate, opened, shown.task)
            )


def _listed(
    version: Base, composed: Composition, known: TaskState, on: str, said: RoundResult | None = None
) -> ListedVersion:
    maker = known.makers.get(composed.genesis)
    genesis = maker.version if maker is not None else None
    steps = tuple(said.steps) if said is not None else ()
    return ListedVersion(version, composed, on, known.made, steps, genesis)


def rounds_told(walked: Walked, most: int) -> RoundsTold:
    """What a log tells, in one more walk; nothing where it is no node's.

    Args:
        walked: the log.
        most: that are kept of each kind, the newest.
    """
    told = RoundsTold(deque(maxlen=most), deque(maxlen=most))
    if not walked.memory.nodes:
        return told
    memory = LogState()
    for seen in read_rows(walked.material.rows, memory):
        if seen.entry is not None:
            with suppress(CryoFluxError):  # steps that make no list: step 17 has said so
                told.take(seen.entry, memory)
        follow(seen, memory)  # what is wrong with it was said in the first pass
    return told
