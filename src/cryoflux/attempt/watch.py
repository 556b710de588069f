"""How far an attempt is, for whoever watches: steps, progress, and what each phase cost."""

from __future__ import annotations

__all__ = ["AttemptStopped", "Observer", "Phases", "Step"]

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from cryoflux.attempt.phase_joules import PhaseJoules
from cryoflux.decision.reason import Reason
from cryoflux.energy.interface import Reservation, Sample
from cryoflux.errors import AgentError
from cryoflux.receipts.statement import Cause
from cryoflux.scheduling.policy import Choice
from cryoflux.sentences import say
from cryoflux.tasks.pacing import Progress

if TYPE_CHECKING:
    from cryoflux.witness.client import Collected  # it would bring an HTTP client


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
    """The attempt ends without a verdict; its receipt has the cause and the reason."""

    def __init__(self, cause: Cause, code: str, **numbers: int | str) -> None:
        self.cause = cause
        self.reason = Reason(code=code, numbers=numbers)
        super().__init__(say(self.reason))


class Observer:
    """Watches attempts: is handed frozen values, and must not raise. By itself it does nothing."""

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """A step begins or has ended."""

    def sampled(self, sample: Sample) -> None:
        """The bucket was sampled."""

    def chosen(self, choice: Choice) -> None:
        """An arm was chosen."""

    def reserved(self, reservation: Reservation) -> None:
        """Joules were taken for the attempt; it is charged to them."""

    def prepared(self, done: int, count: int) -> None:
        """Something that is computed before the first training step is done for so many examples."""

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """A training step is done."""

    def evaluated(self, done: int, count: int) -> None:
        """So many examples of a set are evaluated."""

    def checking(self, what: str, done: int, count: int) -> None:
        """A round has come so far in something that takes a while: examples."""

    def witnessed(self, found: Collected) -> None:
        """The witnesses of the log were asked about its head."""


class Phases:
    """CPU-seconds of this process and joules by phase of one attempt; a phase within a phase counts once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.joules = PhaseJoules()
        """of the attempt's reservation, once there is one"""
        self._open: list[str] = []
        self._since = time.process_time()

    def _charge(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
            self.joules.ended(self._open[-1])
        self._since = now

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count what the block uses towards ``phase``, less what a phase within it uses."""
        self._charge()
        self._open.append(phase)
        try:
            yield
        except AgentError:
            self.joules.give_up()  # the meter is away: asking again would only take as long again
            raise
        finally:
            self._charge()
            self._open.pop()
