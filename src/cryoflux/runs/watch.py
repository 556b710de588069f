"""Watching a whole run: frozen values for anybody who wants them, however many that are."""

from __future__ import annotations

__all__ = ["Begun", "Joined", "Observers", "Opening", "RunObserver", "Witnesses"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.watch import Observer, Step
from cryoflux.decision.rules import Thresholds
from cryoflux.energy.interface import Reservation, Sample
from cryoflux.network.recording import RoundRecord
from cryoflux.quantities import Energy
from cryoflux.receipts.statement import Metric, Receipt, Rule
from cryoflux.runs.monitoring import Checked
from cryoflux.runs.scores import Change
from cryoflux.scheduling.policy import Choice, Plateau
from cryoflux.tasks.interface import Origin
from cryoflux.tasks.pacing import Progress

if TYPE_CHECKING:
    from cryoflux.fleet.documents import WorkerFacts, WorkerState
    from cryoflux.witness.client import Collected  # it would bring an HTTP client


@dataclass(frozen=True, slots=True)
class Begun:
    """A task of a run, before its first attempt."""

    name: str
    metric: Metric
    origin: Origin
    head: str
    """digest of its head"""
    examples: Mapping[str, int]
    """set → how many it has"""
    arms: tuple[str, ...]
    rule: Rule
    looks: int
    """verdicts that the holdout in use has given"""
    count: int
    """examples of the holdout in use"""
    thresholds: Thresholds
    """of the next look"""
    compute: str
    """how and where it computes"""
    facts: Mapping[str, Any]
    """what else the task says of itself"""


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who has to have seen the log."""

    needed: str
    """how many: ``2 of 3``"""
    mode: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A run whose state is open and whose budget is granted."""

    state: Path
    sample: Sample
    spendable_uj: int
    """µJ that it may spend, everything counted"""
    startup: Energy | None
    """what starting up was charged already; none where nothing is to be spent"""
    closing_uj: int
    """µJ that evaluating the audit set at the end should take; modelled"""
    reserve_uj: int
    """µJ that an attempt takes"""
    policy: str
    attempts: int
    """that the log holds before the first one of this run"""
    tasks: tuple[Begun, ...]
    witnesses: Witnesses | None


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a file that arrived, for one task."""

    file: str
    """its name; empty where it is about all that arrived"""
    task: str = ""
    joined: int = 0
    """examples that join the training set"""
    refused: Mapping[str, int] = field(default_factory=dict)
    """why (`cryoflux.data.growing.Refusal`; ``lacking`` of rows that are no examples) → how many do not"""
    lines: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """the same → where the first ones of them stand"""
    problem: str = ""
    """why nothing of it was read, or could be kept"""


class RunObserver(Observer):
    """Watches a whole run: is handed frozen values, and must not raise. By itself it does nothing."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Something that takes a while before the first attempt, or after the last."""

    def opened(self, opening: Opening) -> None:
        """The state is open and the budget granted."""

    def funded(self, reservation: Reservation, spendable_uj: int) -> None:
        """A session has begun, or the account holds more by now.

        Args:
            reservation: pays for what the session spends beside its attempts.
            spendable_uj: what it may spend, everything counted, µJ.
        """

    def crewed(self, workers: Sequence[WorkerFacts], asked_for: int) -> None:
        """Workers have started: they train from now on.

        Args:
            workers: the workers.
            asked_for: how many were asked for; more than there are where others would have nothing to do.
        """

    def at_work(self, states: Mapping[str, WorkerState | None]) -> None:
        """How it goes at the workers: each with what it said last.

        Args:
            states: by the workers' names; none of one that has said nothing yet.
        """

    def worker_lost(self, worker: str, why: str) -> None:
        """A worker was lost with what it was at."""

    def recovered(self, receipt: Receipt) -> None:
        """An attempt of a dead run got its receipt."""

    def finished(self, record: AttemptRecord) -> None:
        """An attempt has its receipt."""

    def adopted(self, record: RoundRecord) -> None:
        """A round has its record."""

    def milestone(self, task: str, looks: int, holdout: Change, audit: Change) -> None:
        """A task's holdout has been looked at so often; how both sets have changed since the run began."""

    def rotated(self, task: str, part: str) -> None:
        """The error budget of a task's holdout is spent; a spare one takes over."""

    def freed(self, versions: int, size_bytes: int) -> None:
        """The files of so many old versions were freed, by a signed entry."""

    def plateau(self, plateau: Plateau) -> None:
        """No arm is expected to pay any more."""

    def monitored(self, checked: Checked) -> None:
        """A head was held against versions before it; it was left where it is worse."""

    def unmonitored(self, task: str, why: str) -> None:
        """The file that is fed cannot be read now, or too little of it counts."""

    def joined(self, joined: Joined) -> None:
        """A file has arrived in the watched folder, and was read."""

    def waiting(self, why: str) -> None:
        """Nothing can be tried: the run sleeps until there is data or energy."""

    def closing(self) -> None:
        """No attempt follows in this session; what is left is to say what it came to."""


class Observers(RunObserver):
    """Several observers, told in order."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._all = tuple(observers)

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """Tell all of them."""
        for one in self._all:
            one.step(step, moment)

    def crewed(self, workers: Sequence[WorkerFacts], asked_for: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.crewed(workers, asked_for)

    def at_work(self, states: Mapping[str, WorkerState | None]) -> None:
        """Tell all of them."""
        for one in self._all:
            one.at_work(states)

    def worker_lost(self, worker: str, why: str) -> None:
        """Tell all of them."""
        for one in self._all:
            one.worker_lost(worker, why)

    def sampled(self, sample: Sample) -> None:
        """Tell all of them."""
        for one in self._all:
            one.sampled(sample)

    def chosen(self, choice: Choice) -> None:
        """Tell all of them."""
        for one in self._all:
            one.chosen(choice)

    def reserved(self, reservation: Reservation) -> None:
        """Tell all of them."""
        for one in self._all:
            one.reserved(reservation)

    def prepared(self, done: int, count: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.prepared(done, count)

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.trained(progress, reserved_uj)

    def evaluated(self, done: int, count: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.evaluated(done, count)

    def checking(self, what: str, done: int, count: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.checking(what, done, count)

    def witnessed(self, found: Collected) -> None:
        """Tell all of them."""
        for one in self._all:
            one.witnessed(found)

    def preparing(self, what: str, done: int, total: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.preparing(what, done, total)

    def opened(self, opening: Opening) -> None:
        """Tell all of them."""
        for one in self._all:
            one.opened(opening)

    def funded(self, reservation: Reservation, spendable_uj: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.funded(reservation, spendable_uj)

    def recovered(self, receipt: Receipt) -> None:
        """Tell all of them."""
        for one in self._all:
            one.recovered(receipt)

    def finished(self, record: AttemptRecord) -> None:
        """Tell all of them."""
        for one in self._all:
            one.finished(record)

    def adopted(self, record: RoundRecord) -> None:
        """Tell all of them."""
        for one in self._all:
            one.adopted(record)

    def milestone(self, task: str, looks: int, holdout: Change, audit: Change) -> None:
        """Tell all of them."""
        for one in self._all:
            one.milestone(task, looks, holdout, audit)

    def rotated(self, task: str, part: str) -> None:
        """Tell all of them."""
        for one in self._all:
            one.rotated(task, part)

    def freed(self, versions: int, size_bytes: int) -> None:
        """Tell all of them."""
        for one in self._all:
            one.freed(versions, size_bytes)

    def plateau(self, plateau: Plateau) -> None:
        """Tell all of them."""
        for one in self._all:
            one.plateau(plateau)

    def monitored(self, checked: Checked) -> None:
        """Tell all of them."""
        for one in self._all:
            one.monitored(checked)

    def unmonitored(self, task: str, why: str) -> None:
        """Tell all of them."""
        for one in self._all:
            one.unmonitored(task, why)

    def joined(self, joined: Joined) -> None:
        """Tell all of them."""
        for one in self._all:
            one.joined(joined)

    def waiting(self, why: str) -> None:
        """Tell all of them."""
        for one in self._all:
            one.waiting(why)

    def closing(self) -> None:
        """Tell all of them."""
        for one in self._all:
            one.closing()
