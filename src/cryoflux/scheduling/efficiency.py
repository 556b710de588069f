"""What past attempts say about an arm's η.

η is the Δ that was kept, per joule that was spent on the arm, rejected and aborted attempts included:
joules that brought nothing are part of the price. Joules count at the upper end of their interval, so
that a vague meter cannot make an arm look good. Older attempts weigh less, because η falls as the
model improves.
"""

from __future__ import annotations

__all__ = ["Outcome", "expected_efficiency"]

from collections.abc import Sequence
from dataclasses import dataclass

_DISCOUNT = 0.8
"""weight of an attempt, relative to the next one of the same arm"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt of an arm ended."""

    task: str
    arm: str
    kept_delta: float
    """mean Δ in nats if the update was kept, else 0"""
    hi_joules: float
    """upper end of the joules that were charged"""


def expected_efficiency(outcomes: Sequence[Outcome], task: str, arm: str) -> float | None:
    """Expected η of an arm, nats per joule; none where it was never tried.

    Args:
        outcomes: all attempts, oldest first.
        task: the task's name.
        arm: the arm's name.
    """
    delta = joules = 0.0
    for outcome in outcomes:
        if (outcome.task, outcome.arm) == (task, arm):
            delta = delta * _DISCOUNT + outcome.kept_delta
            joules = joules * _DISCOUNT + outcome.hi_joules
    return delta / joules if joules > 0 else None
