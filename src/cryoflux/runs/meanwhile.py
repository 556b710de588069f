"""Asks whether to stop, and lets something else be done meanwhile: a run is asked often while it computes."""

from __future__ import annotations

__all__ = ["Meanwhile"]

from collections.abc import Callable


class Meanwhile:
    """Whether somebody asked to stop; being asked is the time to speak to workers that wait for it.

    Args:
        stop: whether somebody did.
    """

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self.do: Callable[[], None] = lambda: None
        """is done at each question; has to be quick, mostly"""

    def __call__(self) -> bool:
        """Whether somebody asked to stop."""
        self.do()
        return self._stop()
