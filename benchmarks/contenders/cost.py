"""CPU-seconds, and the joules that they are modelled to be."""

from __future__ import annotations

__all__ = ["WATTS", "Laps", "joules"]

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cryoflux.energy.sources.cpu_model import GUESSED_W_PER_CPU

WATTS = GUESSED_W_PER_CPU
"""modelled: what CryoFlux guesses for one busy logical CPU when nothing measures"""


def joules(cpu_s: float) -> float:
    """Modelled joules of so many CPU-seconds; the same factor for every contender."""
    return cpu_s * WATTS


class Laps:
    """CPU-seconds (user and system) of this process by phase; what no phase claims is ``setup``."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        """Charge what happens inside to ``phase``."""
        started = time.process_time()
        try:
            yield
        finally:
            self.cpu_s[phase] = self.cpu_s.get(phase, 0.0) + time.process_time() - started

    def close(self, total: float | None = None) -> dict[str, float]:
        """All phases; ``setup`` holds imports, data, tokens and loading."""
        spent = sum(self.cpu_s.values())
        return {"setup": (time.process_time() if total is None else total) - spent, **self.cpu_s}
