"""Watches a source at rest, and widens its baseline where it is not what it was.

The baseline itself never moves. What a quiet machine draws beside it is a sign of how far off it may be,
so the largest difference of the last quiet minutes goes into the interval of every figure. Whatever the
machine does, it draws no less than at rest: power below the baseline for long contradicts it.
"""

from __future__ import annotations

__all__ = ["Drift"]

import math
from dataclasses import dataclass

from cryoflux.energy.baseline import Idle
from cryoflux.quantities import MICRO

_ALLOWED_UW = MICRO
_ALLOWED_SHARE = 0.01
"""A baseline that nobody could watch may have drifted so far with 95 %: 1 W, or 1 % where that is more."""
_FLAGGED_SHARE = 0.02
_SMOOTHING = 1 / 30
"""A quiet second counts a thirtieth, so that noise of single seconds evens out."""
_LEAST_SECONDS = 30


@dataclass(slots=True)
class Drift:
    """How far one source at rest lies from its frozen baseline."""

    idle: Idle
    _mean_uw: float = 0.0
    _seconds: int = 0
    watched_uw: int = 0
    """largest smoothed distance seen so far, µW"""
    _any_uw: float = 0.0
    _any_seconds: int = 0
    too_high_uw: int = 0
    """most that the baseline was above what the source drew for long, µW"""

    def second(self, power_uw: int) -> None:
        """Take in what the source drew in any second."""
        self._any_seconds += 1
        weight = max(_SMOOTHING, 1 / self._any_seconds)
        self._any_uw += weight * (power_uw - self.idle.idle_uw - self._any_uw)
        if self._any_seconds >= _LEAST_SECONDS and self._any_uw < -self._limit_uw:
            self.too_high_uw = max(self.too_high_uw, round(-self._any_uw))

    @property
    def doubt_uw(self) -> int:
        """The idle power may be lower by so much, for what is known of it."""
        return max(self.idle.doubt_uw, self.too_high_uw)

    @property
    def _limit_uw(self) -> float:
        return max(_ALLOWED_UW, _FLAGGED_SHARE * self.idle.idle_uw)

    def rest(self, power_uw: int) -> None:
        """Take in what the source drew in a second in which the machine was at rest."""
        self._seconds += 1
        weight = max(_SMOOTHING, 1 / self._seconds)
        self._mean_uw += weight * (power_uw - self.idle.idle_uw - self._mean_uw)
        if self._seconds >= _LEAST_SECONDS:
            self.watched_uw = max(self.watched_uw, round(abs(self._mean_uw)))

    @property
    def error_uw(self) -> int:
        """95 % half width of the idle power: of its learning, and of what may have changed since."""
        if self.idle.state == "modelled":
            return self.idle.error_uw
        unseen_uw = max(_ALLOWED_UW, _ALLOWED_SHARE * self.idle.idle_uw)
        return round(math.hypot(self.idle.error_uw, max(unseen_uw, self.watched_uw)))

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the baseline."""
        found = {
            "baseline-drift": self.watched_uw > self._limit_uw,
            "baseline-too-high": self.too_high_uw > 0,
            "baseline-unsettled": self.idle.state == "unsettled",
        }
        return tuple(flag for flag, said in found.items() if said)
