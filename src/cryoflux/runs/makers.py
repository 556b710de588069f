"""Who makes the attempts of a run, and when it ends."""

from __future__ import annotations

__all__ = ["Attempts", "OwnAttempts", "RunLimits"]

from dataclasses import dataclass
from typing import Protocol

from cryoflux.attempt.context import Context
from cryoflux.attempt.orchestrator import run_attempt
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.scheduling.policy import Plateau


@dataclass(frozen=True, slots=True)
class RunLimits:
    """When a run ends."""

    budget_uj: int | None = None
    """all that the run may spend, attempts and everything else, µJ; none to spend what is held"""
    seconds: float | None = None
    attempts: int | None = None
    carry: bool = False
    """whether what earlier runs left over may be spent on top of the budget"""
    only_rounds: bool = False
    """whether it makes no attempt, and ends where nothing that others offer waits"""


class Attempts(Protocol):
    """Who makes the attempts: this process, or workers."""

    @property
    def busy(self) -> int:
        """Attempts that are open."""
        ...

    @property
    def held_uj(self) -> int:
        """What these hold of the budget, µJ."""
        ...

    @property
    def aside_uj(self) -> int:
        """What of that the bucket still holds, µJ."""
        ...

    def next(self, left_uj: int, most: int | None) -> AttemptRecord | Plateau | None:
        """The next attempt that is finished; none where there is none, because of a stop.

        Args:
            left_uj: what attempts that are not open yet may spend, µJ.
            most: so many may be begun now; none for any number.
        """
        ...


class OwnAttempts:
    """Attempts that this process makes, one after another."""

    busy, held_uj, aside_uj = 0, 0, 0

    def __init__(self, context: Context) -> None:
        self._context = context

    def next(self, left_uj: int, most: int | None) -> AttemptRecord | Plateau:  # noqa: ARG002 - one at a time
        """Make one."""
        return run_attempt(self._context, left_uj)
