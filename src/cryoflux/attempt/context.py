"""What an attempt works with, and whom it tells how far it is.

A `Bench` is opened once a run by `cryoflux.runs.session` and handed from attempt to attempt. It is the only
place where the head model, the past outcomes and the costs of evaluation change.
"""

from __future__ import annotations

__all__ = ["AttemptStopped", "Bench", "HoldoutUse", "Meter", "Observer", "Phases", "Rule", "Step"]

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED, Thresholds
from cryoflux.energy.interface import JouleAgent, Sample
from cryoflux.evaluation.cache import LossCache
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.profiles import profile_for
from cryoflux.receipts.statement import Base, Holdout
from cryoflux.registry.versions import Version, Versions
from cryoflux.scheduling.efficiency import Outcome
from cryoflux.scheduling.policy import Arm, Choice
from cryoflux.tasks.lora.recipe import ALL_LAYERS, Recipe
from cryoflux.tasks.pacing import Progress

if TYPE_CHECKING:
    from cryoflux.tasks.lora.head import Loaded
    from cryoflux.witness.client import Collected
    from cryoflux.witness.witnessing import Witnessing

Meter = Literal["embedded", "daemon"]
_FORGET = 0.8
"""a dear evaluation is remembered for some attempts: a busy machine is often still busy"""
_TELLING = 0.3
"""share of a whole evaluation's products above which one tells what products cost"""
_FIRST_UJ = 200_000.0
"""µJ a GFLOP in float64, before any evaluation was measured: a guess for a busy CPU core"""


class Step(StrEnum):
    """The ten steps of an attempt, in order."""

    SAMPLE = "sample"
    SCHEDULE = "schedule"
    ANNOUNCE = "announce"
    RESERVE = "reserve"
    TRAIN = "train"
    EVALUATE = "evaluate"
    DECIDE = "decide"
    MERGE = "merge"
    SETTLE = "settle"
    RECORD = "record"


class AttemptStopped(Exception):  # noqa: N818 - it is an outcome that gets a receipt, not an error
    """The attempt ends without a verdict, and says why in its receipt."""

    def __init__(self, reason: str, cause: Literal["interrupted", "exhausted", "failed"]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Observer(Protocol):
    """Watches a run; what it does must not matter to the run."""

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """A step begins or has ended."""

    def sampled(self, sample: Sample) -> None:
        """The bucket was sampled."""

    def chosen(self, choice: Choice) -> None:
        """An arm was chosen, and why."""

    def prepared(self, done: int, count: int) -> None:
        """Some of the texts' activations are computed."""

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """A training step is done."""

    def evaluated(self, done: int, count: int) -> None:
        """Some examples of a set are evaluated."""

    def witnessed(self, found: Collected) -> None:
        """The witnesses of the log were asked; what they made of its head."""


class Phases:
    """CPU-seconds of this process by phase of one attempt; a phase within a phase counts once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = time.process_time()

    def _charge(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count what the block uses towards ``phase``, less what a phase within it uses."""
        self._charge()
        self._open.append(phase)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()


@dataclass(frozen=True, slots=True)
class Rule:
    """The acceptance rule of a run."""

    name: str
    thresholds: Thresholds
    alpha_ppm: int


@dataclass(slots=True)
class HoldoutUse:
    """The holdout in use, and what it has been used for."""

    part: str
    """``holdout``, or a spare: ``holdout-2``, …"""
    uses: int = 0
    """attempts that were announced on it"""
    looks: int = 0
    """verdicts that it has given"""
    kept: int = 0
    """how many of them were acceptances"""

    def budget(self, alpha_ppm: int) -> ErrorBudget:
        """What it may still spend."""
        return ErrorBudget(alpha_ppm, self.looks, self.kept)


@dataclass(slots=True)
class Costs:
    """What the parts of an attempt other than training cost when they were last done."""

    measured_uj_per_gflop: float | None = None
    """of an evaluation, µJ; none before one was measured"""
    merge_uj: int = 0

    @property
    def uj_per_gflop(self) -> float:
        """Of an evaluation, µJ: measured, or guessed."""
        return _FIRST_UJ if self.measured_uj_per_gflop is None else self.measured_uj_per_gflop


@dataclass(slots=True)
class Bench:
    """Everything that an attempt works with."""

    state: Path
    agent: JouleAgent
    log: ReceiptLog
    versions: Versions
    losses: LossCache
    data: PreparedData
    loaded: Loaded
    """the model that the next attempt starts from"""
    recipes: dict[str, Recipe]
    """arm name → recipe"""
    task: str
    reserve_uj: int
    policy: str
    rule: Rule
    holdout_use: HoldoutUse
    seed: int
    meter: Meter
    """whose bucket is spent from"""
    observer: Observer
    stop: Callable[[], bool]
    """whether somebody asked to stop"""
    now: Callable[[], datetime]
    """wall time, UTC; a label"""
    signed_losses: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)
    """(model, holdout, token limit) → loss sum in nano-nats and correct examples, by the receipts"""
    outcomes: list[Outcome] = field(default_factory=list)
    """what the scheduler has learned"""
    attempts: int = 0
    """attempts that this log has announced"""
    drawn: int = 0
    """training examples that earlier attempts drew as fresh ones"""
    witnessing: Witnessing | None = None
    """the witnesses of the log; none where nobody is trusted with that"""
    costs: Costs = field(default_factory=Costs)

    @property
    def head(self) -> Version:
        """The version that the next attempt starts from."""
        return self.loaded.version

    @property
    def max_tokens(self) -> int:
        """Texts are cut to so many tokens: the same for every recipe, so that losses can be compared."""
        return next(iter(self.recipes.values())).max_tokens

    @property
    def holdout_digest(self) -> str:
        """SHA-256 of the holdout in use."""
        return self.data.file_digests[self.holdout_use.part]

    @property
    def holdout_count(self) -> int:
        """Examples of the holdout in use."""
        return len(self.data.part(self.holdout_use.part))

    def arms(self) -> list[Arm]:
        """What the scheduler can choose from, with what each should cost by now."""
        part = self.holdout_use.part
        return [
            Arm(
                self.task,
                name,
                self.reserve_uj,
                min(self.reserve_uj, self.loaded.prior_uj(recipe, self.drawn, part)),
            )
            for name, recipe in self.recipes.items()
        ]

    @property
    def screens(self) -> bool:
        """Whether an update has to help the screening examples first; the whitepaper's rule is bare."""
        return self.rule.name != "whitepaper/v1"

    def thresholds(self) -> Thresholds:
        """What the next update has to reach on the holdout in use."""
        fixed = self.rule.thresholds
        if self.rule.name != BUDGETED:
            return fixed
        needed = self.holdout_use.budget(self.rule.alpha_ppm).needed_milli
        return Thresholds(fixed.min_delta, fixed.min_accuracy_gain_ppm, fixed.z_milli, needed)

    def rotate(self) -> bool:
        """Go on with a spare holdout if the error budget of the one in use is spent; whether it did."""
        names = self.data.holdouts
        following = names.index(self.holdout_use.part) + 1
        spent = self.rule.name == BUDGETED and self.holdout_use.budget(self.rule.alpha_ppm).exhausted
        if not spent or following == len(names):
            return False
        self.holdout_use = HoldoutUse(names[following])
        return True

    def evaluated(self, uj: int, layers: int, *, share: float) -> None:
        """Learn what evaluations cost; a small one says little of what a whole one does.

        Args:
            uj: what one cost, µJ.
            layers: upper layers that had to be computed.
            share: of the holdout that was read.
        """
        part = self.holdout_use.part
        gflop = share * self.loaded.evaluation_gflop(part, layers)
        if gflop > _TELLING * self.loaded.evaluation_gflop(part, ALL_LAYERS):
            before = self.costs.measured_uj_per_gflop or 0.0
            self.costs.measured_uj_per_gflop = max(uj / gflop, _FORGET * before)

    @property
    def profile(self) -> str:
        """The profile that model and holdout are evaluated in, by their size."""
        tokens = int(self.loaded.examples(self.holdout_use.part)[1].starts[-1])
        tensors = self.loaded.tensors.items()
        return profile_for(sum(int(t.numel()) for name, t in tensors if "embed" not in name), tokens)

    def evaluation_uj(self, recipe: Recipe) -> int:
        """What evaluating an update of a recipe should cost, µJ."""
        gflop = self.loaded.evaluation_gflop(self.holdout_use.part, recipe.layers)
        return round(self.costs.uj_per_gflop * gflop)

    def timestamp(self) -> str:
        """Wall time as a receipt writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def base(self) -> Base:
        """The head model, as a receipt names it."""
        return Base(digest=self.head.digest, files=self.head.files)

    def holdout(self) -> Holdout:
        """The holdout, as the receipt of the current attempt names it."""
        return Holdout(
            sha256=self.holdout_digest, count=self.holdout_count, use_index=max(1, self.holdout_use.uses)
        )

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
