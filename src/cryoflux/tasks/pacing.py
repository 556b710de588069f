"""Joules end the training: how many steps they pay for, and the learning rate over those steps."""

from __future__ import annotations

__all__ = [
    "SCREEN_MARGIN",
    "JoulesEndedError",
    "Limits",
    "Pacer",
    "Progress",
    "TrainingFailedError",
    "TrainingInterruptedError",
    "rate_at",
    "screen_before",
]

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from cryoflux.errors import CryoFluxError

_TRIAL = 3
"""steps after which their cost is known well enough to plan with"""
SCREEN_MARGIN = 1.35
"""how much dearer than before training screening may be after it"""
_LOWEST_RATE = 0.02
"""of the peak: the last planned steps still move"""


class TrainingFailedError(CryoFluxError):
    """The loss stopped being a number."""


class TrainingInterruptedError(CryoFluxError):
    """Somebody asked to stop before the first training step."""


class JoulesEndedError(CryoFluxError):
    """The joules do not reach as far as the first training step.

    Args:
        what, why, hint: as for every error.
        code: of the reason that a receipt gives: ``exhausted.training``, or ``exhausted.preparing``.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "", code: str = "exhausted.training") -> None:
        super().__init__(what, why=why, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Limits:
    """What training may use, and whom it asks."""

    limit_uj: int
    """training stops once ``spent_uj`` reaches this, µJ"""
    spent_uj: Callable[[], int]
    """joules of the attempt so far, µJ"""
    stop: Callable[[], bool]
    """whether somebody asked to stop"""
    preparing: Callable[[], AbstractContextManager[object]] = nullcontext
    """is open while examples are prepared for training, in as few pieces as they are computed in: what that
    costs is told apart"""

    def less(self, uj: int) -> Limits:
        """The same, with some joules set aside for what comes after training, µJ."""
        return replace(self, limit_uj=self.limit_uj - uj)

    def check(self) -> None:
        """Make sure that there are joules left to train with.

        Raises:
            JoulesEndedError: there are none.
        """
        if self.spent_uj() >= self.limit_uj:
            raise JoulesEndedError(
                "The joules were used up before the first training step.",
                why="Screening and evaluation have to be paid for too.",
                hint="Raise --reserve, or lower the recipe's screen_size.",
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """One finished training step."""

    step: int
    planned: int
    loss: float
    spent_uj: int


class Pacer:
    """Plans the steps of one attempt, and says when to stop."""

    def __init__(self, limits: Limits, most_steps: int) -> None:
        self._limits = limits
        self._most = most_steps
        self._start_uj = limits.spent_uj()
        self.planned = most_steps
        self.planned_at = 0
        """the step at which the plan was made; 0 where the joules never mattered"""
        self.step = 0
        self.stopped_by = "steps"
        """``joules``, ``steps``, ``interrupt`` or ``hopeless``"""

    def goes_on(self) -> bool:
        """Whether there is another step."""
        if self.step and self._limits.stop():
            self.stopped_by = "interrupt"
        return self.stopped_by == "steps" and self.step < self.planned

    def done(self, loss: float) -> Progress:
        """Count a step with its training loss, nats.

        Raises:
            TrainingFailedError: the loss is not finite.
        """
        if not math.isfinite(loss):
            raise TrainingFailedError(
                f"The training loss became {loss}.",
                why="From here on the weights would be worthless.",
                hint="Lower the learning rate: --learning-rate 1e-4.",
            )
        self.step += 1
        spent = self._limits.spent_uj()
        if spent >= self._limits.limit_uj:
            self.stopped_by = "joules"
        elif not self.planned_at and self.step >= _TRIAL and spent > self._start_uj:
            each_uj = (spent - self._start_uj) / self.step
            affordable = self.step + int((self._limits.limit_uj - spent) / each_uj)
            self.planned, self.planned_at = min(self._most, max(self.step, affordable)), self.step
        return Progress(self.step, self.planned, loss, spent)

    def ended_by(self) -> str:
        """What ended the training."""
        if self.stopped_by == "steps" and self.planned < self._most:
            return "joules"
        return self.stopped_by


def screen_before(
    limits: Limits, count: int, looks: int, screen: Callable[[], tuple[list[int], list[bool]]]
) -> tuple[tuple[list[int], list[bool]], Limits]:
    """Screen before training: losses and hits, and the limits less what screening again will cost.

    Args:
        limits: of the attempt.
        count: screening examples; where there are none, nothing is asked or set aside.
        looks: how often they will be screened after training.
        screen: does it once.

    Raises:
        JoulesEndedError: nothing is left to train with.
    """
    if not count:
        return ([], []), limits
    start_uj = limits.spent_uj()
    found = screen()
    limits = limits.less(round(SCREEN_MARGIN * looks * (limits.spent_uj() - start_uj)))
    limits.check()
    return found, limits


def rate_at(step: int, planned: int, *, schedule: str, warm_up: float) -> float:
    """Share of the peak learning rate at ``step``, counted from 0.

    Args:
        step: the step about to be made.
        planned: steps in all, as far as is known.
        schedule: ``linear``, ``cosine`` or ``constant``.
        warm_up: share of the steps in which the rate rises; never less than three steps.
    """
    rising = max(_TRIAL, round(planned * warm_up))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, planned - rising)
    falling = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[schedule]
    return max(_LOWEST_RATE, falling)
