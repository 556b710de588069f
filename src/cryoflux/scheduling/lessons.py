"""What an attempt teaches the scheduler, read from its intent and its receipt alone."""

from __future__ import annotations

__all__ = ["Lessons", "taught"]

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryoflux.receipts.statement import Cause, Intent, Outcome, Receipt, Screen
from cryoflux.scheduling.efficiency import Continuation, Lesson

_SILENT = frozenset({Cause.INTERRUPTED, Cause.CRASHED, Cause.UNRESERVED, Cause.LOST})
"""causes that say nothing of an arm"""
_NUMBERS = struct.Struct("<6q")
_NO_DELTA = -(1 << 62)
"""stands for none; no Δ is that large"""


def taught(intent: Intent, receipt: Receipt) -> Lesson | None:
    """What an attempt says of its arm; none where it says nothing.

    An attempt that was interrupted, whose process or worker died, or that never got its reservation says
    nothing.
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
        chain=_continuation(intent, receipt),
        aborted=receipt.outcome is Outcome.ABORTED,
    )


def _continuation(intent: Intent, receipt: Receipt) -> Continuation:
    if intent.chain is None:
        return Continuation.NONE
    if receipt.training is None:  # what it went on from is still there
        return Continuation.GOES_ON if intent.chain.working else Continuation.NONE
    return Continuation.GOES_ON if receipt.training.working else Continuation.ENDED


def _mean_delta(screen: Screen | None) -> int | None:
    if screen is None:
        return None
    return (screen.base_loss_sum - screen.new_loss_sum) // screen.count


@dataclass(slots=True)
class Lessons:
    """Many lessons in little memory: six numbers each, and their arms by number; marks lie in one."""

    numbers: bytearray = field(default_factory=bytearray)
    arms: dict[tuple[str, str], int] = field(default_factory=dict)
    """(task, arm) → its number"""

    def __len__(self) -> int:
        return len(self.numbers) // _NUMBERS.size

    def append(self, lesson: Lesson) -> None:
        """Keep one more."""
        arm = self.arms.setdefault((lesson.task, lesson.arm), len(self.arms))
        delta = _NO_DELTA if lesson.screen_delta_nano is None else lesson.screen_delta_nano
        amounts = lesson.prior_uj, lesson.hi_uj, lesson.starved_uj
        marks = lesson.kept | lesson.aborted << 1 | lesson.chain << 2
        self.numbers += _NUMBERS.pack(arm, marks, delta, *amounts)

    def __iter__(self) -> Iterator[Lesson]:
        arms = list(self.arms)
        for place, marks, delta, prior_uj, hi_uj, starved_uj in _NUMBERS.iter_unpack(self.numbers):
            task, arm = arms[place]
            yield Lesson(
                task=task,
                arm=arm,
                kept=bool(marks & 1),
                screen_delta_nano=None if delta == _NO_DELTA else delta,
                prior_uj=prior_uj,
                hi_uj=hi_uj,
                starved_uj=starved_uj,
                chain=Continuation(marks >> 2),
                aborted=bool(marks & 2),
            )
