"""What an attempt teaches the scheduler, read from its intent and its receipt alone."""

from __future__ import annotations

__all__ = ["Lessons", "taught"]

from array import array
from collections.abc import Iterator

from cryoflux.receipts.statement import Cause, Intent, Outcome, Receipt, Screen
from cryoflux.scheduling.efficiency import Lesson

_SILENT = frozenset({Cause.INTERRUPTED, Cause.CRASHED, Cause.UNRESERVED})
"""causes that say nothing of an arm"""
_WIDTH = 6
_NO_DELTA = -(1 << 62)
"""stands for none; no Δ is that large"""


def taught(intent: Intent, receipt: Receipt) -> Lesson | None:
    """What an attempt says of its arm; none where it says nothing.

    An attempt that was interrupted, whose process died, or that never got its reservation says nothing.
    One that failed, or whose reservation does not pay for its arm, is a failure of the arm.

    Args:
        intent: what was announced.
        receipt: how it ended.
    """
    if receipt.cause in _SILENT:
        return None
    task = intent.task
    priors = (a for a in intent.schedule.arms if (a.task, a.name) == (task.name, task.arm))
    prior = next(priors, None)
    starved = receipt.cause is Cause.EXHAUSTED
    return Lesson(
        task=task.name,
        arm=task.arm,
        kept=receipt.outcome is Outcome.ACCEPTED,
        screen_delta_nano=_mean_delta(receipt.training.screen if receipt.training else None),
        prior_uj=prior.prior_microjoules if prior is not None else 0,
        hi_uj=receipt.energy.hi_microjoules,
        starved_uj=receipt.energy.reserved_microjoules if starved else 0,
    )


def _mean_delta(screen: Screen | None) -> int | None:
    if screen is None:
        return None
    return (screen.base_loss_sum - screen.new_loss_sum) // screen.count


class Lessons:
    """Many lessons in little memory: six numbers each, and their arms by number."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._arms: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._numbers) // _WIDTH

    def append(self, lesson: Lesson) -> None:
        """Keep one more."""
        arm = self._arms.setdefault((lesson.task, lesson.arm), len(self._arms))
        delta = _NO_DELTA if lesson.screen_delta_nano is None else lesson.screen_delta_nano
        self._numbers.extend((arm, lesson.kept, delta, lesson.prior_uj, lesson.hi_uj, lesson.starved_uj))

    def __iter__(self) -> Iterator[Lesson]:
        arms = list(self._arms)
        for at in range(0, len(self._numbers), _WIDTH):
            arm, kept, delta, *amounts = self._numbers[at : at + _WIDTH]
            yield Lesson(*arms[arm], bool(kept), None if delta == _NO_DELTA else delta, *amounts)
