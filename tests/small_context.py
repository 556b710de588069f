"""The ten steps on a small context: a real log, account, meter and versions, on a machine that a test turns.

The task is a toy: a test decides what its next training makes and costs, and so what the verdict is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cryoflux.attempt.context import Context, Opened, RunTerms
from cryoflux.attempt.orchestrator import run_attempt
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.watch import Observer, Step
from cryoflux.config import load_settings
from cryoflux.data.prepared import open_prepared, render_sets
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import BUDGETED
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.evaluation.cache import LossCache
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Intent, Metric, Receipt, Rule, Section
from cryoflux.registry.versions import Version, Versions
from cryoflux.runs.inputs import begin, stored_origins
from cryoflux.runs.recovery import read_log, recover
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Beginning, Offer, Task, Update, Watch, WorkOrder, Workplace
from cryoflux.tasks.pacing import Limits, Progress
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone

PID = os.getpid()
IDLE_W = 20.0
COUNT = 96
"""examples of a holdout: read in looks after 32, 64 and 96"""
BATCH = 32
MODEL = "losses.json"
RULE = Rule(name=BUDGETED, min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090, alpha_ppm=10_000)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Machine:
    """One RAPL package of 20 W at rest, whose time and joules pass when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.proc = FakeProc(folder / "proc")
        self.proc.process(PID, 3.0)
        self.zone = powercap_zone(folder / "powercap", "intel-rapl:0", "package-0")
        self._shown_uj = 0
        self.spent_uj = 0
        """by this process, since the machine was made"""
        self.clock = FakeClock(lambda seconds: self._draw(IDLE_W * seconds))
        chosen = {
            "powercap_root": str(folder / "powercap"),
            "hwmon_root": str(folder / "hwmon"),
            "proc_root": str(self.proc.root),
        }
        self.settings = load_settings(chosen, environ={}, folder=folder).settings

    def _draw(self, joules: float) -> None:
        self._shown_uj += round(joules * MICRO)
        (self.zone / "energy_uj").write_text(f"{self._shown_uj}\n")

    def spend(self, joules: float) -> None:
        """A second in which this process causes so much net energy; less than nothing where it is less."""
        self.clock.forward(1)
        self._draw(IDLE_W + joules)
        self.proc.run(1.0, 1.0, PID)
        self.spent_uj += round(joules * MICRO)

    def agent(self, state: Path) -> LocalAgent:
        return LocalAgent(self.settings, state, clock=self.clock, nvml=FakeNvml([]), background=False)


@dataclass(frozen=True)
class Made:
    """What one training makes: each loss is ``level``, give or take ``noise``, billionths."""

    level: int
    noise: int = 0
    joules: float = 2
    stopped_by: str = "joules"
    screening: Evidence | None = None
    error: Exception | None = None
    meanwhile: Callable[[], object] = lambda: None
    """what else happens while it trains"""


BETTER = Made(900_000_000)
WORSE = Made(1_100_000_000)
NOISY = Made(980_000_000, noise=60_000_000)
"""perhaps better: neither shown nor ruled out"""


def gained(per_example: int, count: int = 40) -> Evidence:
    """Screening evidence: each example lost so much less."""
    return pair_losses([NANO] * count, [NANO - per_example] * count)


class ToyTask(Task):
    """Its versions say what they lose; the first one loses 1 an example."""

    name: ClassVar[str] = "toy"
    read_again = 0
    metric: ClassVar[Metric] = Metric(name="effort", unit="steps")
    spares: ClassVar[int] = 1
    screens: ClassVar[bool] = False

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine
        self.plans: list[Made] = []
        """what the next trainings make; `BETTER` after the last of them"""
        self.evaluation_j: float = 0
        """a batch of 32"""
        self.numbers: Callable[[int], Any] = int
        """what the scorer counts in"""
        self.orders: list[WorkOrder] = []
        self.scored: list[tuple[str, str, int]] = []
        """(digest, part, how many), in order"""
        self.discarded: list[str] = []

    def spend(self, joules: float) -> None:
        if self.machine is not None and joules:
            self.machine.spend(joules)

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        counts = {"train": 40, "holdout": COUNT, "audit": 32}
        counts |= {f"holdout-{n}": COUNT for n in range(2, 2 + self.spares)}
        sets = {
            part: [f"{self.name} {part} {i}".encode() for i in range(count)] for part, count in counts.items()
        }
        files, digest = render_sets(sets)
        return Beginning(f"{self.name}-data", digest, files, partial(_write, level=NANO, noise=0))

    def arms(self, drawn: int, part: str) -> list[Offer]:
        return [Offer("only", {"kind": "toy"}, 0, screens=self.screens)]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        made = self.plans.pop(0) if self.plans else BETTER
        self.orders.append(order)
        made.meanwhile()
        self.spend(made.joules)
        watch.trained(Progress(1, 1, 0.5, limits.spent_uj()), order.reserve_microjoules)
        if made.error is not None:
            raise made.error
        _write(into, made.level, made.noise)
        return Update(
            files=(MODEL,),
            section=Section(kind="toy/v1", fields={"level": made.level}),
            drawn=(0, 1, 2),
            fresh=3,
            steps=1,
            stopped_by=made.stopped_by,
            screening=made.screening,
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        def save(folder: Path) -> None:
            shutil.copyfile(capsule / MODEL, folder / MODEL)

        return self.place.versions.draft(save)

    def scorer(self, version: Version, part: str) -> ToyScorer:
        return ToyScorer(self, version, part)

    def discard(self, version: Version, part: str) -> None:
        self.discarded.append(version.digest)


class OtherTask(ToyTask):
    """Another one, with data of its own."""

    name: ClassVar[str] = "other"
    metric: ClassVar[Metric] = Metric(name="error", unit="pixels")


@dataclass
class ToyScorer:
    task: ToyTask
    version: Version
    part: str

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        said = json.loads((self.version.folder / MODEL).read_bytes())
        losses = []
        for at in range(0, len(indices), BATCH):
            between(at)
            self.task.spend(self.task.evaluation_j)
            losses += [said["level"] + said["noise"] * (-1) ** i for i in indices[at : at + BATCH]]
        self.task.scored.append((self.version.digest, self.part, len(losses)))
        return list(map(self.task.numbers, losses)), [False] * len(losses)


def _write(folder: Path, level: int, noise: int) -> None:
    (folder / MODEL).write_text(json.dumps({"level": level, "noise": noise}) + "\n")


class Killed(BaseException):
    """The process dies here."""


class Deadly(Observer):
    """Kills the run as a step begins or has ended."""

    def __init__(self, step: Step, moment: str) -> None:
        self._at = (step, moment)

    def step(self, step: Step, moment: str) -> None:
        if (step, moment) == self._at:
            raise Killed


class SmallRun:
    """A state, and the run that has it open; opened anew it is the next run."""

    def __init__(
        self,
        folder: Path,
        *kinds: type[ToyTask],
        rule: Rule = RULE,
        granted_j: int = 1000,
        reserve_j: int = 20,
        policy: str = "uniform/v1",
    ) -> None:
        self.machine = Machine(folder)
        self.state = StateFolder(folder / "state")
        self.kinds = kinds or (ToyTask,)
        self.rule = rule
        self.terms = RunTerms(reserve_j * MICRO, policy, 0, "embedded")
        self.asked = False
        """whether somebody asked to stop"""
        self.open()
        self.agent.grant(granted_j * MICRO, request_id="first", note="")

    def open(self, observer: Observer | None = None, kinds: Sequence[type[Task]] | None = None) -> Context:
        """As a run does it; recovery is left to the test."""
        self.agent = self.machine.agent(self.state.path)
        made = [kind(self.machine) for kind in kinds or self.kinds]
        origins = stored_origins(self.state)
        for task in made:
            if task.name not in origins:
                beginning = task.beginning(lambda *_: None)
                origins[task.name] = begin(self.state, task.name, beginning, origins)
        log = ReceiptLog.open(self.state.path)
        memory, self.named = read_log(log)
        versions = Versions(self.state.path)
        opened = {}
        for task in made:
            origin, known = origins[task.name], memory.tasks.get(task.name)
            data = open_prepared(self.state.data(origin.data_digest), origin.data_name)
            head = versions.open(known.head.digest if known else origin.version)
            task.open(Workplace(self.state, versions, data, 0), head)
            opened[task.name] = Opened(task, data, self.rule, partial(memory.tasks.get, task.name))
        self.context = Context(
            state=self.state,
            agent=self.agent,
            log=log,
            memory=memory,
            versions=versions,
            losses=LossCache(self.state.cache / "losses"),
            tasks=opened,
            terms=self.terms,
            observer=observer or Observer(),
            stop=lambda: self.asked,
            now=lambda: NOW,
        )
        return self.context

    def change(self, **changes: Any) -> Context:
        """Go on with the same context, but for some of its parts."""
        self.context = replace(self.context, **changes)
        return self.context

    @property
    def task(self) -> ToyTask:
        """The first task."""
        return next(iter(self.context.tasks.values())).task

    @property
    def opened(self) -> Opened:
        """The first task at work."""
        return next(iter(self.context.tasks.values()))

    def attempt(self, *plans: Made) -> AttemptRecord:
        """One attempt; its training makes the first of some plans, and one nested in it the next."""
        if plans:
            self.task.plans += plans
        record = run_attempt(self.context)
        assert isinstance(record, AttemptRecord)
        return record

    def die(self) -> None:
        """Leave everything as a killed process does: nothing more is written down."""
        self.agent._opened.close()
        self.context.log.close()

    def reopen(self, kinds: Sequence[type[Task]] | None = None) -> list[Receipt]:
        """The next run, up to what it recovers."""
        self.die()
        self.open(kinds=kinds)
        return recover(self.context, self.named)

    def close(self) -> None:
        self.agent.close()
        self.context.log.close()

    def receipts(self) -> list[Receipt]:
        return [entry.receipt for entry in self.context.log.entries() if entry.receipt is not None]

    def intents(self) -> list[Intent]:
        return [entry.intent for entry in self.context.log.entries() if entry.intent is not None]

    def charges(self) -> list[int]:
        """What the account was charged, one an entry, µJ."""
        return [-e.balance_change_uj for e in self.agent._bucket.entries() if e.kind == "settle"]
