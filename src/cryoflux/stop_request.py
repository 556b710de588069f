"""Requests to stop by signals, which come at any line of the program.

``threading.Event`` is not for that: its lock may be held by the very line that the signal interrupts, and
the handler would wait for it for ever.
"""

from __future__ import annotations

__all__ = ["TO_STOP", "StopRequest", "handled"]

import queue
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

TO_STOP = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a service manager sends"""


@contextmanager
def handled(numbers: Iterable[int], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Signals have a handler in this block, and after it what they had before.

    Args:
        numbers: of the signals.
        handle: is called with the number of one that came, and the frame that it interrupted.
    """
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._words: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put may interrupt itself

    def ask(self) -> None:
        """Ask to stop; whoever waits goes on."""
        self.asked = True
        self._words.put(None)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until somebody asked, s."""
        try:
            self._words.get(timeout=seconds)
        except queue.Empty:
            return
        self._words.put(None)  # for the next of those who wait
