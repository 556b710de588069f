"""What attempts work with: the same frozen value from the first to the last of a run.

Nothing that an attempt learns is kept here. What the log has come to is one fold of it
(`cryoflux.log_state`), which grows by each entry that is written; what a task has in memory is its own.
"""

from __future__ import annotations

__all__ = ["Context", "Opened", "RunTerms"]

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cryoflux.attempt.watch import Observer, Phases, Step
from cryoflux.data.prepared import PreparedData
from cryoflux.decision.looking import screen_of
from cryoflux.decision.rules import Thresholds
from cryoflux.energy.interface import JouleAgent, Reservation
from cryoflux.evaluation.cache import LossCache
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.network_statement import NetworkStatement
from cryoflux.receipts.session import SessionStatement
from cryoflux.receipts.statement import Bar, Base, Holdout, Intent, Rule, SetRules, SimilarRule, Statement
from cryoflux.registry.composition import Composition
from cryoflux.registry.versions import Versions
from cryoflux.state import StateFolder
from cryoflux.task_state import Chain, TaskState
from cryoflux.tasks.interface import Task

if TYPE_CHECKING:
    from cryoflux.witness.witnessing import Witnessing


@dataclass(frozen=True, slots=True)
class RunTerms:
    """The terms of a run, settled before its first attempt."""

    reserve_uj: int
    """what an attempt takes from the bucket, µJ"""
    policy: str
    seed: int
    meter: Literal["embedded", "daemon"]
    """whose bucket is spent from"""
    keep: int = 0
    """newest versions of each task that the run leaves when it frees others; 0 where it frees none"""
    slots: int = 1
    """attempts that may be open at once"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A task at work in a state: what it trains and judges on, and by which rule."""

    task: Task
    data: PreparedData
    rule: Rule
    """without a screen: whether an update is screened is the arm's"""
    known: Callable[[], TaskState | None]
    """what the log has come to for this task; none before its first intent"""
    reserve_uj: int = 0
    """what an attempt takes from the bucket, µJ; 0 for what the terms of the run say"""

    @property
    def used(self) -> str:
        """Name of the holdout that was used last; the first one before any was."""
        known = self.known()
        digests = {self.data.file_digests[name]: name for name in self.data.holdouts}
        return digests.get(known.holdout if known is not None else "", self.data.holdouts[0])

    @property
    def part(self) -> str:
        """Name of the holdout in use: the last one, or the next where its error budget is spent."""
        known, names, used = self.known(), self.data.holdouts, self.used
        if known is None:
            return used
        tally = known.tally(self.data.file_digests[used])
        if not tally.exhausted(self.rule.name, self.rule.alpha_ppm):
            return used
        return names[min(names.index(used) + 1, len(names) - 1)]

    @property
    def holdout(self) -> str:
        """SHA-256 of the holdout in use."""
        return self.data.file_digests[self.part]

    @property
    def count(self) -> int:
        """Examples of the holdout in use."""
        return self.data.count(self.part)

    @property
    def drawn(self) -> int:
        """Training examples that attempts have drawn as fresh ones."""
        known = self.known()
        return known.drawn if known is not None else 0

    @property
    def waits(self) -> bool:
        """Whether a head was left, and the same examples would lead to it again."""
        known = self.known()
        return known is not None and known.gone_back == self.data.file_digests["train"]

    @property
    def base(self) -> Base:
        """The head, as an intent names it."""
        return Base(digest=self.task.head.digest, files=self.task.head.files)

    @property
    def composition(self) -> Composition:
        """What the head is composed of, by the log."""
        known = self.known()
        return known.composition if known is not None else Composition(genesis=self.task.head.digest)

    @property
    def set_rules(self) -> SetRules | None:
        """By which rules the sets were made; what the log has said of a data set it says for good."""
        if (known := self.known()) is not None:
            return known.data.rules
        rules = dict(self.data.rules)
        if similar := rules.get("similar"):
            rules["similar"] = SimilarRule(**similar)
        return SetRules(**rules) if rules else None

    def screen(self, *, screens: bool) -> str:
        """By which screen an update has to help first; empty where an arm sets no examples aside for it."""
        return screen_of(self.rule.name, screens=screens)

    def chain(self, arm: str) -> Chain | None:
        """The chain that the next attempt of an arm goes on with; none where it begins one."""
        known = self.known()
        return known.chains.get(arm) if known is not None else None

    def chain_of(self, intent: Intent) -> Chain | None:
        """The chain that an announced attempt goes on with, or begins; none where it is of none."""
        known = self.known()
        return known.begin_chain(intent) if known is not None else None

    def next_use(self) -> Holdout:
        """The holdout in use, as the next intent names it."""
        known = self.known()
        uses = known.tally(self.holdout).uses if known is not None else 0
        return Holdout(sha256=self.holdout, count=self.count, use_index=uses + 1)

    def thresholds(self, bar: Bar) -> Thresholds:
        """What an update has to reach where a holdout has a bar."""
        rule = self.rule
        least = (rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli)
        return Thresholds(*least, bar.needed_milli, self.task.metric.unit)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that attempts work with."""

    state: StateFolder
    agent: JouleAgent
    log: ReceiptLog
    memory: LogState
    """what the log has come to: follows each entry that `append` writes"""
    versions: Versions
    losses: LossCache
    tasks: Mapping[str, Opened]
    """by name"""
    terms: RunTerms
    observer: Observer
    stop: Callable[[], bool]
    """whether somebody asked to stop"""
    now: Callable[[], datetime]
    """wall time, UTC; a label"""
    witnessing: Witnessing | None = None
    """the witnesses of the log; none where nobody is trusted with that"""

    def append(self, build: Callable[[int, str], Statement | SessionStatement | NetworkStatement]) -> Entry:
        """Write an entry of the log, and remember it.

        Args:
            build: makes the statement from its sequence number and the hash of the entry before it.
        """
        entry = self.log.append(build)
        self.memory.take(entry)
        return entry

    def bar(self, opened: Opened) -> Bar:
        """The evidence that the next look at a task's holdout needs."""
        return self.memory.bar(opened.task.name, opened.holdout, opened.rule)

    def reservation(self, request_id: str) -> Reservation | None:
        """The reservation of this log with that request id; a daemon may hold one of another log."""
        found = self.agent.find(request_id)
        return found if found is not None and found.log in {"", self.log.origin} else None

    def timestamp(self) -> str:
        """Wall time as a receipt writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def published(self, *, binding: bool) -> None:
        """The log has a new head: offer it to the witnesses, if there are any.

        Args:
            binding: whether something takes effect by it.

        Raises:
            StateError: a quorum is required for that, and was not reached.
            StorageError: the disk is full, read-only, or refuses.
        """
        if self.witnessing and (found := self.witnessing.published(binding=binding)):
            self.observer.witnessed(found)

    @contextmanager
    def step(self, step: Step, phases: Phases) -> Iterator[None]:
        """One of the ten steps: announced, and its CPU time counted."""
        self.observer.step(step, "begin")
        with phases.measure(step):
            yield
        self.observer.step(step, "end")
