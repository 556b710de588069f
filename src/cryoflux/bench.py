"""What an attempt works with, and whom it tells how far it is.

A `Bench` is opened once a run by `cryoflux.session` and handed from attempt to attempt. It is the only
place where the head model, the past outcomes and the costs of evaluation change.
"""

from __future__ import annotations

__all__ = ["AttemptStopped", "Bench", "Meter", "Observer", "Phases", "Rule", "Step"]

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from cryoflux.data.prepared import PreparedData
from cryoflux.decision.rules import Thresholds
from cryoflux.energy.interface import JouleAgent, Sample
from cryoflux.evaluation.cache import LossCache
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Base, Holdout
from cryoflux.registry.versions import Version, Versions
from cryoflux.scheduling.efficiency import Outcome
from cryoflux.scheduling.policy import Arm
from cryoflux.training.lora import Progress
from cryoflux.training.recipe import Recipe

Meter = Literal["embedded", "daemon"]


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

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """A training step is done."""

    def evaluated(self, done: int, count: int) -> None:
        """Some examples of a set are evaluated."""


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


@dataclass(slots=True)
class Costs:
    """What the parts of an attempt other than training cost when they were last done, µJ."""

    evaluation_uj: int = 0
    merge_uj: int = 0


@dataclass(slots=True)
class Bench:
    """Everything that an attempt works with."""

    state: Path
    agent: JouleAgent
    log: ReceiptLog
    versions: Versions
    losses: LossCache
    data: PreparedData
    head: Version
    """the model that the next attempt starts from"""
    arms: list[Arm]
    recipes: dict[str, Recipe]
    """arm name → recipe"""
    rule: Rule
    seed: int
    device: str
    meter: Meter
    """whose bucket is spent from"""
    observer: Observer
    stop: Callable[[], bool]
    """whether somebody asked to stop"""
    now: Callable[[], datetime]
    """wall time, UTC; a label"""
    signed_losses: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """(model digest, token limit) → holdout loss sum in nano-nats and correct examples, by the receipts"""
    outcomes: list[Outcome] = field(default_factory=list)
    attempts: int = 0
    """attempts that this log has announced"""
    costs: Costs = field(default_factory=Costs)

    @property
    def max_tokens(self) -> int:
        """Texts are cut to so many tokens: the same for every recipe, so that losses can be compared."""
        return next(iter(self.recipes.values())).max_tokens

    def timestamp(self) -> str:
        """Wall time as a receipt writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def base(self) -> Base:
        """The head model, as a receipt names it."""
        return Base(digest=self.head.digest, files=self.head.files)

    def holdout(self) -> Holdout:
        """The holdout, as the receipt of the current attempt names it."""
        return Holdout(
            sha256=self.data.file_digests["holdout"],
            count=len(self.data.holdout),
            use_index=max(1, self.attempts),
        )

    @contextmanager
    def step(self, step: Step, phases: Phases) -> Iterator[None]:
        """One of the ten steps: announced, and its CPU time counted."""
        self.observer.step(step, "begin")
        with phases.measure(step):
            yield
        self.observer.step(step, "end")
