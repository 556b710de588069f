"""The choice of the next arm: a pure function of the log, the bucket and a seed.

1. Only arms that the bucket can pay for are considered.
2. An arm that was never tried goes first, in the order of the settings.
3. Else the arm with the highest expected η; a tie is broken by the seed and the attempt's number.
"""

from __future__ import annotations

__all__ = ["POLICY", "Arm", "Choice", "choose"]

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.quantities import format_energy
from cryoflux.scheduling.efficiency import Outcome, expected_efficiency

POLICY = "greedy-eta/v1"


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe of a task that the scheduler can pull."""

    task: str
    name: str
    reserve_uj: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm to pull, and why."""

    arm: Arm
    reason: str


def choose(arms: Sequence[Arm], outcomes: Sequence[Outcome], *, bucket_uj: int, seed: int) -> Choice | None:
    """The next arm; none where the bucket pays for none."""
    affordable = [arm for arm in arms if arm.reserve_uj <= bucket_uj]
    if not affordable:
        return None
    scores = [(arm, expected_efficiency(outcomes, arm.task, arm.name)) for arm in affordable]
    for arm, score in scores:
        if score is None:
            return Choice(arm, f"{arm.name} was never tried; the bucket holds {format_energy(bucket_uj)}.")
    best = max(score for _, score in scores if score is not None)
    ties = [arm for arm, score in scores if score == best]
    draw = random.Random(f"{seed}/{len(outcomes)}").randrange(len(ties))  # noqa: S311 - reproducible
    rivals = f"best of {len(scores)} arms" if len(scores) > 1 else "the only arm"
    return Choice(ties[draw], f"{ties[draw].name} is {rivals}: expected η = {1000 * best:.4f} nats/kJ.")
