"""How a run looks: a live view on a terminal, plain lines elsewhere, JSON lines with ``--json``."""

from __future__ import annotations

__all__ = ["JsonView", "RunView", "Shown", "utc_now", "view_for"]

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from rich.live import Live

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.watch import Step
from cryoflux.cli.console import emit_json, stderr, stdout
from cryoflux.cli.witness_words import WitnessWords, witness_document
from cryoflux.energy.derived import Rates, derived_line
from cryoflux.energy.interface import Sample
from cryoflux.network.recording import RoundRecord
from cryoflux.quantities import MICRO
from cryoflux.receipts.statement import Receipt
from cryoflux.report.arrival_words import joined_document, joined_line, waiting_line
from cryoflux.report.attempt_words import attempt_document, attempt_text
from cryoflux.report.monitor_words import monitored_document, monitored_line
from cryoflux.report.round_words import round_document, round_lines
from cryoflux.report.version_words import byte_text
from cryoflux.report.words import (
    choice_document,
    choice_lines,
    milestone_document,
    milestone_line,
    opening_document,
    opening_lines,
    recovered_document,
    recovered_line,
    summary_document,
    summary_lines,
)
from cryoflux.report.worker_words import worker_document, worker_lines
from cryoflux.runs.monitoring import Checked
from cryoflux.runs.scores import Change
from cryoflux.runs.summary import Summary
from cryoflux.runs.watch import Joined, Opening, RunObserver
from cryoflux.scheduling.policy import Choice, Plateau
from cryoflux.tasks.pacing import Progress

if TYPE_CHECKING:
    from cryoflux.fleet.documents import WorkerFacts
    from cryoflux.witness.client import Collected  # it would bring an HTTP client


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown beside the outcomes."""

    explain: bool = False
    """why each recipe was chosen"""
    verbose: bool = False
    """rule, model, recipes, evidence"""
    begins: tuple[str, ...] = ()
    """lines on what the run watches from its beginning on"""


class RunView(RunObserver):
    """What every view remembers."""

    def __init__(self, on_closed: Callable[[], None], show: Shown) -> None:
        self._on_closed = on_closed
        self.explain, self.verbose, self._begins = show.explain, show.verbose, show.begins
        self.rates = Rates()
        self.stamped = False
        """whether each event says when it was"""
        self.number = 0
        """of the attempt that was finished last, in its log"""
        self.several = False
        """whether more than one task is at work"""
        self.sample: Sample | None = None
        self.spendable_uj = 0
        self.spent_uj = 0
        self.count = 0
        """examples of the holdout"""
        self._witnesses = WitnessWords()

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """Nothing, unless a view shows steps."""

    def sampled(self, sample: Sample) -> None:
        """Remember the watts."""
        self.sample = sample

    def chosen(self, choice: Choice) -> None:
        """Why this arm, if somebody asked."""
        if self.explain:
            self.lines(choice_lines(self.number + 1, choice))

    def prepared(self, done: int, count: int) -> None:
        """Nothing, unless a view shows progress."""

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """Nothing, unless a view shows steps."""

    def evaluated(self, done: int, count: int) -> None:
        """Nothing, unless a view shows progress."""

    def witnessed(self, found: Collected) -> None:
        """What is new about the witnesses; a dispute where nobody overlooks it."""
        news = self._witnesses.news(found)
        self.lines(news)
        if found.disputed and news and not stdout.is_terminal:
            for line in news:
                stderr.print(line, indent=9)

    def preparing(self, what: str, done: int, total: int) -> None:
        """Nothing, unless a view shows progress."""

    def opened(self, opening: Opening) -> None:
        """Say how joules are measured, and how updates will be judged."""
        self._begin(opening)
        self.lines([*opening_lines(opening, verbose=self.verbose), *self._begins])

    def _begin(self, opening: Opening) -> None:
        self.sample, self.spendable_uj = opening.sample, opening.spendable_uj
        self.number, self.several = opening.attempts, len(opening.tasks) > 1

    def crewed(self, workers: Sequence[WorkerFacts], asked_for: int) -> None:
        """Say who trains."""
        self.lines(worker_lines(workers, asked_for))

    def worker_lost(self, worker: str, why: str) -> None:
        """Say who was lost."""
        self.lines([f"worker   {worker} is lost: {why}"])

    def recovered(self, receipt: Receipt) -> None:
        """Say that a dead run was cleaned up after."""
        self.lines([recovered_line(receipt)])

    def finished(self, record: AttemptRecord) -> None:
        """One line for one attempt."""
        self.number = record.number
        self.spent_uj += record.receipt.energy.microjoules
        text = attempt_text(
            self.number, record.receipt, record.paid, verbose=self.verbose, several=self.several
        )
        self.lines([text], indent=5)

    def adopted(self, record: RoundRecord) -> None:
        """What a round came to, and what became of each candidate."""
        self.spent_uj += record.record.energy.microjoules
        self.lines(round_lines(record.record, record.number, record.names, record.why))

    def milestone(self, task: str, looks: int, holdout: Change, audit: Change) -> None:
        """One line on how far the two sets have drifted apart."""
        self.lines([milestone_line(task, looks, holdout, audit)])

    def rotated(self, task: str, part: str) -> None:
        """Say that another holdout judges from here on."""
        self.lines([f"holdout  of {task}: its error budget is spent; {part} takes over"])

    def freed(self, versions: int, size_bytes: int) -> None:
        """Say how many old versions went."""
        what = "one old version" if versions == 1 else f"{versions} old versions"
        self.lines([f"models   freed {byte_text(size_bytes)} of {what}"])

    def monitored(self, checked: Checked) -> None:
        """Say that a head was left, or that it stays: once for each head and each set of examples."""
        self.lines([monitored_line(checked)])

    def unmonitored(self, task: str, why: str) -> None:
        """Say that a file that is fed speaks for no head, or no longer."""
        self.lines([f"monitor  of {task}: {why}"])

    def plateau(self, plateau: Plateau) -> None:
        """Say what was expected of each arm, if somebody asked; why the run ends is in its summary."""
        if self.explain:
            self.lines(choice_lines(self.number + 1, plateau))

    def joined(self, joined: Joined) -> None:
        """What became of a file that arrived."""
        self.lines([joined_line(joined)])

    def waiting(self, why: str) -> None:
        """Say that nothing can be tried for now."""
        self.lines([waiting_line(why)])

    def summary(self, summary: Summary) -> None:
        """What the run came to."""
        derived = derived_line(summary.all_in, self.rates) if summary.all_in else ""
        self.lines([*summary_lines(summary), *filter(None, [derived])])

    def lines(self, lines: list[str], indent: int = 9) -> None:
        """Show lines that stay."""
        with self.guarded():
            self.show(lines, indent)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A reader that went away must not tear an attempt apart: the run is asked to end instead."""
        try:
            yield
        except BrokenPipeError:
            self._on_closed()

    @abstractmethod
    def show(self, lines: list[str], indent: int) -> None:
        """Write lines that stay; ``indent`` columns stand before what does not fit on one."""


class PlainView(RunView):
    """Lines on stdout; progress on stderr only where it would otherwise be silent for long."""

    def __init__(self, on_closed: Callable[[], None], show: Shown) -> None:
        super().__init__(on_closed, show)
        self._said = ""

    def preparing(self, what: str, done: int, total: int) -> None:  # noqa: ARG002
        """Say once what takes a while."""
        if what != self._said:
            self._said = what
            stderr.print(f"… {what}")

    def show(self, lines: list[str], indent: int) -> None:
        """Print them."""
        for line in lines:
            stdout.print(line, indent=indent)


class JsonView(RunView):
    """One JSON object a line on stdout."""

    def __init__(self, on_closed: Callable[[], None], show: Shown) -> None:
        super().__init__(on_closed, show)
        self._units: dict[str, str] = {}
        """task → unit of its losses"""
        self._overlap = False
        """whether attempts are open at once"""

    @property
    def _next(self) -> int | None:
        """Number of the attempt that is made; none where several are."""
        return None if self._overlap else self.number + 1

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """Each step of each attempt, as it begins and ends."""
        self.emit({"event": "step", "attempt": self._next, "step": step.value, "moment": moment})

    def chosen(self, choice: Choice) -> None:
        """Why this arm, if somebody asked."""
        if self.explain:
            self.emit({"event": "choice", "attempt": self._next, **choice_document(choice)})

    def witnessed(self, found: Collected) -> None:
        """What every witness made of the newest head that it was asked about."""
        super().witnessed(found)
        self.emit(witness_document(found))

    def milestone(self, task: str, looks: int, holdout: Change, audit: Change) -> None:
        """How far the two sets have drifted apart."""
        unit = self._units.get(task)
        self.emit({"event": "milestone", "unit": unit, **milestone_document(task, looks, holdout, audit)})

    def adopted(self, record: RoundRecord) -> None:
        """What a round came to."""
        self.spent_uj += record.record.energy.microjoules
        shares = dict(zip(("rounds_share", "strangers_share"), record.shares_ppm, strict=True))
        found = round_document(record.record, record.number, record.leaf_hash)
        self.emit({"event": "round", **found, **{name: ppm / MICRO for name, ppm in shares.items()}})

    def rotated(self, task: str, part: str) -> None:
        """Another holdout judges from here on."""
        self.emit({"event": "rotated", "task_name": task, "holdout": part})

    def freed(self, versions: int, size_bytes: int) -> None:
        """Old versions went."""
        self.emit({"event": "pruned", "versions_freed": versions, "freed_bytes": size_bytes})

    def monitored(self, checked: Checked) -> None:
        """What holding a head against versions before it has shown."""
        self.emit({"event": "monitored", **monitored_document(checked)})

    def unmonitored(self, task: str, why: str) -> None:
        """What is wrong with the file that is fed."""
        self.emit({"event": "unmonitored", "task_name": task, "problem": why})

    def plateau(self, plateau: Plateau) -> None:
        """Why the run ends."""
        self.emit({"event": "plateau", **choice_document(plateau)})

    def joined(self, joined: Joined) -> None:
        """What became of a file that arrived."""
        self.emit({"event": "joined", **joined_document(joined)})

    def waiting(self, why: str) -> None:
        """Nothing can be tried for now."""
        self.emit({"event": "waiting", "reason": why})

    def opened(self, opening: Opening) -> None:
        """How joules are measured, and how updates will be judged."""
        self._begin(opening)
        self._units = {task.name: task.metric.unit for task in opening.tasks}
        self.emit({"event": "opened", **opening_document(opening)})

    def crewed(self, workers: Sequence[WorkerFacts], asked_for: int) -> None:
        """Who trains."""
        self._overlap = True
        documents = [worker_document(worker) for worker in workers]
        self.emit({"event": "workers", "workers": documents, "asked_for": asked_for})

    def worker_lost(self, worker: str, why: str) -> None:
        """Who was lost."""
        self.emit({"event": "worker_lost", "worker": worker, "why": why})

    def recovered(self, receipt: Receipt) -> None:
        """A dead run's attempt got its receipt."""
        self.emit({"event": "recovered", **recovered_document(receipt)})

    def finished(self, record: AttemptRecord) -> None:
        """The whitepaper's flat fields and more."""
        self.number = record.number
        unit = self._units.get(record.receipt.task.name)  # also where its holdout was not read
        found = {**attempt_document(record), "unit": unit}
        self.emit({"event": "attempt", "number": self.number, **found})

    def summary(self, summary: Summary) -> None:
        """What the run came to."""
        self.emit({"event": "summary", **summary_document(summary, self.rates)})

    def emit(self, document: dict[str, Any]) -> None:
        """One JSON object on a line; each with its time where a run goes on for good."""
        with self.guarded():
            emit_json("run/1", {"at": utc_now(), **document} if self.stamped else document)

    def show(self, lines: list[str], indent: int) -> None:
        """Nothing: every line has its own event."""


def utc_now() -> str:
    """Wall time as an event says it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextmanager
def view_for(
    *, as_json: bool, show: Shown, terminal: bool, on_closed: Callable[[], None]
) -> Iterator[RunView]:
    """The view that suits where the output goes."""
    if as_json:
        yield JsonView(on_closed, show)
    elif terminal and stdout.is_terminal:
        from cryoflux.cli.live_view import LiveView

        with Live(console=stdout.console, transient=True, auto_refresh=False) as live:
            yield LiveView(live, on_closed, show)
    else:
        yield PlainView(on_closed, show)
